package main

import "fmt"

func Example() {
	if err := run(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// off: []
	// on: [read write sync]
	// off: []
}
