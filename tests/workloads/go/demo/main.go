// Command demo fills a map, ranges over it, and assigns while ranging: the three things whose page faults
// people argue about. It prints what it did and how long each phase took, as key=value lines.
package main

import (
	"flag"
	"fmt"
	"syscall"
	"time"
)

// CPU time of the process so far, nanoseconds.
func cpu() int64 {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		panic(err)
	}
	return use.Utime.Nano() + use.Stime.Nano()
}

//go:noinline
func assign(m map[uint64]uint64, n uint64) {
	for i := uint64(0); i < n; i++ {
		m[i] = i
	}
}

//go:noinline
func rangeOver(m map[uint64]uint64) (count, sum uint64) {
	for _, v := range m {
		count++
		sum += v
	}
	return count, sum
}

//go:noinline
func rangeAssign(m map[uint64]uint64) (count uint64) {
	for k, v := range m {
		m[k] = v + 1
		count++
	}
	return count
}

func main() {
	n := flag.Uint64("n", 1000000, "entries")
	flag.Parse()
	m := make(map[uint64]uint64)

	used := cpu()
	start := time.Now()
	assign(m, *n)
	assigned := time.Now()
	used = cpu() - used
	count, sum := rangeOver(m)
	ranged := time.Now()
	changed := rangeAssign(m)
	end := time.Now()

	fmt.Printf("entries=%d\n", len(m))
	fmt.Printf("assigns=%d\n", *n+changed)
	fmt.Printf("iterations=%d\n", count+changed)
	fmt.Printf("sum=%d\n", sum)
	fmt.Printf("assign_ns=%d\n", assigned.Sub(start).Nanoseconds())
	fmt.Printf("assign_cpu_ns=%d\n", used)
	fmt.Printf("range_ns=%d\n", ranged.Sub(assigned).Nanoseconds())
	fmt.Printf("range_assign_ns=%d\n", end.Sub(ranged).Nanoseconds())
	fmt.Printf("loop_ns=%d\n", end.Sub(start).Nanoseconds())
}
