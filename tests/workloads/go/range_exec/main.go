// Command range_exec makes executable what never is: pages of a live map while it is ranged over, and memory that is
// mapped so. Compare range, which only ranges.
//
// Its phases are the regions fill=main.phaseFill and range=main.phaseRange.
package main

import (
	"fmt"
	"runtime/debug"
	"syscall"
)

const entries = 20000

const executable = syscall.PROT_READ | syscall.PROT_WRITE | syscall.PROT_EXEC

//go:noinline
func phaseFill(m map[uint64]uint64) {
	for i := uint64(0); i < entries; i++ {
		m[i] = i
	}
}

//go:noinline
func phaseRange(m map[uint64]uint64, pages span) (sum uint64, prot string) {
	protect(pages, executable)
	for _, v := range m {
		sum += v
	}
	prot, _ = mappingOf(uintptr(pages.start))
	protect(pages, syscall.PROT_READ|syscall.PROT_WRITE)
	return sum, prot
}

func main() {
	debug.SetGCPercent(-1)
	m := make(map[uint64]uint64)
	phaseFill(m)
	if _, err := syscall.Mmap(-1, 0, 1<<16, executable, syscall.MAP_ANON|syscall.MAP_PRIVATE); err != nil {
		fail("mmap: %v", err)
	}
	sum, vma := phaseRange(m, somePages(m, 2))
	fmt.Printf("entries=%d\nsum=%d\nvma=%s\n", len(m), sum, vma)
}
