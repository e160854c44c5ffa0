// Command operations does nothing but operations on maps, of every kind that is counted, and says how many: for
// so many rounds, or until it has used so much CPU time. The collector is off, and after a first round no memory
// is touched that was not before.
package main

import (
	"flag"
	"fmt"
	"runtime/debug"
	"syscall"
)

const entries = 1000

type counts struct {
	assigns, accesses, deletes, steps, clears uint64
}

//go:noinline
func round(m, small map[uint64]uint64, names map[string]uint64, keys []string, done *counts) (sum uint64) {
	for i := uint64(0); i < entries; i++ {
		m[i] = i
	}
	for i := uint64(0); i < entries; i++ {
		sum += m[i]
	}
	for _, key := range keys {
		names[key] = sum
		sum += names[key]
	}
	for i := uint64(0); i < entries; i += 8 {
		delete(m, i)
	}
	for _, v := range m {
		sum += v
	}
	small[1] = sum
	// What the compiler makes of this is the clear of the runtime.
	for k := range small {
		delete(small, k)
	}
	n := uint64(len(keys))
	done.assigns += entries + n + 1
	done.accesses += entries + n
	done.deletes += entries / 8
	// The last step finds the end.
	done.steps += uint64(len(m)) + 1
	done.clears++
	return sum
}

func usage() (cpuNS, minorFaults int64) {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		panic(err)
	}
	return use.Utime.Nano() + use.Stime.Nano(), use.Minflt
}

func main() {
	rounds := flag.Uint64("rounds", 1<<62, "rounds")
	cpu := flag.Duration("cpu", 0, "stop after this much CPU time")
	flag.Parse()
	debug.SetGCPercent(-1)
	m, small, names := map[uint64]uint64{}, map[uint64]uint64{}, map[string]uint64{}
	var keys []string
	for i := 0; i < 100; i++ {
		keys = append(keys, fmt.Sprint("key ", i))
	}
	var done counts
	var sum uint64
	sum = round(m, small, names, keys, &done)
	_, before := usage()
	ran := uint64(1)
	for ; ran < *rounds; ran++ {
		sum += round(m, small, names, keys, &done)
		if ran%64 == 0 && *cpu > 0 {
			if used, _ := usage(); used >= int64(*cpu) {
				break
			}
		}
	}
	used, after := usage()
	fmt.Printf("rounds=%d\n", ran)
	fmt.Printf("assigns=%d\n", done.assigns)
	fmt.Printf("accesses=%d\n", done.accesses)
	fmt.Printf("deletes=%d\n", done.deletes)
	fmt.Printf("steps=%d\n", done.steps)
	fmt.Printf("clears=%d\n", done.clears)
	fmt.Printf("faults=%d\n", after-before)
	fmt.Printf("cpu_ns=%d\n", used)
	fmt.Printf("sum=%d\n", sum)
}
