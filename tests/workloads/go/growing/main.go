// Command growing grows a map step by step and says at which sizes its memory was replaced, what the runtime's
// own statistics say of it, how the elements lie, and, as root, whether pages that follow each other are
// frames that do.
//
// Its phases are the regions growth=main.phaseGrow and range_growth=main.phaseRangeGrow.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"unsafe"
)

const (
	keyMark   = 0xbef0_0000_0000_0000
	valueMark = 0xafe0_0000_0000_0000
	entries   = 50000
	smallMaps = 64
)

// grown is what was seen while a map grew.
type grown struct {
	replaced, sysGrew, oldSeen, powers int
}

// phaseGrow adds n entries, looking at the header after each.
//
//go:noinline
func phaseGrow(m map[uint64]uint64, n uint64) (seen grown) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var last unsafe.Pointer
	for i := uint64(0); i < n; i++ {
		m[keyMark|i] = valueMark | i
		_, header := typeAndHeader(m)
		if !swiss() && pointerAt(header, 24) != nil {
			seen.oldSeen++
		}
		block := pointerAt(header, 16)
		if block == last {
			continue
		}
		last = block
		seen.replaced++
		if shape(header, i) {
			seen.powers++
		}
		runtime.ReadMemStats(&after)
		if after.Sys > before.Sys {
			seen.sysGrew++
		}
		before = after
	}
	return seen
}

// shape tells whether the map has as many buckets (or entries of the directory) as the power of two its header
// says. Classic maps double at 6.5 entries a bucket, so the n entries there were when the last growth began
// tell how many buckets there had been; the first bucket holds 8.
func shape(header unsafe.Pointer, n uint64) bool {
	if swiss() {
		entries := *(*int)(unsafe.Add(header, 24))
		return entries == 0 || entries == 1<<*(*uint8)(unsafe.Add(header, 32))
	}
	switch bits := *(*uint8)(unsafe.Add(header, 9)); bits {
	case 0:
		return n == 0
	case 1:
		return n == 8
	default:
		return n == 13<<(bits-2)
	}
}

// phaseRangeGrow inserts while ranging until the map is four times as large.
//
//go:noinline
func phaseRangeGrow(m map[uint64]uint64) (inserted int) {
	next, end := uint64(1)<<40, 4*len(m)
	for range m {
		for i := 0; i < 8 && len(m) < end; i++ {
			m[next] = 0
			next++
			inserted++
		}
	}
	return inserted
}

// lie counts where in their block the keys and the values lie: offset 8+8j for a key's slot j in a block of
// tophash or control bytes, keys, elements; 8+16j where key and element alternate.
func lie(m map[uint64]uint64) (apart, alternating, blocks int) {
	size := blockSize(m) / 8
	for _, s := range storageOf(m) {
		words := s.words()
		for at := uintptr(0); at+size <= uintptr(len(words)); at += size {
			blocks++
			block := words[at : at+size]
			for j := 0; j < 8; j++ {
				if mark := block[1+j] &^ keyMark; block[1+j]&keyMark == keyMark && block[9+j] == valueMark|mark {
					apart++
				}
				if mark := block[1+2*j] &^ keyMark; block[1+2*j]&keyMark == keyMark && block[2+2*j] == valueMark|mark {
					alternating++
				}
			}
		}
	}
	return apart, alternating, blocks
}

// frames counts neighbouring pages of the storage, and those whose frames are neighbours; none unless root.
func frames(m map[uint64]uint64) (pairs, neighbours int) {
	file, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return 0, 0
	}
	defer file.Close()
	frame := func(address uintptr) uint64 {
		var entry [8]byte
		if _, err := file.ReadAt(entry[:], int64(address/pageSize*8)); err != nil {
			return 0
		}
		return binary.LittleEndian.Uint64(entry[:]) & (1<<55 - 1)
	}
	for _, s := range storageOf(m) {
		pages := wholePages(s)
		for at := uintptr(pageSize); at < pages.size; at += pageSize {
			here := frame(uintptr(pages.start) + at)
			before := frame(uintptr(pages.start) + at - pageSize)
			if here != 0 && before != 0 {
				pairs++
				if here == before+1 {
					neighbours++
				}
			}
		}
	}
	return pairs, neighbours
}

// smallUnaligned counts small maps whose memory does not begin with a page.
func smallUnaligned() (count int) {
	for i := 0; i < smallMaps; i++ {
		m := make(map[uint64]uint64)
		for k := uint64(0); k < 100; k++ {
			m[k] = k
		}
		if uintptr(storageOf(m)[0].start)%pageSize != 0 {
			count++
		}
	}
	return count
}

func main() {
	debug.SetGCPercent(-1)
	m := make(map[uint64]uint64)
	seen := phaseGrow(m, entries)
	fmt.Printf("entries=%d\nreplaced=%d\nsys_grew=%d\nold_array_without_gc=%d\npower_of_two=%t\n",
		len(m), seen.replaced, seen.sysGrew, seen.oldSeen, seen.powers == seen.replaced)
	_, header := typeAndHeader(m)
	if !swiss() {
		fmt.Printf("buckets=%d\n", 1<<*(*uint8)(unsafe.Add(header, 9)))
	}
	apart, alternating, blocks := lie(m)
	fmt.Printf("block_size=%d\nblocks=%d\nkeys_then_elements=%d\nalternating=%d\n", blockSize(m), blocks, apart, alternating)
	fmt.Printf("slots_per_block=%d\n", (blockSize(m)-8)/16)
	unaligned := 0
	for _, s := range storageOf(m) {
		if uintptr(s.start)%pageSize != 0 {
			unaligned++
		}
	}
	fmt.Printf("spans=%d\nspans_not_page_aligned=%d\n", len(storageOf(m)), unaligned)
	pairs, neighbours := frames(m)
	if pairs > 0 {
		fmt.Printf("frame_pairs=%d\nframe_neighbours=%d\nframes_contiguous=%t\n", pairs, neighbours, pairs == neighbours)
	}
	fmt.Printf("small_maps=%d\nsmall_not_page_aligned=%d\n", smallMaps, smallUnaligned())
	fmt.Printf("range_inserted=%d\n", phaseRangeGrow(m))
	prot, _ := mappingOf(uintptr(storageOf(m)[0].start))
	fmt.Printf("vma=%s\n", prot)
}
