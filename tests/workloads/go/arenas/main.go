//go:build goexperiment.arenas

// Command arenas frees user arenas, whose memory the runtime makes inaccessible, while a map is filled and ranged
// over: real protection in the heap's address range, and none of it a map's.
//
// Its phases are the regions fill=main.phaseFill, range=main.phaseRange and free=main.phaseFree.
//
// build: GOEXPERIMENT=arenas
// since: go1.20
package main

import (
	"arena"
	"fmt"
	"runtime"
)

const (
	entries = 50000
	arenas  = 1
	blocks  = 9
)

type block [1 << 20]byte

//go:noinline
func phaseFill(m map[uint64]uint64) {
	for i := uint64(0); i < entries; i++ {
		m[i] = i
	}
}

//go:noinline
func phaseFree() (freed int) {
	for i := 0; i < arenas; i++ {
		own := arena.NewArena()
		// More than one chunk (8 MiB): what is left of the last is kept for the next arena.
		for j := 0; j < blocks; j++ {
			arena.New[block](own)[1] = 1
		}
		own.Free()
		freed++
	}
	runtime.GC()
	return freed
}

//go:noinline
func phaseRange(m map[uint64]uint64) (count int) {
	for k, v := range m {
		v = v + 1
		if v == k+1 {
			count++
		}
	}
	return count
}

func main() {
	m := make(map[uint64]uint64)
	phaseFill(m)
	freed := phaseFree()
	count := phaseRange(m)
	prot, _ := mappingOf(uintptr(storageOf(m)[0].start))
	fmt.Printf("entries=%d\nunchanged=%d\nfreed=%d\nvma=%s\n", len(m), count, freed, prot)
}
