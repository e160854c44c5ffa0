// Command cgo ranges over a map in a program with C code and threads of C's own: its C library changes protections
// of memory for reasons of its own, none of it a map's.
//
// Its phases are the regions fill=main.phaseFill, range=main.phaseRange and call=main.phaseCall.
//
// build: CGO_ENABLED=1
package main

// #include <stdlib.h>
// #include <string.h>
// static int churn(int n) {
//     int sum = 0;
//     for (int i = 0; i < n; i++) {
//         char *block = malloc(100000);
//         if (!block)
//             return -1;
//         memset(block, i, 100000);
//         sum += block[i] == (char)i;
//         free(block);
//     }
//     return sum;
// }
import "C"

import (
	"fmt"
	"runtime"
	"sync"
)

const (
	entries = 50000
	threads = 4
	blocks  = 20
)

//go:noinline
func phaseFill(m map[uint64]uint64) {
	for i := uint64(0); i < entries; i++ {
		m[i] = i
	}
}

//go:noinline
func phaseRange(m map[uint64]uint64) (count int) {
	for k, v := range m {
		v = v + 1
		if v == k+1 {
			count++
		}
	}
	return count
}

// phaseCall has C code allocate on threads of its own.
//
//go:noinline
func phaseCall() (sum int) {
	var wait sync.WaitGroup
	var lock sync.Mutex
	for i := 0; i < threads; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			runtime.LockOSThread()
			own := int(C.churn(blocks))
			lock.Lock()
			sum += own
			lock.Unlock()
		}()
	}
	wait.Wait()
	return sum
}

func main() {
	m := make(map[uint64]uint64)
	phaseFill(m)
	churned := phaseCall()
	count := phaseRange(m)
	prot, _ := mappingOf(uintptr(storageOf(m)[0].start))
	fmt.Printf("entries=%d\nunchanged=%d\nblocks=%d\nvma=%s\n", len(m), count, churned, prot)
}
