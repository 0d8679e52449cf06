package main

/*
#include <stdint.h>

int twice(int x) { return 2 * x; }

static uintptr_t twice_address(void) { return (uintptr_t)&twice; }
*/
import "C"

import (
	"fmt"

	"github.com/quietpatch/quietpatch/app"
)

func main() {
	app.Main()
	fmt.Printf("c twice %#x\n", uintptr(C.twice_address()))
	if C.twice(3) != 6 {
		panic("C code is broken")
	}
}
