// Command linkname pulls runtime.mapdelete in under a name of its own, deletes with it and with the delete
// statement, and says whether the statement was changed by that. Run as itself again, it meets a breakpoint.
//
// Its phases are the regions plain_delete=main.phaseDelete and pulled_delete=main.phasePulled.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"unsafe"
)

//go:linkname pulled runtime.mapdelete
func pulled(kind, header, key unsafe.Pointer)

type pair struct{ a, b uint64 }

// phaseDelete deletes a key of a kind that has no fast variant.
//
//go:noinline
func phaseDelete(m map[pair]uint64, key pair) {
	delete(m, key)
}

//go:noinline
func phaseFast(m map[uint64]uint64, key uint64) {
	delete(m, key)
}

//go:noinline
func phasePulled(m map[pair]uint64, key pair) {
	words := (*[2]unsafe.Pointer)(unsafe.Pointer(&[]any{m}[0]))
	pulled(words[0], words[1], unsafe.Pointer(&key))
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "break" {
		runtime.Breakpoint()
		return
	}
	m, fast := make(map[pair]uint64), make(map[uint64]uint64)
	for i := uint64(0); i < 100; i++ {
		m[pair{i, i}] = i
		fast[i] = i
	}
	phaseDelete(m, pair{1, 1})
	plain := len(m)
	phasePulled(m, pair{2, 2})
	after := len(m)
	phaseDelete(m, pair{3, 3})
	phaseFast(fast, 1)
	fmt.Printf("entries=100\nafter_plain=%d\nafter_pulled=%d\nafter_plain_again=%d\nfast_after=%d\n", plain, after, len(m), len(fast))

	self := exec.Command("/proc/self/exe", "break")
	var stderr bytes.Buffer
	self.Stderr = &stderr
	err := self.Run()
	fmt.Printf("breakpoint_died=%t\nbreakpoint_exit=%d\nbreakpoint_sigtrap=%t\n",
		err != nil, self.ProcessState.ExitCode(), strings.Contains(stderr.String(), "SIGTRAP"))
}
