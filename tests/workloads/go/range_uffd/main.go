// Command range_uffd makes pages of a live map read-only without any call that names a protection: it has
// userfaultfd write-protect them inside a range, writes, and a second thread lets each write through.
// It needs the right to use userfaultfd: root, or vm.unprivileged_userfaultfd = 1.
//
// Its phases are the regions range=main.phaseRange, range_assign=main.storeInRange and overwrite=main.overwrite.
package main

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Numbers of include/uapi/linux/userfaultfd.h.
const (
	sysUserfaultfd    = 323
	ioctlAPI          = 0xc018aa3f
	ioctlRegister     = 0xc020aa00
	ioctlUnregister   = 0x8010aa01
	ioctlWriteProtect = 0xc018aa06
	version           = 0xaa
	featureWP         = 1
	modeWP            = 2
	protectWP         = 1
	eventPageFault    = 0x12
	messageSize       = 32
	entries           = 20000
)

//go:noinline
func phaseFill(m map[uint64]uint64) {
	for i := uint64(0); i < entries; i++ {
		m[i] = i
	}
}

func ioctl(file, request uintptr, argument unsafe.Pointer) {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file, request, uintptr(argument)); errno != 0 {
		fail("ioctl %#x: %v", request, errno)
	}
}

// register hands pages to a new userfaultfd for write-protection.
func register(pages span) (file uintptr) {
	file, _, errno := syscall.Syscall(sysUserfaultfd, syscall.O_CLOEXEC, 0, 0)
	if errno != 0 {
		fail("userfaultfd: %v", errno)
	}
	ioctl(file, ioctlAPI, unsafe.Pointer(&[3]uint64{version, featureWP, 0}))
	ioctl(file, ioctlRegister, unsafe.Pointer(&[4]uint64{uint64(uintptr(pages.start)), uint64(pages.size), modeWP, 0}))
	return file
}

//go:noinline
func writeProtect(file uintptr, address, size, mode uint64) {
	ioctl(file, ioctlWriteProtect, unsafe.Pointer(&[3]uint64{address, size, mode}))
}

// serve lets every write that waits through, and counts them.
func serve(file uintptr, served *int64) {
	runtime.LockOSThread()
	for {
		var message [messageSize]byte
		n, err := syscall.Read(int(file), message[:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n != messageSize || message[0] != eventPageFault {
			fail("read from userfaultfd: %d bytes, %v", n, err)
		}
		address := *(*uint64)(unsafe.Pointer(&message[16])) &^ (pageSize - 1)
		atomic.AddInt64(served, 1)
		writeProtect(file, address, pageSize, 0)
	}
}

// storeInRange stores what is there already.
//
//go:noinline
func storeInRange(word *uint64) {
	overwrite(word, *word)
}

//go:noinline
func overwrite(word *uint64, value uint64) {
	*word = value
}

//go:noinline
func phaseRange(m map[uint64]uint64, page span, file uintptr, times int) (count int) {
	words := page.words()
	for range m {
		if count++; count <= times {
			writeProtect(file, uint64(uintptr(page.start)), pageSize, protectWP)
			storeInRange(&words[count%len(words)])
		}
	}
	return count
}

func main() {
	times := flag.Int("times", 8, "writes that wait")
	flag.Parse()
	// The signal that preempts a goroutine would interrupt the kernel at a fault that waits.
	restartWith("asyncpreemptoff=1")
	// A write that waits holds its thread: nothing may stop the world, and the server needs a thread of its own.
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(4)
	m := make(map[uint64]uint64)
	phaseFill(m)
	page := somePages(m, 1)
	file := register(page)
	var served int64
	go serve(file, &served)
	ranged := phaseRange(m, page, file, *times)
	ioctl(file, ioctlUnregister, unsafe.Pointer(&[2]uint64{uint64(uintptr(page.start)), uint64(page.size)}))
	fmt.Printf("entries=%d\nranged=%d\nserved=%d\n", len(m), ranged, atomic.LoadInt64(&served))
	fmt.Printf("start=%#x\nend=%#x\n", page.start, uintptr(page.start)+page.size)
}
