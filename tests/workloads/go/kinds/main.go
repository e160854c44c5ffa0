// kinds does everything that can be done to a map, to maps of many kinds of keys and values, and says how often,
// and where the maps' memory is in the end.
//
//	assigns, accesses, deletes, steps, clears   operations; a loop that ends takes a step more than its body
//	map.N                header and type of a map that is kept
//	storage.N.M          its memory for entries
//	double, same_size    growths of the map that is churned
//	churned              its header
//
// With -gc the collector never rests. With -sync a sync.Map is used as well. With -idiom maps are
// also emptied in loops, which is one operation unless the compiler is told not to optimise.
package main

import (
	"flag"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

type (
	pair  struct{ a, b uint64 }
	mixed struct {
		name string
		n    int
	}
	large  [200]byte
	larger [2000]byte
)

var assigns, accesses, deletes, steps, clears int64

// done adds up what one goroutine did.
type done struct{ assigns, accesses, deletes, steps, clears int64 }

func (d *done) add() {
	atomic.AddInt64(&assigns, d.assigns)
	atomic.AddInt64(&accesses, d.accesses)
	atomic.AddInt64(&deletes, d.deletes)
	atomic.AddInt64(&steps, d.steps)
	atomic.AddInt64(&clears, d.clears)
}

var (
	lock sync.Mutex
	kept []any
)

func keep(m any) {
	lock.Lock()
	kept = append(kept, m)
	lock.Unlock()
}

var sink any

// exercise fills a map, looks its entries up, deletes some and loops over the rest.
//
//go:noinline
func exercise[K comparable, V any](key func(int) K, value V, n int) {
	var d done
	m := make(map[K]V)
	keep(m)
	for i := 0; i < n; i++ {
		m[key(i)] = value
		d.assigns++
	}
	found := 0
	for i := 0; i < n; i++ {
		if _, is := m[key(i)]; is {
			found++
		}
		d.accesses++
	}
	if found != n {
		fail("%T: %d of %d", m, found, n)
	}
	for i := 0; i < n; i += 7 {
		held := m[key(i)]
		d.accesses++
		if i == n-1 {
			sink = held
		}
	}
	for i := 0; i < n; i += 3 {
		delete(m, key(i))
		d.deletes++
	}
	d.loops(len(m), loops(m))
	for i := 0; i < n; i += 3 {
		m[key(i)] = value
		d.assigns++
	}
	d.add()
}

func (d *done) loops(entries int, bodies int64) {
	d.steps += bodies
	if bodies == 0 || entries == 0 {
		fail("loops over an empty map")
	}
}

// loops returns the steps of loops that end, break, and stand in one another.
//
//go:noinline
func loops[K comparable, V any](m map[K]V) (steps int64) {
	for range m {
		steps++
	}
	steps++
	for i := 0; i < 3; i++ {
		for k := range m {
			steps++
			sink = k
			break
		}
	}
	outer := 0
	for range m {
		steps++
		if outer++; outer > 4 {
			break
		}
		for _, v := range m {
			steps++
			sink = v
		}
		steps++
	}
	return steps
}

//go:noinline
func floats(n int) {
	exercise(func(i int) float64 { return float64(i) + 0.5 }, uint8(1), n)
	// Not equal to itself: an entry that can never be found.
	m := map[float64]int{}
	keep(m)
	for i := 0; i < 20; i++ {
		m[math.NaN()] = i
	}
	atomic.AddInt64(&assigns, 20)
}

// faces has keys of several types, whose hash and comparison are found when they are needed.
//
//go:noinline
func faces(n int) {
	var d done
	m := make(map[any]any)
	keep(m)
	for i := 0; i < n; i++ {
		m[i] = names[i]
		m[names[i]] = i
		m[pair{1, uint64(i)}] = nil
		d.assigns += 3
	}
	for i := 0; i < n; i++ {
		if m[i] != any(names[i]) {
			fail("another value")
		}
		_, is := m[names[i]]
		if _, not := m[float32(i)]; not || !is {
			fail("another key")
		}
		d.accesses += 3
	}
	for i := 0; i < n; i += 2 {
		delete(m, i)
		d.deletes++
	}
	for k, v := range m {
		d.steps++
		sink = [2]any{k, v}
	}
	d.steps++
	d.add()
}

// cleared empties maps the way the compiler makes one call of.
//
//go:noinline
func cleared(n int) {
	var d done
	numbers, words := make(map[uint64]uint64), make(map[string]int)
	keep(numbers)
	keep(words)
	for i := 0; i < n; i++ {
		numbers[uint64(i)]++
		words[names[i]] = i
		d.assigns += 2
	}
	if *idiom {
		for k := range numbers {
			delete(numbers, k)
		}
		for k := range words {
			delete(words, k)
		}
		d.clears += 2
	}
	clearMore(&d, numbers, words, n)
	for i := 0; i < n; i++ {
		numbers[uint64(i)] = 1
		words[names[i]] = 1
		d.assigns += 2
	}
	d.add()
}

//go:noinline
func reflected(n int) {
	var d done
	words := reflect.ValueOf(map[string]int{})
	structs := reflect.MakeMap(reflect.TypeOf(map[pair]large{}))
	keep(words.Interface())
	keep(structs.Interface())
	for i := 0; i < n; i++ {
		words.SetMapIndex(reflect.ValueOf(names[i]), reflect.ValueOf(i))
		structs.SetMapIndex(reflect.ValueOf(pair{uint64(i), 1}), reflect.ValueOf(large{1}))
		d.assigns += 2
		if words.MapIndex(reflect.ValueOf(names[i])).Int() != int64(i) {
			fail("reflect found another value")
		}
		structs.MapIndex(reflect.ValueOf(pair{uint64(i), 1}))
		d.accesses += 2
	}
	for i := 0; i < n; i += 2 {
		words.SetMapIndex(reflect.ValueOf(names[i]), reflect.Value{})
		structs.SetMapIndex(reflect.ValueOf(pair{uint64(i), 1}), reflect.Value{})
		d.deletes += 2
	}
	for _, m := range []reflect.Value{words, structs} {
		for walk := m.MapRange(); walk.Next(); {
			d.steps++
		}
		d.steps++
	}
	d.add()
}

// shared uses a sync.Map as one uses a map.
//
//go:noinline
func shared(n int) {
	var d done
	var m sync.Map
	for i := 0; i < n; i++ {
		m.Store(i, i)
		m.LoadOrStore(i, -1)
		m.Store(i, i+1)
		d.assigns += 3
		if v, is := m.Load(i); !is || v != i+1 {
			fail("sync.Map lost %d", i)
		}
		d.accesses++
	}
	for i := 0; i < n; i += 2 {
		m.Delete(i)
		m.LoadAndDelete(i + 1)
		d.deletes += 2
	}
	d.add()
}

var (
	names   []string
	targets []int
	idiom   *bool
)

func main() {
	n := flag.Int("n", 300, "entries of each map")
	collect := flag.Bool("gc", false, "collect garbage all the time")
	withSync := flag.Bool("sync", false, "use a sync.Map")
	idiom = flag.Bool("idiom", false, "empty maps by a loop that the compiler makes one call of")
	flag.Parse()
	for i := 0; i < *n; i++ {
		names = append(names, fmt.Sprint("a key with a number ", i))
	}
	targets = make([]int, *n)
	if *collect {
		go func() {
			for {
				runtime.GC()
			}
		}()
	}
	var all sync.WaitGroup
	for _, part := range parts {
		all.Add(1)
		go func(part func(int)) {
			defer all.Done()
			part(*n)
		}(part)
	}
	if *withSync {
		shared(*n)
	}
	churned := churn(*n)
	all.Wait()
	fmt.Printf("assigns=%d\naccesses=%d\ndeletes=%d\nsteps=%d\nclears=%d\n", assigns, accesses, deletes, steps, clears)
	for i, m := range append(kept, churned) {
		_, header := typeAndHeader(m)
		fmt.Printf("map.%d=%#x %v\n", i, uintptr(header), reflect.TypeOf(m))
		for j, s := range entriesOf(m) {
			fmt.Printf("storage.%d.%d=%#x-%#x\n", i, j, uintptr(s.start), uintptr(s.start)+s.size)
		}
	}
	runtime.KeepAlive(churned)
}

var parts = []func(int){
	func(n int) {
		exercise(func(i int) uint32 { return uint32(i) }, uint64(1), n)
		exercise(func(i int) [4]byte { return [4]byte{byte(i), byte(i >> 8)} }, "text", n)
		exercise(func(i int) uint64 { return uint64(i) }, uint64(1), n)
		exercise(func(i int) int { return i }, struct{}{}, n)
		exercise(func(i int) uint64 { return uint64(i) }, large{}, n)
		exercise(func(i int) int { return i }, larger{}, n)
	},
	func(n int) {
		exercise(func(i int) *int { return &targets[i] }, 1, n)
		exercise(func(i int) unsafe.Pointer { return unsafe.Pointer(&targets[i]) }, &targets[0], n)
		exercise(func(i int) string { return names[i] }, 1, n)
		exercise(func(i int) string { return names[i] }, larger{}, n)
		exercise(func(i int) string { return names[i] }, []int{1}, n)
	},
	func(n int) {
		exercise(func(i int) pair { return pair{uint64(i), 1} }, 1, n)
		exercise(func(i int) mixed { return mixed{names[i], i} }, true, n)
		faces(n)
		exercise(func(i int) large { return large{byte(i), byte(i >> 8)} }, large{}, n)
		exercise(func(i int) uint16 { return uint16(i) }, int8(1), n)
		floats(n)
	},
	cleared,
	reflected,
}
