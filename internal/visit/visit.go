package visit

import (
	"errors"
	"fmt"
)

// Range is the addresses from Lo up to, and without, Hi.
type Range struct{ Lo, Hi uintptr }

func (r Range) has(addr uintptr) bool { return addr-r.Lo < r.Hi-r.Lo }

func (r Range) String() string { return fmt.Sprintf("[%#x, %#x)", r.Lo, r.Hi) }

// Scene is what a round has to know of the process.
type Scene struct {
	Stubs Range // where stubs can ever be
	Text  Range // the program's own text: the Go runtime's signal handlers are in it
	// Isolated says whether the thread may be isolated, so that it gets no signal, and
	// whether its word shows that it was outside Kernel since the round began.
	Isolated func(tid int) (isolated, passed bool)
	// Ordinary calls f, unless the thread is isolated, which it cannot become before f
	// has returned.
	Ordinary func(tid int, f func())
}

// Errors that Round wraps.
var (
	// ErrUnseen says that threads were not seen outside in time. A later round may see them.
	ErrUnseen = errors.New("threads were not seen outside of stubs")
	// ErrUnable says that threads cannot be looked at here.
	ErrUnable = errors.New("threads cannot be looked at")
)

// Signals returns how many signals rounds have sent.
func Signals() uint64 { return signals.Load() }
