// Command range fills a map, ranges over it changing only the loop variable, ranges over it assigning, and
// looks at the map's memory from inside the loop. It prints what it found as key=value lines.
//
// Its phases are functions: record them with --region fill=main.phaseFill, range=main.phaseRange,
// range_assign=main.phaseRangeAssign, overwrite=main.phaseOverwrite and look=main.phaseLook.
package main

import (
	"flag"
	"fmt"
	"runtime/debug"
	"unsafe"
)

//go:noinline
func phaseFill(m map[uint64]uint64, n uint64) {
	for i := uint64(0); i < n; i++ {
		m[i] = i
	}
}

// phaseRange changes the loop variable only.
//
//go:noinline
func phaseRange(m map[uint64]uint64) (count, sum uint64) {
	for _, v := range m {
		v = v + 1
		sum += v
		count++
	}
	return count, sum
}

//go:noinline
func phaseRangeAssign(m map[uint64]uint64) (count uint64) {
	for k, v := range m {
		m[k] = v + 1
		count++
	}
	return count
}

//go:noinline
func phaseOverwrite(m map[uint64]uint64, n uint64) {
	for i := uint64(0); i < n; i++ {
		m[i]++
	}
}

// looked is what the loop sees of the memory it walks.
type looked struct {
	writing, inStorage int
	prot, name         string
}

// phaseLook ranges, too, and looks at the map's memory and header in the loop's body.
//
//go:noinline
func phaseLook(m map[uint64]uint64, storage []span) (seen looked) {
	last := 0
	for _, v := range m {
		if writingFlag(m) {
			seen.writing++
		}
		for _, s := range storage {
			if s.contains(uintptr(unsafe.Pointer(&v))) {
				seen.inStorage++
			}
		}
		if last++; last == len(m)/2 {
			seen.prot, seen.name = mappingOf(uintptr(storage[0].start))
		}
	}
	return seen
}

// differing counts the entries whose value is not the key plus more.
func differing(m map[uint64]uint64, n, more uint64) (count uint64) {
	for i := uint64(0); i < n; i++ {
		if v, found := m[i]; !found || v != i+more {
			count++
		}
	}
	return count
}

func main() {
	n := flag.Uint64("n", 100000, "entries")
	again := flag.Int("again", 0, "how often to range once more, for a timer to see it")
	flag.Parse()
	// The collector's own work is no part of these questions; experiment gc has it running.
	debug.SetGCPercent(-1)
	m := make(map[uint64]uint64)
	phaseFill(m, *n)
	count, sum := phaseRange(m)
	for i := 0; i < *again; i++ {
		count, sum = phaseRange(m)
	}
	changed := differing(m, *n, 0)
	fmt.Printf("entries=%d\nranged=%d\nchanged=%d\nunchanged=%d\n", len(m), count, changed, *n-changed)
	fmt.Printf("sum_right=%t\n", sum == *n*(*n-1)/2+*n)

	assigned := phaseRangeAssign(m)
	wrong := differing(m, *n, 1)
	phaseOverwrite(m, *n)
	wrong += differing(m, *n, 2)
	fmt.Printf("range_assigned=%d\noverwritten=%d\nlost_assigns=%d\n", assigned, *n, wrong)

	storage := storageOf(m)
	seen := phaseLook(m, storage)
	fmt.Printf("vma=%s\nvma_name=%s\n", seen.prot, seen.name)
	fmt.Printf("writing_seen=%d\nvariable_in_storage=%d\n", seen.writing, seen.inStorage)
	fmt.Printf("start=%#x\nend=%#x\n", storage[0].start, uintptr(storage[0].start)+storage[0].size)
}
