//go:build !go1.26 && !goexperiment.swissmap

package main

import (
	"fmt"
	"unsafe"
)

// hmap is runtime.hmap (runtime/map.go) up to the bucket arrays.
type hmap struct {
	count      int
	flags      uint8
	b          uint8
	noverflow  uint16
	hash0      uint32
	buckets    uintptr
	oldbuckets uintptr
}

// A bucket of map[uint64]uint64: 8 hash bytes, 8 keys, 8 values, the overflow pointer.
const bucketSize = 8 + 64 + 64 + 8

func storage(m map[uint64]uint64) []string {
	h := (*hmap)(unsafe.Pointer(header(m)))
	end := h.buckets + bucketSize<<h.b
	return []string{fmt.Sprintf("%#x-%#x", h.buckets, end)}
}
