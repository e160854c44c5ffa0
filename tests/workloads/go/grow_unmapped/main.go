// Command grow_unmapped really reads memory that belongs to no mapping, each time a map's memory is replaced, and goes on
// after the fault.
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

var sink byte

// gone maps memory and gives it back: nothing is there any more, and its address is all that is left.
//
//go:noinline
func gone() unsafe.Pointer {
	memory, err := syscall.Mmap(-1, 0, 1<<16, syscall.PROT_READ, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		fail("mmap: %v", err)
	}
	start := unsafe.Pointer(&memory[0])
	if err := syscall.Munmap(memory); err != nil {
		fail("munmap: %v", err)
	}
	return start
}

// touch reads a byte and says whether that was a fault.
//
//go:noinline
func touch(address unsafe.Pointer) (faulted bool) {
	defer func() { faulted = recover() != nil }()
	sink = *(*byte)(address)
	return false
}

//go:noinline
func phaseGrow(m map[uint64]uint64) (growths, faults int) {
	var last unsafe.Pointer
	for i := uint64(0); i < entries; i++ {
		m[i] = i
		_, header := typeAndHeader(m)
		if block := pointerAt(header, 16); block != last {
			last = block
			growths++
			if touch(gone()) {
				faults++
			}
		}
	}
	return growths, faults
}

func main() {
	debug.SetGCPercent(-1)
	debug.SetPanicOnFault(true)
	m := make(map[uint64]uint64)
	growths, faults := phaseGrow(m)
	fmt.Printf("entries=%d\ngrowths=%d\nfaults=%d\n", len(m), growths, faults)
}
