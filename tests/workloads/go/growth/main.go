// Command growth grows maps of several kinds from empty, and one made large enough at once.
package main

import (
	"flag"
	"fmt"
	"strconv"
)

type wide struct{ words [12]uint64 }

//go:noinline
func growIntegers(n int) map[uint64]uint64 {
	m := make(map[uint64]uint64)
	for i := 0; i < n; i++ {
		m[uint64(i)] = 1
	}
	return m
}

//go:noinline
func growStrings(n int) map[string]int {
	m := make(map[string]int)
	for i := 0; i < n; i++ {
		m[strconv.Itoa(i)] = i
	}
	return m
}

//go:noinline
func growWide(n int) map[uint32]wide {
	m := make(map[uint32]wide)
	for i := 0; i < n; i++ {
		m[uint32(i)] = wide{}
	}
	return m
}

//go:noinline
func madeLarge(n int) map[uint64]uint64 {
	m := make(map[uint64]uint64, n)
	for i := 0; i < n; i++ {
		m[uint64(i)] = 1
	}
	return m
}

func main() {
	n := flag.Int("n", 200000, "entries of each map")
	flag.Parse()
	integers := growIntegers(*n)
	strings := growStrings(*n)
	wides := growWide(*n / 4)
	large := madeLarge(*n)
	for k := range integers {
		if k%2 == 0 {
			delete(integers, k)
		}
	}
	fmt.Printf("integers=%d\nstrings=%d\nwide=%d\nlarge=%d\n",
		len(integers), len(strings), len(wides), len(large))
	fmt.Printf("assigns=%d\n", 3**n+*n/4)
}
