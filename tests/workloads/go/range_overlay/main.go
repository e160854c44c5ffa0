// Command range_overlay makes a page of a live map read-only without mprotect: inside a range it puts a read-only
// mapping with the same contents over the page, writes to it and takes the fault, and puts memory back.
//
// Its phases are the regions fill=main.phaseFill and range=main.phaseRange.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
	"unsafe"
)

const (
	entries        = 20000
	sysMemfdCreate = 319
	protReadWrite  = syscall.PROT_READ | syscall.PROT_WRITE
	mapFixedAnon   = syscall.MAP_PRIVATE | syscall.MAP_FIXED | syscall.MAP_ANON
	mapFixedFile   = syscall.MAP_PRIVATE | syscall.MAP_FIXED
	noFile         = ^uintptr(0)
)

//go:noinline
func phaseFill(m map[uint64]uint64) {
	for i := uint64(0); i < entries; i++ {
		m[i] = i
	}
}

// store writes through a pointer under SetPanicOnFault; true when that faulted.
//
//go:noinline
func store(word *uint64, value uint64) (faulted bool) {
	defer func() { faulted = recover() != nil }()
	*word = value
	return false
}

// memoryFile returns a file in memory, one page long.
func memoryFile() *os.File {
	name := []byte("page\x00")
	file, _, errno := syscall.Syscall(sysMemfdCreate, uintptr(unsafe.Pointer(&name[0])), 0, 0)
	if errno != 0 {
		fail("memfd_create: %v", errno)
	}
	return os.NewFile(file, "page")
}

//go:noinline
func overlay(page span, prot int, flags int, file uintptr) {
	_, _, errno := syscall.Syscall6(syscall.SYS_MMAP, uintptr(page.start), page.size, uintptr(prot), uintptr(flags), file, 0)
	if errno != 0 {
		fail("mmap: %v", errno)
	}
}

//go:noinline
func phaseRange(m map[uint64]uint64, page span, file *os.File, times int) (count, faults int) {
	word := (*uint64)(unsafe.Add(page.start, 64))
	kept := make([]byte, page.size)
	for range m {
		if count++; count > times {
			continue
		}
		copy(kept, page.bytes())
		if _, err := file.WriteAt(kept, 0); err != nil {
			fail("write: %v", err)
		}
		overlay(page, syscall.PROT_READ, mapFixedFile, file.Fd())
		if store(word, 1) {
			faults++
		}
		overlay(page, protReadWrite, mapFixedAnon, noFile)
		copy(page.bytes(), kept)
	}
	return count, faults
}

func main() {
	times := flag.Int("times", 8, "windows of read-only memory")
	flag.Parse()
	debug.SetGCPercent(-1)
	debug.SetPanicOnFault(true)
	m := make(map[uint64]uint64)
	phaseFill(m)
	page := somePages(m, 1)
	ranged, faults := phaseRange(m, page, memoryFile(), *times)
	wrong := 0
	for i := uint64(0); i < entries; i++ {
		if m[i] != i {
			wrong++
		}
	}
	fmt.Printf("entries=%d\nranged=%d\noverlays=%d\nfaults=%d\nwrong=%d\n", len(m), ranged, *times, faults, wrong)
	fmt.Printf("start=%#x\nend=%#x\n", page.start, uintptr(page.start)+page.size)
}
