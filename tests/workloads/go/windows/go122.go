//go:build !go1.23

package main

func newer(map[uint64]uint64) {}
