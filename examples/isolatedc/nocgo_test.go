//go:build !cgo

package main

import "testing"

func TestProgram(t *testing.T) {
	t.Skip("no cgo: a C compiler and CGO_ENABLED=1 are needed")
}
