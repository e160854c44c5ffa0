// Command sync_map compares sync.Map with a map behind a sync.RWMutex: new keys and overwriting, by one, two and
// eight goroutines, the two taking turns. It prints nanoseconds per write, the median of the rounds.
//
// Its phases are the regions sync_store=main.phaseSyncStore, locked_store=main.phaseLockedStore,
// sync_load=main.phaseSyncLoad and sync_range=main.phaseSyncRange.
package main

import (
	"flag"
	"fmt"
	"reflect"
	"sort"
	"sync"
	"time"
)

type locked struct {
	sync.RWMutex
	m map[int]int
}

//go:noinline
func phaseSyncStore(m *sync.Map, from, to int) {
	for i := from; i < to; i++ {
		m.Store(i, i)
	}
}

//go:noinline
func phaseLockedStore(m *locked, from, to int) {
	for i := from; i < to; i++ {
		m.Lock()
		m.m[i] = i
		m.Unlock()
	}
}

//go:noinline
func phaseSyncLoad(m *sync.Map, n int) (found int) {
	for i := 0; i < n; i++ {
		if _, is := m.Load(i); is {
			found++
		}
	}
	return found
}

//go:noinline
func phaseSyncRange(m *sync.Map) (count int) {
	m.Range(func(key, value any) bool {
		if key == value {
			count++
		}
		return true
	})
	return count
}

// timed runs work on parts of 0..n by several goroutines; returns nanoseconds per item.
func timed(goroutines, n int, work func(from, to int)) float64 {
	var wait sync.WaitGroup
	start := time.Now()
	for g := 0; g < goroutines; g++ {
		wait.Add(1)
		go func(g int) {
			defer wait.Done()
			work(g*n/goroutines, (g+1)*n/goroutines)
		}(g)
	}
	wait.Wait()
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

func median(values []float64) float64 {
	sort.Float64s(values)
	return values[len(values)/2]
}

// hasField tells whether a struct type, or a struct in it, has a field of that name.
func hasField(kind reflect.Type, name string) bool {
	_, found := kind.FieldByName(name)
	return found
}

func main() {
	n := flag.Int("n", 20000, "writes of each measurement")
	rounds := flag.Int("rounds", 7, "measurements of each kind")
	flag.Parse()
	var syncs sync.Map
	for _, goroutines := range []int{1, 2, 8} {
		var fresh, over [2][]float64
		for round := 0; round < *rounds; round++ {
			syncs = sync.Map{}
			with := &locked{m: make(map[int]int)}
			store := func(from, to int) { phaseSyncStore(&syncs, from, to) }
			lock := func(from, to int) { phaseLockedStore(with, from, to) }
			fresh[0] = append(fresh[0], timed(goroutines, *n, store))
			fresh[1] = append(fresh[1], timed(goroutines, *n, lock))
			over[0] = append(over[0], timed(goroutines, *n, store))
			over[1] = append(over[1], timed(goroutines, *n, lock))
		}
		fmt.Printf("sync_new_%d_ns=%.0f\nlocked_new_%d_ns=%.0f\n", goroutines, median(fresh[0]), goroutines, median(fresh[1]))
		fmt.Printf("sync_over_%d_ns=%.0f\nlocked_over_%d_ns=%.0f\n", goroutines, median(over[0]), goroutines, median(over[1]))
	}
	fmt.Printf("writes=%d\nsync_ranged=%d\nsync_loaded=%d\n", *n, phaseSyncRange(&syncs), phaseSyncLoad(&syncs, *n))
	kind := reflect.TypeOf(&syncs).Elem()
	fmt.Printf("has_dirty=%t\nhas_dirty_len=%t\n", hasField(kind, "dirty"), hasField(kind, "dirtyLen"))
}
