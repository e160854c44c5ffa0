// build: CGO_ENABLED=1
// since: go1.27

// plugin_host loads the plugin it is told and has it fill a map.
package main

import (
	"fmt"
	"os"
	"plugin"
)

func main() {
	loaded, err := plugin.Open(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fill, err := loaded.Lookup("FillFromGo")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Printf("assigns=%d\n", fill.(func(int) int)(5000))
}
