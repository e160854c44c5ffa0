// maps does known numbers of things to maps and says how many, so that a trace can be held against it.
//
//	makes       maps made by a call (too large to be made in line)
//	small       small maps made by a call: they escape
//	iterations  loops begun over a map
//	storage     address ranges of the growing map's memory, as the program itself finds them
package main

import (
	"flag"
	"fmt"
	"os"
	"sync"
)

var (
	makes      = flag.Int("makes", 100, "maps made with room for -hint entries")
	small      = flag.Int("small", 100, "small maps made")
	hint       = flag.Int("hint", 100, "room of each map made")
	iterations = flag.Int("iterations", 1000, "loops over a map")
	entries    = flag.Int("entries", 100000, "entries of the growing map")
	goroutines = flag.Int("goroutines", 4, "goroutines that share the loops")
)

var (
	keep      []map[uint64]uint64
	keepSmall []map[string]int
	sum       uint64
)

//go:noinline
func makeLarge(n int) {
	for i := 0; i < n; i++ {
		keep = append(keep, make(map[uint64]uint64, *hint))
	}
}

//go:noinline
func makeSmall(n int) {
	for i := 0; i < n; i++ {
		keepSmall = append(keepSmall, make(map[string]int))
	}
}

//go:noinline
func grow(m map[uint64]uint64, n int) {
	for i := 0; i < n; i++ {
		m[uint64(i)] = uint64(i)
	}
}

//go:noinline
func loop(m map[uint64]uint64, n int) (s uint64) {
	for i := 0; i < n; i++ {
		for _, v := range m {
			s += v
			if s&7 == 7 {
				break
			}
		}
	}
	return s
}

func main() {
	flag.Parse()
	makeLarge(*makes)
	makeSmall(*small)
	growing := make(map[uint64]uint64)
	keep = append(keep, growing)
	grow(growing, *entries)
	ten := make(map[uint64]uint64, *hint)
	grow(ten, 10)
	keep = append(keep, ten)
	var all sync.WaitGroup
	results := make([]uint64, *goroutines)
	share := *iterations / *goroutines
	for g := 0; g < *goroutines; g++ {
		all.Add(1)
		go func(g int) {
			defer all.Done()
			results[g] = loop(ten, share)
		}(g)
	}
	all.Wait()
	for _, s := range results {
		sum += s
	}
	fmt.Printf("makes %d\n", *makes+1)
	fmt.Printf("small %d\n", *small+1)
	fmt.Printf("iterations %d\n", share**goroutines)
	fmt.Printf("growing %#x\n", header(growing))
	for _, part := range storage(growing) {
		fmt.Printf("storage %s\n", part)
	}
	if len(os.Args) > 100 {
		fmt.Println(sum)
	}
}
