// Command gc ranges over maps and assigns to them while garbage collections run one after the other: over a map
// whose elements are pointers, and over one without any.
//
// Its phases are the regions pointers=main.phasePointers and words=main.phaseWords.
package main

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	entries  = 20000
	cycles   = 20
	patience = 20 * time.Second
)

//go:noinline
func phasePointers(m map[uint64]*uint64) (assigned int) {
	for k, v := range m {
		fresh := new(uint64)
		*fresh = *v + 1
		m[k] = fresh
		assigned++
	}
	return assigned
}

//go:noinline
func phaseWords(m map[uint64]uint64) (assigned int) {
	for k, v := range m {
		m[k] = v + 1
		assigned++
	}
	return assigned
}

// scanned is how much of a block of the map's type the collector looks at: PtrBytes of the type of a bucket or group.
func scanned(m any) uintptr {
	kind, _ := typeAndHeader(m)
	return *(*uintptr)(unsafe.Add(pointerAt(kind, 64), 8))
}

func main() {
	pointers, words := make(map[uint64]*uint64), make(map[uint64]uint64)
	fmt.Printf("pointers_scanned_bytes=%d\nwords_scanned_bytes=%d\n", scanned(pointers), scanned(words))
	for i := uint64(0); i < entries; i++ {
		value := i
		pointers[i], words[i] = &value, i
	}
	var done, collected int32
	end := make(chan bool)
	go func() {
		for atomic.LoadInt32(&done) == 0 {
			runtime.GC()
			atomic.AddInt32(&collected, 1)
		}
		close(end)
	}()
	rounds, assigned := uint64(0), 0
	for start := time.Now(); atomic.LoadInt32(&collected) < cycles && time.Since(start) < patience; rounds++ {
		assigned += phasePointers(pointers) + phaseWords(words)
	}
	atomic.StoreInt32(&done, 1)
	<-end
	wrong := 0
	for i := uint64(0); i < entries; i++ {
		if *pointers[i] != i+rounds || words[i] != i+rounds {
			wrong++
		}
	}
	fmt.Printf("collections=%d\nenough=%t\nrounds=%d\nassigned=%d\nwrong=%d\n", collected, collected >= cycles, rounds, assigned, wrong)
}
