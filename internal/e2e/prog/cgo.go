//go:build withcgo

package main

// #include <stdint.h>
// static uint32_t one(void) { return 1; }
import "C"

// Code in C in front of and behind the Go text, for the external linker.
func init() { _ = C.one() }
