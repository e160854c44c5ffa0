// Command stores makes maps whose memory is fresh from the kernel and assigns to them, so that many values
// are the first thing written to their page. Between the assigns the same functions write to fresh pages of
// their own, which are no values of any map. It prints the range of those pages and how many were written.
package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

const page = 4096

var (
	own  []byte
	next int
)

// fresh returns the next page of the program's own.
//
//go:noinline
func fresh() *byte {
	p := &own[next*page]
	next++
	return p
}

// large fits into a map's own memory (up to 128 bytes), and fills a page with 32 values.
type large [16]uint64

type pointers struct {
	a, b *int
	rest [13]uint64
}

//go:noinline
func storeLarge(m map[uint64]large, n uint64) {
	for i := uint64(0); i < n; i++ {
		m[i] = large{3: i, 15: i}
		if i%64 == 0 {
			*fresh() = 1
		}
	}
}

//go:noinline
func storePointers(m map[uint64]pointers, n uint64, x *int) {
	for i := uint64(0); i < n; i++ {
		m[i] = pointers{a: x, b: x}
		if i%64 == 0 {
			*fresh() = 1
		}
	}
}

//go:noinline
func storeWord(m map[uint64]uint64, n uint64) {
	for i := uint64(0); i < n; i++ {
		m[i]++
		m[i] += i
		if i%1024 == 0 {
			*fresh() = 1
		}
	}
}

//go:noinline
func storePointer(m map[uint64]*int, n uint64, x *int) {
	for i := uint64(0); i < n; i++ {
		m[i] = x
		if i%1024 == 0 {
			*fresh() = 1
		}
	}
}

//go:noinline
func storeSlice(m map[uint64][]int, n uint64) {
	for i := uint64(0); i < n; i++ {
		m[i%1000] = append(m[i%1000], int(i))
		if i%1024 == 0 {
			*fresh() = 1
		}
	}
}

//go:noinline
func storeString(m map[string]string, keys []string) {
	for i, k := range keys {
		m[k] = k
		if i%1024 == 0 {
			*fresh() = 1
		}
	}
}

func main() {
	var err error
	own, err = syscall.Mmap(-1, 0, 4096*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		fmt.Fprintln(os.Stderr, "stores:", err)
		os.Exit(99)
	}
	const n = 20000
	x := new(int)
	storeLarge(make(map[uint64]large, n), n)
	storePointers(make(map[uint64]pointers, n), n, x)
	storeWord(make(map[uint64]uint64, 10*n), 10*n)
	storePointer(make(map[uint64]*int, 10*n), 10*n, x)
	storeSlice(make(map[uint64][]int, n), n)
	keys := make([]string, 10*n)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	storeString(make(map[string]string, 10*n), keys)

	start := uintptr(unsafe.Pointer(&own[0]))
	fmt.Printf("start=%#x\nend=%#x\nfresh=%d\n", start, start+uintptr(len(own)), next)
}
