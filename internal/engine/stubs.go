package engine

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/arena"
	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/grace"
	"github.com/quietpatch/quietpatch/internal/stub"
	"github.com/quietpatch/quietpatch/internal/visit"
)

// stubMemory is where stubs live: near the text, executable, written by another way.
type stubMemory interface {
	Alloc(n int) (uintptr, error)
	Write(addr uintptr, code []byte) error
	Free(addr uintptr) error
	Stats() arena.Stats
}

// leavingMax is how many stubs may wait for the world to stop by itself; it stops for
// every garbage collection. Beyond it, it is stopped for them.
const leavingMax = 4096

// heldMax is how many may wait while isolated threads forbid that, and looking at all
// threads does not help either: some cannot be seen outside.
const heldMax = 16 * leavingMax

// reapMin is how long after a stub was left the engine looks whether it may be freed, if
// nobody has come by to do it. From look to look it waits twice as long, up to reapMax.
const (
	reapMin = time.Second
	reapMax = time.Minute
)

// reapLater makes sure that the engine looks.
func (e *Engine) reapLater(after time.Duration) {
	if e.reaping || e.leaving == 0 && !e.unswept {
		return
	}
	e.reaping = true
	time.AfterFunc(after, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.reaping = false
		e.reap()
		e.reapLater(min(2*after, reapMax))
	})
}

// reap frees what may be freed.
func (e *Engine) reap() {
	e.sweepAll()
	if deferral.Any() {
		e.hurried = 0 // whom the last look did not see outside may be there now
	}
	e.hurry()
}

// sweepAll lets go of all that nothing leads to.
func (e *Engine) sweepAll() {
	e.unswept = false
	for _, k := range e.keys {
		if k.callees != nil {
			k.callees.sweep(k.value())
		}
	}
	e.freeLeft()
}

// makeStub puts code near the text. Nothing leads there yet.
//
// What was there before, another stub or INT3 beside one that runs, may be in the
// pipeline of a CPU, so a sync has to come between the write and the first jump there:
// syncStubs.
func (e *Engine) makeStub(size int, code func(at uint64) ([]byte, error)) (uintptr, error) {
	if e.leaving > heldMax && deferral.Any() {
		return 0, fmt.Errorf("%d stubs wait to be freed, at most %d may: a thread is isolated, and the world "+
			"is not stopped for them as long as it is; the last look at all threads: %v", e.leaving, heldMax, e.unseen)
	}
	mem, err := e.m.Stubs()
	if err != nil {
		return 0, err
	}
	e.stubs = mem
	at, err := mem.Alloc(size)
	if err != nil {
		return 0, err
	}
	b, err := code(uint64(at))
	if err == nil && len(b) > size {
		err = fmt.Errorf("a stub at %#x: expected %d bytes, found %d", at, size, len(b))
	}
	if err == nil {
		err = mem.Write(at, b)
	}
	if err != nil {
		e.freeStub(at)
		return 0, err
	}
	e.unsynced = true
	return at, nil
}

// syncStubs makes the sync that new stubs need before anything leads there.
func (e *Engine) syncStubs() error {
	if !e.unsynced {
		return nil
	}
	if err := e.sync(); err != nil {
		return &SiteError{Step: "before 0", Undone: true, Err: fmt.Errorf("the sync behind new stubs: %w", err)}
	}
	return nil
}

// closureStub makes the stub that loads a closure's context and jumps to its code.
func (e *Engine) closureStub(fn unsafe.Pointer, entry uint64) (uintptr, error) {
	return e.makeStub(stub.ClosureMax, func(at uint64) ([]byte, error) {
		return stub.Closure(at, uint64(uintptr(fn)), entry)
	})
}

// freeStub gives the memory of a stub back. No thread can be inside, nor get there. It
// works without a machine, too, for stubs that one has left behind.
func (e *Engine) freeStub(at uintptr) {
	if err := e.stubs.Free(at); err != nil {
		e.problem("the stub at %#x could not be freed: %v", at, err)
	}
}

// callChanges returns the changes of static calls. A batch of keys alone, of which there
// may be thousands, is not gone through for that in a program without any.
func (e *Engine) callChanges(changes []Change) []Change {
	if !e.hasCalls {
		return nil
	}
	var calls []Change
	for _, c := range changes {
		if c.Key.callees != nil {
			calls = append(calls, c)
		}
	}
	return calls
}

// meetCallees makes the functions among the new values known.
func meetCallees(calls []Change) {
	for _, c := range calls {
		c.Key.callees.meet(c.Func)
	}
}

// leadCallees gives the functions that the calls are about to have their places.
func leadCallees(calls []Change) {
	for _, c := range calls {
		c.Key.callees.lead(c.Value)
	}
}

// leadWithoutStubs is leadCallees for what needs no stub.
func leadWithoutStubs(calls []Change) {
	for _, c := range calls {
		k := c.Key.callees
		if f := k.known[c.Value]; f != nil && k.e.img != nil && !k.needsStub(f) {
			k.lead(c.Value)
		}
	}
}

// calleesWait returns an error if a change needs a new stub: a sync comes behind it.
func calleesWait(calls []Change) error {
	for _, c := range calls {
		if c.Key.callees.waits(c.Value) {
			return fmt.Errorf("%w: %s: %s is a closure that is new here, and a sync comes behind its stub; use Update",
				ErrNoWait, c.Key.label(), c.Key.text(c.Value))
		}
	}
	return nil
}

// sweepCallees lets go of what the changes may have left behind; if too much waits for
// the world to stop, it is stopped, once for all.
func (e *Engine) sweepCallees(calls []Change) {
	for _, c := range calls {
		c.Key.callees.sweep(c.Key.value())
	}
	e.hurry()
}

// hurry stops the world if too many stubs wait for that, and lets go of them.
//
// A stop would stop isolated threads that run Go code, too, and wait for them if they
// block Go's signal; one that is in Kernel or in foreign code may be back in its loop before the
// stop is complete. So as long as there is any isolated thread, all threads are looked at
// instead. Where some are not seen outside, stubs wait, and when there are far too many
// no new one is made.
func (e *Engine) hurry() {
	if e.leaving <= max(leavingMax, 2*e.hurried) || e.stuck != nil || e.owed != nil || e.soon {
		return
	}
	if deferral.Any() {
		e.visit()
	} else {
		if _, err := grace.Synchronize(); err != nil {
			e.problem("%v", err)
		}
		e.count.GraceStops++
	}
	e.sweepAll()
	e.hurried = e.leaving // what it did not help
}

// visit looks at all threads.
func (e *Engine) visit() {
	if e.m == nil {
		return
	}
	e.unseen = grace.Look(e.m.Visit)
	e.count.GraceVisits++
	if errors.Is(e.unseen, visit.ErrUnable) {
		e.problem("beside isolated threads stubs are freed only when the world is stopped for something else: %v", e.unseen)
	}
}
