// Command unsafe_write writes into a map's memory through pointers, behind the map's back, while ranging over
// it. Each value is a pattern that occurs nowhere else, so its slot is found by looking for it.
//
// Its phase is the region write=main.phaseWrite.
package main

import (
	"fmt"
	"runtime/debug"
	"unsafe"
)

const (
	entries = 300
	before  = 0xbef0_0000_0000_0000
	after   = 0xafe0_0000_0000_0000
)

// slotOf returns the address of the element that holds a pattern.
func slotOf(storage []span, pattern uint64) *uint64 {
	for _, s := range storage {
		words := s.words()
		for i := range words {
			if words[i] == pattern {
				return (*uint64)(unsafe.Pointer(&words[i]))
			}
		}
	}
	return nil
}

// write stores through a pointer; true when the store raised a signal.
//
//go:noinline
func write(slot *uint64, value uint64) (faulted bool) {
	defer func() { faulted = recover() != nil }()
	*slot = value
	return false
}

//go:noinline
func phaseWrite(m map[uint64]uint64) (written, missing, faults int) {
	storage := storageOf(m)
	for k := range m {
		slot := slotOf(storage, before|k)
		switch {
		case slot == nil:
			missing++
		case write(slot, after|k):
			faults++
		default:
			written++
		}
	}
	return written, missing, faults
}

func main() {
	debug.SetGCPercent(-1)
	debug.SetPanicOnFault(true)
	m := make(map[uint64]uint64, entries)
	for k := uint64(0); k < entries; k++ {
		m[k] = before | k
	}
	written, missing, faults := phaseWrite(m)
	visible := 0
	for k := uint64(0); k < entries; k++ {
		if m[k] == after|k {
			visible++
		}
	}
	prot, _ := mappingOf(uintptr(storageOf(m)[0].start))
	fmt.Printf("entries=%d\nwritten=%d\nmissing=%d\nfaults=%d\nvisible=%d\nlost=%d\nvma=%s\n",
		entries, written, missing, faults, visible, written-visible, prot)
}
