//go:build go1.21

package main

// clearMore empties maps by the language's own word for it.
//
//go:noinline
func clearMore(d *done, numbers map[uint64]uint64, words map[string]int, n int) {
	for i := 0; i < n; i++ {
		numbers[uint64(i)] = 2
		words[names[i]] = 2
		d.assigns += 2
	}
	clear(numbers)
	clear(words)
	d.clears += 2
}
