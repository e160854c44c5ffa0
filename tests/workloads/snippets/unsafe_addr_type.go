// Refused with "cannot use": UnsafeAddr returns a uintptr, not a pointer to what it finds.
package main

import "reflect"

func main() {
	value := int64(1)
	var address *int64 = reflect.ValueOf(&value).Elem().UnsafeAddr()
	*address = 2
}
