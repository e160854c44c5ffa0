//go:build !goexperiment.arenas

package main

func main() {
	fail("built without GOEXPERIMENT=arenas")
}
