// Command scavenge allocates memory, drops it and gives it back to the kernel: by madvise, with the advice that
// GODEBUG=madvdontneed chooses.
//
// Its phase is the region scavenge=main.phaseScavenge.
package main

import (
	"fmt"
	"runtime/debug"
)

const size = 64 << 20

var block []byte

//go:noinline
func phaseScavenge() {
	block = nil
	debug.FreeOSMemory()
}

func main() {
	block = make([]byte, size)
	for i := 0; i < size; i += 4096 {
		block[i] = 1
	}
	phaseScavenge()
	fmt.Printf("bytes=%d\n", size)
}
