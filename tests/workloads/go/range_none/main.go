// Command range_none makes a page of a live map inaccessible for a moment inside a range, reads and writes it there
// and takes the faults. Compare range, which only ranges.
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

// attempt makes an access under SetPanicOnFault; true when it faulted.
//
//go:noinline
func attempt(access func()) (faulted bool) {
	defer func() { faulted = recover() != nil }()
	access()
	return false
}

var sink uint64

//go:noinline
func phaseRange(m map[uint64]uint64, page span, times int) (count, faults int) {
	word := (*uint64)(unsafe.Add(page.start, 64))
	for range m {
		if count++; count > times {
			continue
		}
		protect(page, syscall.PROT_NONE)
		if attempt(func() { sink = *word }) {
			faults++
		}
		if attempt(func() { *word = 1 }) {
			faults++
		}
		protect(page, syscall.PROT_READ|syscall.PROT_WRITE)
	}
	return count, faults
}

func main() {
	times := flag.Int("times", 8, "windows of no access")
	flag.Parse()
	debug.SetGCPercent(-1)
	debug.SetPanicOnFault(true)
	m := make(map[uint64]uint64)
	phaseFill(m)
	page := somePages(m, 1)
	ranged, faults := phaseRange(m, page, *times)
	fmt.Printf("entries=%d\nranged=%d\nmprotect=%d\nfaults=%d\n", len(m), ranged, 2**times, faults)
	fmt.Printf("start=%#x\nend=%#x\n", page.start, uintptr(page.start)+page.size)
}
