// Command debugger has gdb look at this program: whether it knows a register that holds a fault's address, and
// whether it stops at a system call that maps memory. Without gdb it prints nothing of that.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// gdb runs commands on this program's file, started with the argument that makes it end at once.
func gdb(path string, commands ...string) string {
	arguments := []string{"-nx", "-q", "-batch"}
	for _, command := range commands {
		arguments = append(arguments, "-ex", command)
	}
	self, err := os.Executable()
	if err != nil {
		fail("executable: %v", err)
	}
	arguments = append(arguments, "--args", self, "end")
	output, err := exec.Command(path, arguments...).CombinedOutput()
	if err != nil {
		fail("gdb: %v: %s", err, output)
	}
	return string(output)
}

func main() {
	if len(os.Args) > 1 {
		return
	}
	path, err := exec.LookPath("gdb")
	if err != nil {
		fmt.Println("gdb=none")
		return
	}
	looked := gdb(path, "starti", "print $cr2", "kill")
	cr2 := "unknown"
	for _, line := range strings.Split(looked, "\n") {
		if value := strings.TrimPrefix(line, "$1 = "); value != line {
			cr2 = value
		}
	}
	caught := gdb(path, "catch syscall mmap", "run", "kill")
	fmt.Printf("gdb=%s\ncr2=%s\nmmap_caught=%t\n", path, cr2, strings.Contains(caught, "call to syscall mmap"))
}
