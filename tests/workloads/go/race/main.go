// Command race uses one map from two goroutines without a lock, in three ways, each in a process of its own
// (itself, run again), and says how each died.
//
// In the processes, the uses are the regions writer=main.keepWriting, ranger=main.keepRanging and
// reader=main.keepReading.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

const patience = 20 * time.Second

//go:noinline
func keepWriting(m map[int]int) {
	for {
		for i := 0; i < 1000; i++ {
			m[i] = i
		}
	}
}

//go:noinline
func keepRanging(m map[int]int) {
	for {
		for k := range m {
			sink = k
		}
	}
}

//go:noinline
func keepReading(m map[int]int) {
	for {
		for i := 0; i < 1000; i++ {
			sink = m[i]
		}
	}
}

var sink int

func misuse(other func(map[int]int)) {
	runtime.GOMAXPROCS(4)
	m := make(map[int]int)
	for i := 0; i < 1000; i++ {
		m[i] = i
	}
	go other(m)
	go keepWriting(m)
	time.Sleep(patience)
	fmt.Fprintln(os.Stderr, "nothing happened")
	os.Exit(99)
}

// report runs this program again to misuse a map, and prints its status and the runtime's words.
func report(name, way string) {
	self := exec.Command("/proc/self/exe", way)
	var stderr bytes.Buffer
	self.Stderr = &stderr
	err := self.Run()
	text := stderr.String()
	words := "none"
	if at := strings.Index(text, "fatal error: "); at >= 0 {
		words, _, _ = strings.Cut(text[at+len("fatal error: "):], "\n")
	}
	fmt.Printf("%s_exit=%d\n%s_text=%s\n", name, self.ProcessState.ExitCode(), name, words)
	fmt.Printf("%s_died=%t\n%s_sigsegv=%t\n", name, err != nil, name, strings.Contains(text, "SIGSEGV"))
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "write":
			misuse(keepWriting)
		case "iterate":
			misuse(keepRanging)
		case "read":
			misuse(keepReading)
		}
	}
	report("write_write", "write")
	report("write_iterate", "iterate")
	report("write_read", "read")
}
