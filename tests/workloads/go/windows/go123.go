//go:build go1.23

package main

import (
	"iter"
	"maps"
)

// newer has the loops of Go 1.23 and later.
func newer(m map[uint64]uint64) {
	functions(m)
	functionsApart(maps.Keys(m))
	clearing(maps.Clone(m))
}

//go:noinline
func functions(m map[uint64]uint64) {
	at("none", "functions.before")
	for range maps.All(m) {
		at("iterate", "functions.body")
	}
	at("none", "functions.between")
	for k := range maps.Keys(m) {
		at("iterate", "functions.keys")
		if k == 3 {
			break
		}
	}
	at("none", "functions.after")
}

//go:noinline
func functionsApart(keys iter.Seq[uint64]) {
	for range keys {
		at("iterate", "functions-apart.body")
	}
	at("none", "functions-apart.after")
}

//go:noinline
func clearing(m map[uint64]uint64) {
	for range m {
		at("iterate", "clearing.before")
		clear(m)
		at("iterate", "clearing.after")
	}
	at("none", "clearing.end")
}
