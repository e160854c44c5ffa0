// Refused with "undefined: runtime.maptype" and "undefined: runtime.hmap": a name that begins with a small letter
// is no other package's to use, linkname or not.
package main

import (
	"runtime"
	"unsafe"
)

//go:linkname pulled runtime.mapdelete
func pulled(kind *runtime.maptype, header *runtime.hmap, key unsafe.Pointer)

func main() {
	pulled(nil, nil, nil)
}
