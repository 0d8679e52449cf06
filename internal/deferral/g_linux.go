//go:build !amd64

package deferral

import "golang.org/x/sys/unix"

// getg returns the thread's number: an isolated goroutine is locked to its thread.
func getg() uintptr { return uintptr(unix.Gettid()) }
