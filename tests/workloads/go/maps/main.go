// maps does known numbers of things to maps and says how many, so that a trace can be held against it.
//
//	makes       maps made by a call (too large to be made in line)
//	small       small maps made by a call: they escape
//	iterations  loops begun over a map
//	growing     the header of the map that grows
//	storage.N   address ranges of its memory, as the program itself finds them
//
// With -gate it waits for a byte before the loops, and for the end of its input before it ends. With -exec it
// becomes itself again first, without that flag.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

var (
	makes      = flag.Int("makes", 100, "maps made with room for -hint entries")
	small      = flag.Int("small", 100, "small maps made")
	hint       = flag.Int("hint", 100, "room of each map made")
	iterations = flag.Int("iterations", 1000, "loops over a map")
	entries    = flag.Int("entries", 100000, "entries of the growing map")
	goroutines = flag.Int("goroutines", 4, "goroutines that share the loops")
	gate       = flag.Bool("gate", false, "wait for a byte before the loops")
	again      = flag.Bool("exec", false, "become this program again")
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

// loops iterates over a map in several goroutines; returns how often.
func loops(m map[uint64]uint64) int {
	var all sync.WaitGroup
	results := make([]uint64, *goroutines)
	share := *iterations / *goroutines
	for g := 0; g < *goroutines; g++ {
		all.Add(1)
		go func(g int) {
			defer all.Done()
			results[g] = loop(m, share)
		}(g)
	}
	all.Wait()
	for _, s := range results {
		sum += s
	}
	return share * *goroutines
}

func main() {
	flag.Parse()
	if *again {
		var arguments []string
		for _, argument := range os.Args {
			if argument != "-exec" {
				arguments = append(arguments, argument)
			}
		}
		fmt.Println(syscall.Exec("/proc/self/exe", arguments, os.Environ()))
		os.Exit(1)
	}
	makeLarge(*makes)
	makeSmall(*small)
	growing := make(map[uint64]uint64)
	keep = append(keep, growing)
	grow(growing, *entries)
	ten := make(map[uint64]uint64, *hint)
	grow(ten, 10)
	keep = append(keep, ten)
	if *gate {
		fmt.Println("ready")
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			os.Exit(1)
		}
	}
	begun := loops(ten)
	fmt.Printf("makes=%d\n", *makes+1)
	fmt.Printf("small=%d\n", *small+1)
	fmt.Printf("iterations=%d\n", begun)
	fmt.Printf("growing=%#x\n", header(growing))
	for n, part := range storage(growing) {
		fmt.Printf("storage.%d=%s\n", n, part)
	}
	if *gate {
		fmt.Println("done")
		io.Copy(io.Discard, os.Stdin)
	}
}
