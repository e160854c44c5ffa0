// Command assign_toggle acts the claim about assignment out: the whole pages of a map are read-only, and each assign
// of a range lifts that before and puts it back after.
//
// Its phases are the regions range=main.phaseRange, range_assign=main.phaseRangeAssign and store=main.store.
package main

import (
	"flag"
	"fmt"
	"runtime/debug"
	"syscall"
)

const entries = 2000

//go:noinline
func phaseFill(m map[uint64]uint64) {
	for i := uint64(0); i < entries; i++ {
		m[i] = i
	}
}

// toggle changes the protection of every block's whole pages; returns how many calls it made.
//
//go:noinline
func toggle(blocks []span, prot int) (calls int) {
	for _, pages := range blocks {
		protect(pages, prot)
		calls++
	}
	return calls
}

//go:noinline
func store(m map[uint64]uint64, k, v uint64, blocks []span) (calls int) {
	calls += toggle(blocks, syscall.PROT_READ|syscall.PROT_WRITE)
	m[k] = v
	return calls + toggle(blocks, syscall.PROT_READ)
}

//go:noinline
func phaseRangeAssign(m map[uint64]uint64, blocks []span, times int) (count, calls int) {
	for k, v := range m {
		if count++; count > times {
			break
		}
		calls += store(m, k, v+1, blocks)
	}
	return count, calls
}

//go:noinline
func phaseRange(m map[uint64]uint64) (changed int) {
	for k, v := range m {
		if v == k+1 {
			changed++
		}
	}
	return changed
}

func main() {
	times := flag.Int("times", 8, "assigns")
	flag.Parse()
	debug.SetGCPercent(-1)
	m := make(map[uint64]uint64)
	phaseFill(m)
	var blocks []span
	for _, s := range storageOf(m) {
		if pages := wholePages(s); pages.size > 0 {
			blocks = append(blocks, pages)
		}
	}
	toggle(blocks, syscall.PROT_READ)
	_, calls := phaseRangeAssign(m, blocks, *times)
	changed := phaseRange(m)
	toggle(blocks, syscall.PROT_READ|syscall.PROT_WRITE)
	fmt.Printf("entries=%d\nassigns=%d\nchanged=%d\nblocks=%d\nmprotect=%d\n", len(m), *times, changed, len(blocks), calls)
	fmt.Printf("start=%#x\nend=%#x\n", blocks[0].start, uintptr(blocks[0].start)+blocks[0].size)
}
