// Command assign_kinds assigns to maps of each kind of key, outside and inside a range: one function each, so that
// the map function a compiler chose can be read from it. It checks that each value arrived.
//
// Its phases are the regions outside=main.outside* and inside=main.inside*.
package main

import (
	"fmt"
	"reflect"
	"runtime/debug"
)

const entries = 64

type (
	pair struct{ a, b uint64 }
	big  [25]uint64
)

var targets [entries]int

//go:noinline
func outsideUint32(m map[uint32]uint64) {
	for i := uint32(0); i < entries; i++ {
		m[i] = 1
	}
}

//go:noinline
func insideUint32(m map[uint32]uint64) {
	for k := range m {
		m[k] = 2
	}
}

//go:noinline
func outsideUint64(m map[uint64]uint64) {
	for i := uint64(0); i < entries; i++ {
		m[i] = 0xbef0_0000_0000_0000 | i
	}
}

//go:noinline
func insideUint64(m map[uint64]uint64) {
	for k := range m {
		m[k] = 0xafe0_0000_0000_0000 | k
	}
}

// outsideIncrement is one assign each, and no access besides.
//
//go:noinline
func outsideIncrement(m map[uint64]uint64) {
	for i := uint64(0); i < entries; i++ {
		m[i]++
	}
}

//go:noinline
func outsidePointer(m map[*int]uint64) {
	for i := range targets {
		m[&targets[i]] = 1
	}
}

//go:noinline
func insidePointer(m map[*int]uint64) {
	for k := range m {
		m[k] = 2
	}
}

//go:noinline
func outsideString(m map[string]uint64, keys []string) {
	for _, k := range keys {
		m[k] = 1
	}
}

//go:noinline
func insideString(m map[string]uint64) {
	for k := range m {
		m[k] = 2
	}
}

//go:noinline
func outsideStruct(m map[pair]uint64) {
	for i := uint64(0); i < entries; i++ {
		m[pair{i, i}] = 1
	}
}

//go:noinline
func insideStruct(m map[pair]uint64) {
	for k := range m {
		m[k] = 2
	}
}

//go:noinline
func outsideInterface(m map[any]uint64, keys []string) {
	for _, k := range keys {
		m[k] = 1
	}
}

//go:noinline
func insideInterface(m map[any]uint64) {
	for k := range m {
		m[k] = 2
	}
}

//go:noinline
func outsideBig(m map[uint64]big) {
	for i := uint64(0); i < entries; i++ {
		m[i] = big{1}
	}
}

//go:noinline
func insideBig(m map[uint64]big) {
	for k := range m {
		m[k] = big{2}
	}
}

// inStorage counts the entries whose value stands in the map's own memory.
func inStorage(m map[uint64]uint64) (count int) {
	for _, v := range m {
		for _, s := range storageOf(m) {
			for _, word := range s.words() {
				if word == v {
					count++
				}
			}
		}
	}
	return count
}

// twos counts the values that are 2 in a map of any kind of key.
func twos(m any) (count int) {
	for walk := reflect.ValueOf(m).MapRange(); walk.Next(); {
		if walk.Value().Uint() == 2 {
			count++
		}
	}
	return count
}

func main() {
	debug.SetGCPercent(-1)
	var keys []string
	for i := 0; i < entries; i++ {
		keys = append(keys, fmt.Sprint("key", i))
	}
	small, words := make(map[uint32]uint64), make(map[uint64]uint64)
	outsideUint32(small)
	insideUint32(small)
	outsideUint64(words)
	fmt.Printf("entries=%d\nstored_outside=%d\n", entries, inStorage(words))
	insideUint64(words)
	fmt.Printf("stored_inside=%d\n", inStorage(words))
	outsideIncrement(words)
	incremented := 0
	for i := uint64(0); i < entries; i++ {
		if words[i] == 0xafe0_0000_0000_0000|i+1 {
			incremented++
		}
	}
	pointers, strings := make(map[*int]uint64), make(map[string]uint64)
	outsidePointer(pointers)
	insidePointer(pointers)
	outsideString(strings, keys)
	insideString(strings)
	structs, faces, bigs := make(map[pair]uint64), make(map[any]uint64), make(map[uint64]big)
	outsideStruct(structs)
	insideStruct(structs)
	outsideInterface(faces, keys)
	insideInterface(faces)
	outsideBig(bigs)
	insideBig(bigs)
	changed := 0
	for _, v := range bigs {
		if v[0] == 2 {
			changed++
		}
	}
	fmt.Printf("incremented=%d\nuint32_changed=%d\npointer_changed=%d\nstring_changed=%d\n",
		incremented, twos(small), twos(pointers), twos(strings))
	fmt.Printf("struct_changed=%d\ninterface_changed=%d\nbig_changed=%d\n", twos(structs), twos(faces), changed)
}
