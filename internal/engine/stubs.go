package engine

import (
	"fmt"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/arena"
	"github.com/quietpatch/quietpatch/internal/stub"
)

// stubMemory is where stubs live: near the text, executable, written by another way.
type stubMemory interface {
	Alloc(n int) (uintptr, error)
	Write(addr uintptr, code []byte) error
	Free(addr uintptr) error
	Stats() arena.Stats
}

// makeStub puts code near the text. Nothing leads there yet.
//
// What was there before, another stub or INT3 beside one that runs, may be in the
// pipeline of a CPU, so a sync has to come between the write and the first jump there:
// syncStubs.
func (e *Engine) makeStub(size int, code func(at uint64) ([]byte, error)) (uintptr, error) {
	if err := e.tooManyHeld(); err != nil {
		return 0, err
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
	e.freeLeft()
	e.hurry()
}
