package isolate

import (
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/engine"
	"github.com/quietpatch/quietpatch/statickey"
)

// tracked is on while any thread may be isolated. It is checked in isolation, too, so the
// engine spares nobody when it rewrites its checks (Arm, Disarm), and it changes only while
// nobody is isolated.
var tracked statickey.Bool

func init() { engine.Default.MarkNoinstr(unsafe.Pointer(&tracked)) }

// Kernel is [Thread.Kernel] for whatever thread calls it: on one that is not isolated it
// just calls f. It is for code that does not know on which thread it runs: Go functions
// that C calls back, handlers of signals, libraries. While the program has no isolated thread it costs
// a check of a static key.
func Kernel(f func()) {
	if tracked.Enabled() {
		if t := current(); t != nil {
			t.Kernel(f)
			return
		}
	}
	f()
}

// User is [Thread.User] for whatever thread calls it.
func User(f func()) {
	if tracked.Enabled() {
		if t := current(); t != nil {
			t.User(f)
			return
		}
	}
	f()
}

// Guest is [Thread.Guest] for whatever thread calls it.
func Guest(f func()) {
	if tracked.Enabled() {
		if t := current(); t != nil {
			t.Guest(f)
			return
		}
	}
	f()
}

// Idle is [Thread.Idle] for whatever thread calls it.
func Idle(f func()) {
	if tracked.Enabled() {
		if t := current(); t != nil {
			t.Idle(f)
			return
		}
	}
	f()
}

// current returns the Thread of the calling goroutine, nil if it is none.
func current() *Thread {
	c := deferral.Current()
	if c == nil {
		return nil
	}
	return threads[c.CPU()].Load()
}

// Synchronize returns when every isolated thread has been isolated at some time since the
// call, or has ended: it has left whatever code it ran in KERNEL then, so what it may have
// used there can be freed. A thread that is in isolation is not waited for. It is a grace
// period of RCU, with isolation as the quiescent state, and disturbs nobody: it reads the
// threads' words until they have moved.
func Synchronize() { deferral.Synchronize() }

// State is what [Status] returns; it is part of [quietpatch.State], and its JSON form is stable.
type State = engine.Isolation

// ThreadState is one of [State]'s threads.
type ThreadState = engine.IsolatedThread

// UnmapCounts are [State]'s counts of mappings that waited.
type UnmapCounts = engine.UnmapCounts

// Status returns the isolated threads, with what was deferred for them and what they did
// that they should not have, and what waits to be unmapped.
func Status() State { return engine.Default.Status().Isolation }
