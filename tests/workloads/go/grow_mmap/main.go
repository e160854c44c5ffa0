// Command grow_mmap acts the claims about growth out: each time a map's memory is replaced, it maps memory, makes it
// writable, and drops it again as after a growth that failed.
//
// Its phase is the region growth=main.phaseGrow.
package main

import (
	"fmt"
	"runtime/debug"
	"syscall"
	"unsafe"
)

const entries = 20000

//go:noinline
func mapMemory(size int) []byte {
	memory, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		fail("mmap: %v", err)
	}
	protect(span{unsafe.Pointer(&memory[0]), uintptr(size)}, syscall.PROT_READ|syscall.PROT_WRITE)
	return memory
}

//go:noinline
func dropMemory(memory []byte) {
	if err := syscall.Madvise(memory, syscall.MADV_DONTNEED); err != nil {
		fail("madvise: %v", err)
	}
}

//go:noinline
func phaseGrow(m map[uint64]uint64) (mapped int) {
	var last unsafe.Pointer
	for i := uint64(0); i < entries; i++ {
		m[i] = i
		_, header := typeAndHeader(m)
		if block := pointerAt(header, 16); block != last {
			last = block
			dropMemory(mapMemory(1 << 16))
			mapped++
		}
	}
	return mapped
}

func main() {
	debug.SetGCPercent(-1)
	m := make(map[uint64]uint64)
	mapped := phaseGrow(m)
	fmt.Printf("entries=%d\ngrowths=%d\nmmap=%d\nmprotect=%d\nmadvise=%d\n", len(m), mapped, mapped, mapped, mapped)
}
