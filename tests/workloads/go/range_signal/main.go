// Command range_signal acts the swallowed write out: inside a range, stores to read-only pages of a live map raise
// SIGSEGV, and a handler drops each so that the program goes on without the store having happened.
//
// Its phases are the regions fill=main.phaseFill and range=main.phaseRange.
package main

import (
	"flag"
	"fmt"
	"runtime/debug"
	"syscall"
	"unsafe"
)

const entries = 20000

//go:noinline
func phaseFill(m map[uint64]uint64) {
	for i := uint64(0); i < entries; i++ {
		m[i] = i
	}
}

// store writes through a pointer under SetPanicOnFault; true when the store was dropped.
//
//go:noinline
func store(word *uint64, value uint64) (dropped bool) {
	defer func() { dropped = recover() != nil }()
	*word = value
	return false
}

//go:noinline
func phaseRange(m map[uint64]uint64, page span, times int) (count, dropped int) {
	word := (*uint64)(unsafe.Add(page.start, 64))
	for range m {
		if count < times && store(word, 1) {
			dropped++
		}
		count++
	}
	return count, dropped
}

func main() {
	times := flag.Int("times", 8, "stores to drop")
	flag.Parse()
	debug.SetGCPercent(-1)
	debug.SetPanicOnFault(true)
	m := make(map[uint64]uint64)
	phaseFill(m)
	page := somePages(m, 1)
	protect(page, syscall.PROT_READ)
	ranged, dropped := phaseRange(m, page, *times)
	protect(page, syscall.PROT_READ|syscall.PROT_WRITE)
	unchanged := 0
	for i := uint64(0); i < entries; i++ {
		if m[i] == i {
			unchanged++
		}
	}
	fmt.Printf("entries=%d\nranged=%d\nsignals=%d\nunchanged=%d\n", len(m), ranged, dropped, unchanged)
	fmt.Printf("write_ignored=%t\n", dropped > 0 && unchanged == entries)
	fmt.Printf("start=%#x\nend=%#x\n", page.start, uintptr(page.start)+page.size)
}
