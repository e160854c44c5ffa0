// hammer makes, fills, grows and loops over maps in several goroutines whose stacks grow and move, beside a
// collector that never rests, and checks every result, until it is told to stop.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

const entries = 3000

var wrong, rounds int64

// deep makes the goroutine's stack grow, with a loop over a map at its end.
//
//go:noinline
func deep(n int, m map[int]int) int {
	var room [64]int
	if n == 0 {
		sum := 0
		for k, v := range m {
			sum += v - k
		}
		m[-1] = -1
		return sum + room[3]
	}
	room[n%64] = n
	return deep(n-1, m) + room[n%64] - n
}

func work(stop chan struct{}, all *sync.WaitGroup) {
	defer all.Done()
	for {
		select {
		case <-stop:
			return
		default:
		}
		m := make(map[int]int, 20)
		for i := 0; i < entries; i++ {
			m[i] = i
		}
		sum := 0
		for k, v := range m {
			sum += k - v
		}
		small := map[int]int{}
		result := make(chan int)
		go func() {
			for i := 0; i < 20; i++ {
				small[i] = i
			}
			result <- deep(300, small)
		}()
		if <-result != 0 || sum != 0 || len(m) != entries || len(small) != 21 {
			atomic.AddInt64(&wrong, 1)
		}
		atomic.AddInt64(&rounds, 1)
	}
}

func main() {
	stop := make(chan struct{})
	var all sync.WaitGroup
	for g := 0; g < 3; g++ {
		all.Add(1)
		go work(stop, &all)
	}
	go func() {
		for {
			runtime.GC()
		}
	}()
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	close(stop)
	all.Wait()
	fmt.Printf("wrong=%d\n", wrong)
	fmt.Printf("rounds=%d\n", rounds)
}
