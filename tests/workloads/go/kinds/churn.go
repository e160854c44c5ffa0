package main

import (
	"fmt"
	"unsafe"
)

// entriesOf is the memory of a map's entries, without the overflow buckets of a classic map.
func entriesOf(m any) []span {
	if swiss() {
		return storageOf(m)
	}
	_, header := typeAndHeader(m)
	buckets := pointerAt(header, 16)
	if buckets == nil {
		return nil
	}
	return []span{{buckets, blockSize(m) << *(*uint8)(unsafe.Add(header, 9))}}
}

// churn replaces the entries of a map by others again and again. In a classic map overflow buckets gather, until
// it grows into as many buckets as it had; the program sees that for itself.
//
//go:noinline
func churn(n int) any {
	var d done
	m := make(map[uint64]uint64)
	_, header := typeAndHeader(m)
	shape := func() (unsafe.Pointer, uint8) {
		return pointerAt(header, 16), *(*uint8)(unsafe.Add(header, 9))
	}
	var double, sameSize int
	buckets, bits := shape()
	next := uint64(0)
	assign := func() {
		m[next] = next
		next++
		d.assigns++
		now, nowBits := shape()
		if !swiss() && now != buckets && buckets != nil {
			if nowBits == bits {
				sameSize++
			} else {
				double++
			}
		}
		buckets, bits = now, nowBits
	}
	// Just below what 64 buckets hold before they double: 6 each in Go 1.21, 6.5 in others.
	const most = 380
	// How soon overflow buckets gather hangs on the hash seed; that they do does not.
	gathering := func() bool { return !swiss() && sameSize == 0 }
	for round := 0; round < n/6 || gathering() && round < 10000; round++ {
		for len(m) < most {
			assign()
		}
		for gone := next - most; gone < next-10; gone++ {
			delete(m, gone)
			d.deletes++
		}
	}
	d.add()
	fmt.Printf("churned=%#x\ndouble=%d\nsame_size=%d\n", uintptr(header), double, sameSize)
	return m
}
