// Command range_mprotect acts the claim out: it makes pages of a live map read-only when a range begins, and writable
// again when it ends, several times. Compare range, which only ranges.
//
// Its phases are the regions fill=main.phaseFill and range=main.phaseRange.
package main

import (
	"flag"
	"fmt"
	"runtime/debug"
	"syscall"
)

const entries = 20000

//go:noinline
func phaseFill(m map[uint64]uint64) {
	for i := uint64(0); i < entries; i++ {
		m[i] = i
	}
}

// phaseRange ranges hold times more while the pages are read-only, for a timer to see it.
//
//go:noinline
func phaseRange(m map[uint64]uint64, pages span, hold int) (count int, prot string) {
	for _, v := range m {
		if count == 0 {
			protect(pages, syscall.PROT_READ)
			for i := 0; i < hold; i++ {
				for k := range m {
					_ = k
				}
			}
		}
		v = v + 1
		if count == len(m)/2 {
			prot, _ = mappingOf(uintptr(pages.start))
		}
		if count++; count == len(m) {
			protect(pages, syscall.PROT_READ|syscall.PROT_WRITE)
		}
	}
	return count, prot
}

func main() {
	times := flag.Int("times", 8, "how often to range")
	hold := flag.Int("hold", 0, "how often to range once more each time")
	flag.Parse()
	debug.SetGCPercent(-1)
	m := make(map[uint64]uint64)
	phaseFill(m)
	pages := somePages(m, 2)
	ranged, vma := 0, ""
	for i := 0; i < *times; i++ {
		count, prot := phaseRange(m, pages, *hold)
		ranged, vma = ranged+count, prot
	}
	fmt.Printf("entries=%d\nranged=%d\nmprotect=%d\nvma=%s\n", len(m), ranged, 2**times, vma)
	fmt.Printf("start=%#x\nend=%#x\n", pages.start, uintptr(pages.start)+pages.size)
}
