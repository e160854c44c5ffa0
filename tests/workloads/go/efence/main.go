// Command efence grows a map with GODEBUG=efence=1, under which the runtime makes every freed object
// inaccessible: real protection, of memory that no map uses any more. It starts itself again with that set.
//
// Its phases are the regions fill=main.phaseFill and range=main.phaseRange.
package main

import (
	"fmt"
	"runtime"
)

const entries = 50000

//go:noinline
func phaseFill(m map[uint64]uint64) {
	for i := uint64(0); i < entries; i++ {
		m[i] = i
	}
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
	restartWith("efence=1")
	m := make(map[uint64]uint64)
	phaseFill(m)
	runtime.GC()
	count := phaseRange(m)
	prot, _ := mappingOf(uintptr(storageOf(m)[0].start))
	fmt.Printf("entries=%d\nunchanged=%d\nvma=%s\n", len(m), count, prot)
}
