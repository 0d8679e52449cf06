//go:build !amd64 && !linux

package deferral

// getg returns nothing: no thread is isolated here.
func getg() uintptr { return 0 }
