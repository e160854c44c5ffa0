// Command collect collects garbage a known number of times and gives memory back, and says what the runtime counted.
// Then it ends in several ways, each in a process of its own (itself, run again), and says how each died.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

const (
	forced = 7
	size   = 16 << 20
)

var block []byte

// Ways to end, by argument.
var ways = map[string]func(){
	"panic":  func() { panic(errors.New("odd \x1b[31mtext")) },
	"long":   func() { panic(strings.Repeat("long ", 200)) },
	"value":  func() { panic(42) },
	"unlock": func() { new(sync.Mutex).Unlock() },
	"asleep": func() { select {} },
	"recover": func() {
		defer func() { _ = recover() }()
		panic("nobody sees this")
	},
}

// first is what a process said first of its end.
func first(text string) string {
	for _, line := range strings.Split(text, "\n") {
		for _, begin := range []string{"fatal error: ", "panic: "} {
			if strings.HasPrefix(line, begin) {
				return line
			}
		}
	}
	return "none"
}

func report(way string) {
	self := exec.Command("/proc/self/exe", way)
	var stderr bytes.Buffer
	self.Stderr = &stderr
	_ = self.Run()
	fmt.Printf("%s_exit=%d\n%s_text=%q\n", way, self.ProcessState.ExitCode(), way, first(stderr.String()))
}

//go:noinline
func phaseCollect() {
	for i := 0; i < forced; i++ {
		runtime.GC()
	}
}

//go:noinline
func phaseScavenge() {
	block = nil
	debug.FreeOSMemory()
}

func main() {
	if len(os.Args) > 1 {
		ways[os.Args[1]]()
		return
	}
	debug.SetGCPercent(-1)
	phaseCollect()
	block = make([]byte, size)
	for i := 0; i < size; i += 4096 {
		block[i] = 1
	}
	phaseScavenge()
	for _, way := range []string{"panic", "long", "value", "unlock", "asleep", "recover"} {
		report(way)
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Printf("pid=%d\ncollections=%d\nforced=%d\npause_ns=%d\n", os.Getpid(), stats.NumGC, stats.NumForcedGC, stats.PauseTotalNs)
	fmt.Printf("given_back=%d\nheap_least=%d\n", size, stats.HeapSys+stats.StackInuse)
	fmt.Printf("heap_most=%d\n", stats.HeapSys+stats.StackSys+stats.GCSys+stats.OtherSys)
}
