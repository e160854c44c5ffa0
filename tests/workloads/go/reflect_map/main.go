// Command reflect_map does through package reflect what the language does with maps, and sets values through it.
//
// Its phases are the regions reflect_assign=main.phaseAssign, reflect_range=main.phaseRange,
// reflect_delete=main.phaseDelete and reflect_set=main.phaseSet.
package main

import (
	"fmt"
	"reflect"
	"unsafe"
)

const entries = 1000

type wide struct{ words [40]uint64 }

//go:noinline
func phaseAssign(m reflect.Value) {
	for i := uint64(0); i < entries; i++ {
		m.SetMapIndex(reflect.ValueOf(i), reflect.ValueOf(i*2))
	}
}

//go:noinline
func phaseRange(m reflect.Value) (right int) {
	for walk := m.MapRange(); walk.Next(); {
		if walk.Value().Uint() == 2*walk.Key().Uint() && m.MapIndex(walk.Key()).IsValid() {
			right++
		}
	}
	return right
}

//go:noinline
func phaseDelete(m reflect.Value) {
	for i := uint64(0); i < entries; i += 2 {
		m.SetMapIndex(reflect.ValueOf(i), reflect.Value{})
	}
}

// phaseSet sets values of three sizes, the last through an interface.
//
//go:noinline
func phaseSet(small *uint64, large *wide, face *any) {
	reflect.ValueOf(small).Elem().Set(reflect.ValueOf(uint64(5)))
	reflect.ValueOf(large).Elem().Set(reflect.ValueOf(wide{[40]uint64{5}}))
	reflect.ValueOf(face).Elem().Set(reflect.ValueOf("five"))
}

// phaseUnsafeAddr has UnsafeAddr's code inlined.
//
//go:noinline
func phaseUnsafeAddr(value reflect.Value) uintptr {
	return value.UnsafeAddr()
}

func main() {
	m := make(map[uint64]uint64)
	value := reflect.ValueOf(m)
	phaseAssign(value)
	fmt.Printf("entries=%d\nranged=%d\n", len(m), phaseRange(value))
	phaseDelete(value)
	fmt.Printf("left=%d\n", len(m))
	var small uint64
	var large wide
	var face any
	phaseSet(&small, &large, &face)
	fmt.Printf("small_set=%t\nlarge_set=%t\ninterface_set=%t\n", small == 5, large.words[0] == 5, face == "five")
	address := phaseUnsafeAddr(reflect.ValueOf(&small).Elem())
	fmt.Printf("unsafe_addr_kind=%s\nunsafe_addr_right=%t\n", reflect.TypeOf(address), address == uintptr(unsafe.Pointer(&small)))
	kind := reflect.TypeOf(value)
	_, pointer := kind.FieldByName("ptr")
	_, plain := kind.FieldByName("typ")
	_, underscored := kind.FieldByName("typ_")
	fmt.Printf("value_has_typ=%t\nvalue_has_ptr=%t\n", plain || underscored, pointer)
}
