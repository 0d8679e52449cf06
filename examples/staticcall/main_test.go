package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

func Example() {
	if err := run(os.Stdout, io.Discard); err != nil {
		fmt.Println(err)
	}
	// Output:
	// at the start: 0x83b5
	// generic: 0x83b5
	// counted: 0x83b5
	// wide: 0x83b5
	// counted some: true
}

// TestSum: the implementations agree.
func TestSum(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 3000 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32() | uint32(n)<<7>>8) // some have many ones
		}
		if g, w := sumGeneric(b), sumWide(b); g != w {
			t.Fatalf("%d bytes: generic %#04x, wide %#04x", n, g, w)
		}
	}
}
