// Command fault does to memory what the runtime is said to do, and shows what a Go program then sees: a page of
// its own made read-only or inaccessible, and pages of a map's storage made read-only. It prints every outcome.
//
// Its phases are the regions own_page=main.phaseOwnPage, no_access=main.phaseNoAccess,
// range_read_only=main.phaseRange and assign_read_only=main.phaseAssign.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"unsafe"
)

const before = 0xbef0_0000_0000_0000

// outcome is how an access ended.
type outcome struct {
	faulted bool
	address uintptr
}

// attempt makes an access under SetPanicOnFault and takes the panic, if one comes.
//
//go:noinline
func attempt(access func()) (end outcome) {
	defer func() {
		if fault, is := recover().(interface{ Addr() uintptr }); is {
			end = outcome{true, fault.Addr()}
		}
	}()
	access()
	return outcome{}
}

func ownPage(prot int) span {
	page, err := syscall.Mmap(-1, 0, pageSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		fail("mmap: %v", err)
	}
	page[8] = 7
	own := span{unsafe.Pointer(&page[0]), pageSize}
	protect(own, prot)
	return own
}

//go:noinline
func phaseOwnPage() {
	page := ownPage(syscall.PROT_READ)
	read := attempt(func() { _ = *(*byte)(unsafe.Add(page.start, 8)) })
	write := attempt(func() { *(*byte)(unsafe.Add(page.start, 8)) = 9 })
	kept := page.bytes()[8] == 7
	fmt.Printf("ro_read_faults=%t\nro_write_faults=%t\nro_value_kept=%t\n", read.faulted, write.faulted, kept)
	prot, _ := mappingOf(uintptr(page.start))
	fmt.Printf("ro_vma=%s\n", prot)
	fmt.Printf("ro_address_right=%t\n", write.address == uintptr(page.start)+8)
}

//go:noinline
func phaseNoAccess() {
	page := ownPage(syscall.PROT_NONE)
	read := attempt(func() { sink = *(*byte)(unsafe.Add(page.start, 8)) })
	write := attempt(func() { *(*byte)(unsafe.Add(page.start, 8)) = 9 })
	prot, _ := mappingOf(uintptr(page.start))
	fmt.Printf("none_vma=%s\n", prot)
	fmt.Printf("none_read_faults=%t\nnone_write_faults=%t\n", read.faulted, write.faulted)
}

var sink byte

//go:noinline
func phaseRange(m map[uint64]uint64) (count int) {
	for k, v := range m {
		if v == before|k {
			count++
		}
	}
	return count
}

//go:noinline
func phaseAssign(m map[uint64]uint64, keys []uint64) (faults, inPages int, pages span) {
	pages = somePages(m, 1)
	for _, k := range keys {
		end := attempt(func() { m[k] = 5 })
		if end.faulted {
			faults++
		}
		if pages.contains(end.address) {
			inPages++
		}
	}
	return faults, inPages, pages
}

// keysIn returns keys whose elements lie on the pages.
func keysIn(pages span, most int) (keys []uint64) {
	for _, word := range pages.words() {
		if word&before == before && len(keys) < most {
			keys = append(keys, word&^before)
		}
	}
	return keys
}

// onStorage makes a page of a live map read-only, ranges, assigns, and gives the page back.
func onStorage() {
	m := make(map[uint64]uint64)
	for k := uint64(0); k < 10000; k++ {
		m[k] = before | k
	}
	pages := somePages(m, 1)
	keys := keysIn(pages, 4)
	protect(pages, syscall.PROT_READ)
	count := phaseRange(m)
	prot, _ := mappingOf(uintptr(pages.start))
	faults, inPages, _ := phaseAssign(m, keys)
	protect(pages, syscall.PROT_READ|syscall.PROT_WRITE)
	kept := phaseRange(m)
	fmt.Printf("storage_vma=%s\n", prot)
	fmt.Printf("storage_start=%#x\nstorage_end=%#x\n", pages.start, uintptr(pages.start)+pages.size)
	fmt.Printf("storage_ranged=%d\nstorage_tried=%d\nstorage_faults=%d\nstorage_in_page=%d\nstorage_kept=%d\n",
		count, len(keys), faults, inPages, kept)
}

// unhandled runs this program again to write to a read-only page without SetPanicOnFault, and prints how it died.
func unhandled() {
	self := exec.Command("/proc/self/exe", "die")
	var stderr bytes.Buffer
	self.Stderr = &stderr
	err := self.Run()
	status, text := self.ProcessState.ExitCode(), stderr.String()
	fmt.Printf("unhandled_exit=%d\nunhandled_error=%t\n", status, err != nil)
	fmt.Printf("write_ignored=%t\n", err == nil)
	fmt.Printf("unhandled_fatal=%t\n", strings.Contains(text, "fatal error: fault"))
	fmt.Printf("unhandled_sigsegv=%t\nunhandled_accerr=%t\nunhandled_sigbus=%t\n",
		strings.Contains(text, "SIGSEGV"), strings.Contains(text, "code=0x2"), strings.Contains(text, "SIGBUS"))
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "die" {
		page := ownPage(syscall.PROT_READ)
		*(*byte)(page.start) = 9
		return
	}
	debug.SetGCPercent(-1)
	debug.SetPanicOnFault(true)
	phaseOwnPage()
	phaseNoAccess()
	onStorage()
	unhandled()
}
