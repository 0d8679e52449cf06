package isolate

import (
	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/tracking"
)

// Thread is an isolated thread, for the function that runs on it. Its methods may be
// called on the goroutine of that function only, as long as [Run] runs; elsewhere they just
// call their function, and [Status] tells of the mistake.
type Thread struct {
	c         *deferral.Context
	deferIdle bool
}

// CPU returns the CPU that the thread has for itself.
func (t *Thread) CPU() int { return t.c.CPU() }

// Kernel calls f out of isolation: f is ordinary code, which may check keys, make static
// calls, block, allocate. What others have changed meanwhile is made up for before f
// begins. Then the thread is as isolated as before, also if f panics or calls runtime.Goexit.
//
// Processes that f starts begin on the thread's CPU, and with Options.BlockSignals with its signals blocked, as children
// do: start them on another goroutine.
//
// Within f, [Thread.User] and its like go into isolation again, and Kernel just calls its function.
//
// In the terms of the Go memory model: a call of a key's Set (an Update of a call, and so on) that
// has returned before Kernel calls f synchronizes before every check in f.
func (t *Thread) Kernel(f func()) { t.in(tracking.Kernel, f) }

// User calls f in isolation: f is a loop of Go code without checks and calls that change.
func (t *Thread) User(f func()) { t.in(tracking.User, f) }

// Guest calls f in isolation as User does, for foreign code: a cgo call that runs for long.
// Go does not stop a thread in such a call. If the foreign code calls Go functions back, these
// go out of isolation by [Kernel].
func (t *Thread) Guest(f func()) { t.in(tracking.Guest, f) }

// Idle calls f, which waits: for a file, a lock, a channel. Without
// [Options.DeferIdle] it is Kernel: a CPU that sleeps is interrupted by nobody, so
// sparing it is worth its price (who changes text asks for it each time) only where f spins before it sleeps.
func (t *Thread) Idle(f func()) {
	if t.deferIdle {
		t.in(tracking.Idle, f)
		return
	}
	t.in(tracking.Kernel, f)
}

// in calls f in a state, and restores the one before. Everything that leaves f, whether it
// returns, panics or ends the goroutine, comes by the deferred call; so does a function given to
// UnmapFunc that ends the goroutine on the way to f.
func (t *Thread) in(s tracking.State, f func()) {
	if !t.c.Mine() {
		foreign(t.c.CPU())
		f()
		return
	}
	from := t.c.State()
	if from == s {
		// Nested, so nothing is tracked twice. But a signal handler may have come in
		// between the way back and the catch-up of the code that it interrupted.
		t.c.CatchUp()
		f()
		return
	}
	defer t.back(from)
	t.c.Switch(s)
	f()
}

func (t *Thread) back(to tracking.State) { t.c.Switch(to) }

// Safepoint lets Go stop the thread if it wants to: for a collection, for another
// goroutine. It costs about a nanosecond, runs nothing that may be changed, and the thread stays
// isolated, stopped or not. A Go loop with [Options.BlockSignals] in a program that collects garbage calls
// it often, every 100 microseconds or so: the whole program waits for it.
//
//go:noinline
func (t *Thread) Safepoint() { leaf() }

// leaf makes Safepoint a function that calls: its prologue asks whether it has to stop.
//
//go:noinline
func leaf() {}
