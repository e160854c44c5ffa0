// Command sabotage really does what maps are accused of: it makes the pages of a live map read-only while
// ranging over it, and writable again before anything writes. It prints how many mprotect calls it made.
package main

import (
	"flag"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

const page = 4096

// pagesOf returns the whole pages inside the map's largest block: the word at 16 of both map headers leads
// to it (classic: the bucket array; Swiss: the directory, whose first table's group array is at 16).
//
//go:noinline
func pagesOf(m map[uint64]uint64, swiss bool) []byte {
	header := *(*unsafe.Pointer)(unsafe.Pointer(&m))
	block := *(*unsafe.Pointer)(unsafe.Add(header, 16))
	if swiss {
		table := *(*unsafe.Pointer)(block)
		block = *(*unsafe.Pointer)(unsafe.Add(table, 16))
	}
	start := (uintptr(block) + page - 1) &^ (page - 1)
	return unsafe.Slice((*byte)(unsafe.Add(block, start-uintptr(block))), page)
}

//go:noinline
func sabotage(pages []byte, prot int) {
	if err := syscall.Mprotect(pages, prot); err != nil {
		fmt.Fprintln(os.Stderr, "sabotage:", err)
		os.Exit(99)
	}
}

//go:noinline
func rangeSabotaged(m map[uint64]uint64, pages []byte, times int) (count, calls int) {
	for range m {
		if count < times {
			sabotage(pages, syscall.PROT_READ)
			sabotage(pages, syscall.PROT_READ|syscall.PROT_WRITE)
			calls += 2
		}
		count++
	}
	return count, calls
}

func main() {
	times := flag.Int("times", 10, "how often to protect and lift during one range")
	swiss := flag.Bool("swiss", false, "the map is a Swiss one (Go 1.24 and later)")
	flag.Parse()
	m := make(map[uint64]uint64)
	for i := uint64(0); i < 100000; i++ {
		m[i] = i
	}
	pages := pagesOf(m, *swiss)
	count, calls := rangeSabotaged(m, pages, *times)
	start := uintptr(unsafe.Pointer(&pages[0]))
	fmt.Printf("start=%#x\nend=%#x\nmprotect=%d\niterations=%d\n", start, start+page, calls, count)
}
