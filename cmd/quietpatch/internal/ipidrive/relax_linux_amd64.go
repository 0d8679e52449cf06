package ipidrive

import "sync/atomic"

// relax says that the thread spins: emulators and hypervisors let other CPUs run then. It does
// not check the stack.
func relax()

// spin counts turns until it is told to stop. It is in assembly since with the race detector also
// an atomic operation checks the stack.
//
//go:noescape
func spin(turns *atomic.Int64, stop *atomic.Uint32)
