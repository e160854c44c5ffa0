// Command quiet does nothing that concerns memory: it overwrites a map made large enough and touched before, and
// ranges over it, without collections. During its phase no event of any kind is the map's.
//
// Its phase is the region still=main.phaseStill.
package main

import (
	"fmt"
	"runtime/debug"
)

const entries = 50000

//go:noinline
func work(m map[uint64]uint64, rounds uint64) (count uint64) {
	for round := uint64(0); round < rounds; round++ {
		for i := uint64(0); i < entries; i++ {
			m[i] = i + round
		}
		for _, v := range m {
			count += v & 1
		}
	}
	return count
}

//go:noinline
func phaseStill(m map[uint64]uint64, rounds uint64) (count uint64) {
	count = work(m, rounds)
	return count
}

func main() {
	// The signal that preempts a goroutine would have its handler touch a stack of its own.
	restartWith("asyncpreemptoff=1")
	debug.SetGCPercent(-1)
	m := make(map[uint64]uint64, entries)
	for i := uint64(0); i < entries; i++ {
		m[i] = i
	}
	// Once before: the loop's own stack and code are touched, too.
	work(m, 1)
	odd := phaseStill(m, 4)
	fmt.Printf("entries=%d\nrounds=5\nassigns=%d\niterations=%d\nodd=%d\n", len(m), 6*entries, 5*entries, odd)
}
