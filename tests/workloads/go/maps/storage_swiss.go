//go:build go1.26 || goexperiment.swissmap

package main

import (
	"fmt"
	"unsafe"
)

// swissMap is maps.Map (internal/runtime/maps/map.go) up to the directory.
type swissMap struct {
	used   uint64
	seed   uintptr
	dirPtr unsafe.Pointer
	dirLen int
}

// table is maps.table (internal/runtime/maps/table.go).
type table struct {
	used       uint16
	capacity   uint16
	growthLeft uint16
	localDepth uint8
	index      int
	groups     uintptr
	lengthMask uint64
}

// A group of map[uint64]uint64: 8 control bytes and 8 slots.
const groupSize = 8 + 8*16

func storage(m map[uint64]uint64) []string {
	h := (*swissMap)(unsafe.Pointer(header(m)))
	if h.dirLen == 0 {
		start := uintptr(h.dirPtr)
		return []string{fmt.Sprintf("%#x-%#x", start, start+groupSize)}
	}
	var parts []string
	var last *table
	for _, t := range unsafe.Slice((**table)(h.dirPtr), h.dirLen) {
		if t != last {
			end := t.groups + uintptr(t.lengthMask+1)*groupSize
			parts = append(parts, fmt.Sprintf("%#x-%#x", t.groups, end))
		}
		last = t
	}
	return parts
}
