// build: CGO_ENABLED=1
// since: go1.27

// library fills a map for whoever loads it: a C program as a library, a Go program as a plugin.
package main

import "C"

var filled = map[uint64]uint64{}

// Fill assigns to n keys and returns how many there are.
//
//export Fill
func Fill(n C.int) C.int {
	for i := 0; i < int(n); i++ {
		filled[uint64(i)] = uint64(i)
	}
	return C.int(len(filled))
}

// FillFromGo is Fill for Go programs.
func FillFromGo(n int) int { return int(Fill(C.int(n))) }

func main() {}
