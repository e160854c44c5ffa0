// Command windows calls mprotect on pages of its own at known places in and around loops over maps, each
// place on a page of its own, and prints for each place how often and as part of which operation:
// place.NAME=PAGE,COUNT,OPERATION. A test compares that with what was recorded.
package main

import (
	"fmt"
	"os"
	"reflect"
	"sort"
	"sync"
	"syscall"
	"unsafe"
)

const page = 4096

type place struct {
	page, count int
	operation   string
}

var (
	pages  []byte
	places = map[string]*place{}
	mutex  sync.Mutex
)

// at makes one call at a place that belongs to an operation.
//
//go:noinline
func at(operation, name string) {
	mutex.Lock()
	p := places[name]
	if p == nil {
		p = &place{page: len(places), operation: operation}
		places[name] = p
	}
	p.count++
	n := p.page
	mutex.Unlock()
	if err := syscall.Mprotect(pages[n*page:(n+1)*page], syscall.PROT_READ|syscall.PROT_WRITE); err != nil {
		fmt.Fprintln(os.Stderr, "windows:", err)
		os.Exit(99)
	}
}

//go:noinline
func simple(m map[uint64]uint64) {
	at("none", "simple.before")
	for range m {
		at("iterate", "simple.body")
	}
	at("none", "simple.after")
}

//go:noinline
func breaking(m map[uint64]uint64) (last uint64) {
	n := 0
	for k := range m {
		at("iterate", "breaking.body")
		if n++; n == 5 {
			break
		}
		last = k
	}
	at("none", "breaking.after")
	return last
}

//go:noinline
func repeated(m map[uint64]uint64) {
	for i := 0; i < 3; i++ {
		at("none", "repeated.before")
		n := 0
		for range m {
			at("iterate", "repeated.body")
			if n++; n == 2 {
				break
			}
		}
		at("none", "repeated.after")
	}
	for range m {
		at("iterate", "repeated.second")
	}
	at("none", "repeated.end")
}

//go:noinline
func nested(m map[uint64]uint64) {
	at("none", "nested.before")
	for range m {
		at("iterate", "nested.outer-before")
		for range m {
			at("iterate", "nested.inner")
		}
		at("iterate", "nested.between")
		for range m {
			at("iterate", "nested.second")
			break
		}
		at("iterate", "nested.outer-after")
	}
	at("none", "nested.after")
}

//go:noinline
func callee() {
	at("iterate", "callee.inside")
}

//go:noinline
func calling(m map[uint64]uint64) {
	for range m {
		callee()
	}
}

//go:noinline
func deferred(m map[uint64]uint64) {
	defer at("none", "deferred.after")
	for range m {
		func() {
			defer at("iterate", "deferred.in-body")
			at("iterate", "deferred.body")
		}()
	}
}

//go:noinline
func deferring(m map[uint64]uint64) {
	for range m {
		defer at("none", "deferring.at-return")
	}
}

//go:noinline
func goroutines(m map[uint64]uint64) {
	var group sync.WaitGroup
	for range m {
		group.Add(1)
		go func() {
			at("none", "goroutine.apart")
			group.Done()
		}()
		at("iterate", "goroutine.body")
	}
	group.Wait()
}

//go:noinline
func switching(m map[uint64]uint64) {
	for k := range m {
		switch k {
		case 0:
			at("iterate", "switch.0")
		case 1:
			at("iterate", "switch.1")
		case 2:
			at("iterate", "switch.2")
		case 3:
			at("iterate", "switch.3")
		case 4:
			at("iterate", "switch.4")
		case 5:
			at("iterate", "switch.5")
		case 6:
			at("iterate", "switch.6")
		case 7:
			at("iterate", "switch.7")
		case 8:
			at("iterate", "switch.8")
		default:
			at("iterate", "switch.rest")
		}
	}
	at("none", "switch.after")
}

//go:noinline
func labelled(m map[uint64]uint64) {
outer:
	for k := range m {
		at("iterate", "labelled.outer")
		for j := range m {
			if j != k {
				at("iterate", "labelled.other")
				continue outer
			}
			at("iterate", "labelled.same")
		}
		at("iterate", "labelled.through")
	}
	at("none", "labelled.after")
	n := 0
out:
	for range m {
		for range m {
			if n++; n > 20 {
				at("unknown", "labelled.way-out")
				break out
			}
		}
	}
	at("none", "labelled.out")
}

