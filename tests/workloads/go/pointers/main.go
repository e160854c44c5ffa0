// Command pointers changes what a range's loop variable refers to, for values of several kinds, and says which
// changes the map shows afterwards.
//
// Its phase is the region mutate=main.phaseMutate.
package main

import "fmt"

const entries = 100

type box struct{ x int }

//go:noinline
func phaseMutate(boxes map[string]*box, slices map[string][]int, inner map[string]map[string]int, plain map[string]box) {
	for _, v := range boxes {
		v.x += 10
	}
	for _, v := range slices {
		v[0] += 10
	}
	for _, v := range inner {
		v["x"] += 10
	}
	for _, v := range plain {
		v.x += 10
	}
}

//go:noinline
func phaseRangeAssign(plain map[string]box) {
	for k, v := range plain {
		plain[k] = box{v.x + 10}
	}
}

func main() {
	boxes, slices := make(map[string]*box), make(map[string][]int)
	inner, plain := make(map[string]map[string]int), make(map[string]box)
	key := func(i int) string { return fmt.Sprint("key", i) }
	for i := 0; i < entries; i++ {
		boxes[key(i)] = &box{i}
		slices[key(i)] = []int{i}
		inner[key(i)] = map[string]int{"x": i}
		plain[key(i)] = box{i}
	}
	phaseMutate(boxes, slices, inner, plain)
	var changed struct{ boxes, slices, inner, plain, assigned int }
	count := func(into *int, value, i int) {
		if value == i+10 {
			*into++
		}
	}
	for i := 0; i < entries; i++ {
		count(&changed.boxes, boxes[key(i)].x, i)
		count(&changed.slices, slices[key(i)][0], i)
		count(&changed.inner, inner[key(i)]["x"], i)
		count(&changed.plain, plain[key(i)].x, i)
	}
	phaseRangeAssign(plain)
	for i := 0; i < entries; i++ {
		count(&changed.assigned, plain[key(i)].x, i)
	}
	fmt.Printf("entries=%d\npointers_changed=%d\nslices_changed=%d\nmaps_changed=%d\nvalues_changed=%d\nassigned_changed=%d\n",
		entries, changed.boxes, changed.slices, changed.inner, changed.plain, changed.assigned)
}
