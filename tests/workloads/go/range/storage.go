package main

// Where a map keeps its elements, and what may be done to that memory: shared by the experiments, in each
// folder under this name (links to the one in range/), so that a folder is a program by itself.
//
// Offsets are those of runtime.hmap, internal/abi.MapType and internal/runtime/maps (Map, table), the same
// from Go 1.19 to 1.27 where this file reads them.

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const pageSize = 4096

// span is the memory [start, start+size).
type span struct {
	start unsafe.Pointer
	size  uintptr
}

func (s span) contains(address uintptr) bool {
	return address-uintptr(s.start) < s.size
}

// bytes is the span's memory itself.
func (s span) bytes() []byte {
	return unsafe.Slice((*byte)(s.start), s.size)
}

// words is the span's memory in machine words.
func (s span) words() []uint64 {
	return unsafe.Slice((*uint64)(s.start), s.size/8)
}

// swiss tells whether this program's maps are Swiss ones: the default from Go 1.24 on.
func swiss() bool {
	version := runtime.Version()
	if strings.Contains(version, "noswissmap") {
		return false
	}
	at := strings.Index(version, "go1.")
	if at < 0 {
		return true
	}
	digits := version[at+len("go1."):]
	end := 0
	for end < len(digits) && digits[end] >= '0' && digits[end] <= '9' {
		end++
	}
	minor, err := strconv.Atoi(digits[:end])
	return err != nil || minor >= 24
}

// typeAndHeader are the two words of a map in an interface: its type and its header.
func typeAndHeader(m any) (kind, header unsafe.Pointer) {
	words := (*[2]unsafe.Pointer)(unsafe.Pointer(&m))
	return words[0], words[1]
}

func pointerAt(base unsafe.Pointer, offset uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Add(base, offset))
}

// blockSize is the size of one bucket (classic) or group (Swiss) of the map's type.
func blockSize(m any) uintptr {
	kind, _ := typeAndHeader(m)
	if swiss() {
		return *(*uintptr)(unsafe.Add(kind, 80))
	}
	return uintptr(*(*uint16)(unsafe.Add(kind, 82)))
}

// writingFlag tells whether the header says that someone is writing to the map right now.
func writingFlag(m any) bool {
	_, header := typeAndHeader(m)
	if swiss() {
		return *(*uint8)(unsafe.Add(header, 34)) != 0
	}
	return *(*uint8)(unsafe.Add(header, 8))&4 != 0
}

// storageOf returns the memory of a map's elements: the bucket array with the overflow buckets made along with
// it and those made later, or the groups of each table. What a growing classic map still has in its old array is left out.
func storageOf(m any) []span {
	_, header := typeAndHeader(m)
	block := blockSize(m)
	if swiss() {
		return tablesOf(header, block)
	}
	bits := *(*uint8)(unsafe.Add(header, 9))
	buckets := uintptr(1) << bits
	if bits >= 4 {
		buckets += uintptr(1) << (bits - 4)
	}
	array := span{pointerAt(header, 16), buckets * block}
	return append([]span{array}, overflowOf(array, uintptr(1)<<bits, block)...)
}

// overflowOf returns the overflow buckets that lie outside of the array: the last word of a bucket leads to the next.
func overflowOf(array span, buckets, block uintptr) (spans []span) {
	for i := uintptr(0); array.start != nil && i < buckets; i++ {
		next := pointerAt(array.start, (i+1)*block-8)
		for next != nil {
			if !array.contains(uintptr(next)) {
				spans = append(spans, span{next, block})
			}
			next = pointerAt(next, block-8)
		}
	}
	return spans
}

// tablesOf returns the groups of each table of a Swiss map, in the order of its directory.
func tablesOf(header unsafe.Pointer, group uintptr) []span {
	directory := pointerAt(header, 16)
	entries := *(*int)(unsafe.Add(header, 24))
	if directory == nil {
		return nil
	}
	if entries == 0 {
		return []span{{directory, group}}
	}
	var spans []span
	var last unsafe.Pointer
	for _, table := range unsafe.Slice((*unsafe.Pointer)(directory), entries) {
		if table == last {
			continue
		}
		last = table
		groups := *(*uintptr)(unsafe.Add(table, 24)) + 1
		spans = append(spans, span{pointerAt(table, 16), groups * group})
	}
	return spans
}

// wholePages returns the pages that lie inside a span entirely.
func wholePages(s span) span {
	skip := -uintptr(s.start) % pageSize
	if s.size < skip {
		return span{}
	}
	return span{unsafe.Add(s.start, skip), (s.size - skip) &^ (pageSize - 1)}
}

// somePages returns the first n whole pages found in one block of a map's storage.
func somePages(m any, n uintptr) span {
	for _, s := range storageOf(m) {
		if pages := wholePages(s); pages.size >= n*pageSize {
			return span{pages.start, n * pageSize}
		}
	}
	fail("the map's storage has no %d whole pages", n)
	return span{}
}

// protect changes the protection of whole pages.
//
//go:noinline
func protect(s span, prot int) {
	if err := syscall.Mprotect(s.bytes(), prot); err != nil {
		fail("mprotect: %v", err)
	}
}

// mapsText holds /proc/self/maps while a line is looked for: no memory is allocated inside a loop under test.
var mapsText [1 << 18]byte

// mappingOf returns protection and name of the mapping an address lies in, as /proc/self/maps has them.
func mappingOf(address uintptr) (prot, name string) {
	file, err := syscall.Open("/proc/self/maps", syscall.O_RDONLY, 0)
	if err != nil {
		fail("open /proc/self/maps: %v", err)
	}
	defer syscall.Close(file)
	size := 0
	for {
		n, err := syscall.Read(file, mapsText[size:])
		if err != nil {
			fail("read /proc/self/maps: %v", err)
		}
		if n == 0 {
			break
		}
		size += n
	}
	for _, line := range strings.Split(string(mapsText[:size]), "\n") {
		var start, end uintptr
		if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &prot); err == nil && start <= address && address < end {
			if fields := strings.Fields(line); len(fields) > 5 {
				name = strings.Join(fields[5:], " ")
			}
			return prot, name
		}
	}
	return "none", ""
}

// restartWith has the program begin again with a setting in GODEBUG, unless it is there already.
func restartWith(setting string) {
	settings := os.Getenv("GODEBUG")
	if strings.Contains(settings, setting) {
		return
	}
	environment := append(os.Environ(), "GODEBUG="+strings.TrimPrefix(settings+","+setting, ","))
	fail("exec: %v", syscall.Exec("/proc/self/exe", os.Args, environment))
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(99)
}