//go:noinline
func returning(m map[uint64]uint64, stop int) int {
	n := 0
	for range m {
		at("iterate", "returning.body")
		if n++; n == stop {
			at("unknown", "returning.way-out")
			return n
		}
	}
	at("none", "returning.after")
	return 0
}

//go:noinline
func returningEarly(m map[uint64]uint64) int {
	n := 0
	for range m {
		if n == 3 {
			at("iterate", "returning-early.way-out")
			return n
		}
		at("iterate", "returning-early.body")
		n++
	}
	at("none", "returning-early.after")
	return 0
}

// found may be compiled so that the break leads straight into the call after the loop.
//
//go:noinline
func found(m map[uint64]uint64) {
	found := false
	for k := range m {
		at("iterate", "found.body")
		if k == 5 {
			found = true
			break
		}
	}
	if found {
		at("apart", "found.after")
	}
	at("none", "found.end")
}

//go:noinline
func panicking(m map[uint64]uint64) {
	defer func() {
		at("iterate", "panicking.deferred")
		_ = recover()
	}()
	var list []int
	for k := range m {
		// Out of bounds: the panic unwinds from inside the body.
		faulting(list, k)
	}
}

//go:noinline
func faulting(list []int, k uint64) int {
	return list[k]
}

//go:noinline
func reflected(m map[uint64]uint64) {
	v := reflect.ValueOf(m)
	for i := 0; i < 2; i++ {
		at("none", "reflected.before")
		it := v.MapRange()
		for it.Next() {
			at("iterate", "reflected.body")
			if it.Key().Uint() == 7 {
				break
			}
		}
		at("none", "reflected.after")
	}
}

//go:noinline
func reflectedHeap(it *reflect.MapIter) {
	for it.Next() {
		at("iterate", "reflected-heap.body")
	}
	at("none", "reflected-heap.after")
}

//go:noinline
func syncRange(m *sync.Map) {
	at("none", "sync.before")
	m.Range(func(_, _ any) bool {
		at("iterate", "sync.body")
		return true
	})
	at("none", "sync.after")
}

func other(n uint64) (s uint64) {
	for i := uint64(0); i < n; i++ {
		at("none", "plain.loop")
		s += i
	}
	return s
}

//go:noinline
func inlinedLoop(m map[uint64]uint64) {
	over(m)
	at("none", "inlined.after")
}

// over is inlined into its caller.
func over(m map[uint64]uint64) {
	for range m {
		at("iterate", "inlined.body")
	}
}

// leaving has nothing but a call on the way out of its loop.
//
//go:noinline
func leaving(m map[uint64]uint64) {
	for k := range m {
		if k == 7 {
			at("unknown", "leaving.way-out")
			return
		}
	}
}

func main() {
	var err error
	pages, err = syscall.Mmap(-1, 0, 128*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		fmt.Fprintln(os.Stderr, "windows:", err)
		os.Exit(99)
	}
	m := map[uint64]uint64{}
	for i := uint64(0); i < 12; i++ {
		m[i] = i
	}
	leaving(m)
	if len(os.Args) > 1 && os.Args[1] == "leaving" {
		return
	}
	simple(m)
	breaking(m)
	repeated(m)
	nested(m)
	calling(m)
	deferred(m)
	deferring(m)
	goroutines(m)
	switching(m)
	labelled(m)
	returning(m, 4)
	returning(m, 100)
	returningEarly(m)
	found(m)
	panicking(m)
	reflected(m)
	reflectedHeap(reflect.ValueOf(m).MapRange())
	var shared sync.Map
	for i := range m {
		shared.Store(i, i)
	}
	syncRange(&shared)
	other(3)
	inlinedLoop(m)
	newer(m)

	start := uintptr(unsafe.Pointer(&pages[0]))
	fmt.Printf("start=%#x\nend=%#x\n", start, start+uintptr(len(pages)))
	names := make([]string, 0, len(places))
	for name := range places {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		p := places[name]
		fmt.Printf("place.%s=%d,%d,%s\n", name, p.page, p.count, p.operation)
	}
}
