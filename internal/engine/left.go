package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/grace"
	"github.com/quietpatch/quietpatch/internal/visit"
)

// leavingMax is how many stubs may wait for the world to stop by itself; it stops for
// every garbage collection. Beyond it, it is stopped for them.
const leavingMax = 4096

// heldMax is how many may wait while isolated threads forbid that, and looking at all
// threads does not help either: some cannot be seen outside, or do not come back. With what the engine
// knows of them they take some megabytes, and with what the closures captured.
const heldMax = 4 * leavingMax

// leftStub is a stub that no call leads to any more.
type leftStub struct {
	at    uintptr
	since *departure // nil: a CPU may still lead there
	freed func()     // or nil
}

// departure is when stubs were left, many at once: no CPU can lead there any more. They may be
// freed when the period is over and each thread that was isolated has come back, or ended. Neither
// a stop of the world nor a look is enough for these: who breaks its promise, and makes calls out
// there, owes the sync, so it may still follow the old call, and a look goes by its word.
type departure struct {
	grace.Period
	out deferral.Snapshot
}

func departs() *departure { return &departure{grace.Begin(), deferral.Outside()} }

// overBy is Period's.
func (d *departure) overBy(now *departure) bool { return d.OverBy(now.Period) && d.out.Crossed() }

// leave puts a stub, if there is one, among those that wait to be freed.
func (e *Engine) leave(at uintptr, freed func()) {
	if at != 0 {
		e.left = append(e.left, leftStub{at: at, freed: freed})
		e.leaving++
	}
	e.reapLater(reapMin)
}

// keep takes a stub that calls are to lead to again out of them: one of the last, most often.
func (e *Engine) keep(at uintptr) {
	for i := len(e.left) - 1; i >= 0; i-- {
		if e.left[i].at == at {
			e.left = slices.Delete(e.left, i, i+1)
			e.leaving--
			return
		}
	}
}

// freeLeft begins the grace periods that may begin, and frees what they are over for. The oldest are
// first: behind one that waits, all others do.
func (e *Engine) freeLeft() {
	if e.stuck != nil || e.owed != nil || e.soon || len(e.left) == 0 {
		return // a CPU may still lead there
	}
	now := departs()
	for i := len(e.left) - 1; i >= 0 && e.left[i].since == nil; i-- {
		e.left[i].since = now
	}
	n := 0
	for ; n < len(e.left) && e.left[n].since.overBy(now); n++ {
		l := &e.left[n]
		e.freeStub(l.at)
		if l.freed != nil {
			l.freed()
		}
		*l = leftStub{}
	}
	e.left = e.left[n:]
	e.leaving -= n
}

// held returns the isolated thread that the oldest waits for, and that no look can help with.
func (e *Engine) held() (cpu, tid int) {
	if len(e.left) == 0 || e.left[0].since == nil || e.left[0].since.out.Crossed() {
		return 0, 0
	}
	return e.left[0].since.out.First()
}

// tooManyHeld returns an error if there may be no more stubs for now.
func (e *Engine) tooManyHeld() error {
	if e.leaving <= heldMax || !deferral.Any() {
		return nil
	}
	e.freeLeft()
	if e.hurry(); e.leaving <= heldMax {
		return nil
	}
	if cpu, tid := e.held(); tid != 0 {
		return fmt.Errorf("more than %d stubs wait to be freed: expected isolated threads to come back now and then, found thread %d on CPU %d "+
			"out since the oldest was left: let it cross Thread.Kernel now and then", heldMax, tid, cpu)
	}
	why := "all threads will be looked at again"
	if e.unseen != nil {
		why = "the last look at all threads: " + e.unseen.Error()
	}
	return fmt.Errorf("more than %d stubs wait to be freed: a thread is isolated, and the world is not stopped for them as long as it is; %s", heldMax, why)
}

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

// hurry stops the world if too many stubs wait for that, and lets go of them.
//
// A stop would stop isolated threads that run Go code, too, and wait for them if they
// block Go's signal; one that is in Kernel or in foreign code may be back in its loop before the
// stop is complete. So as long as there is any isolated thread, all threads are looked at
// instead, unless one of these is out since the oldest was left: then looks cannot help.
// Where some are not seen outside, stubs wait, and when there are far too many no new one is made.
func (e *Engine) hurry() {
	if e.leaving <= max(leavingMax, 2*e.hurried) || e.stuck != nil || e.owed != nil || e.soon {
		return
	}
	if deferral.Any() {
		if _, tid := e.held(); tid != 0 {
			return
		}
		if e.visit() {
			e.hurried = 0 // what is left waits for isolated threads
			e.freeLeft()
			return
		}
	} else {
		if _, err := grace.Synchronize(); err != nil {
			e.problem("%v", err)
		}
		e.count.GraceStops++
	}
	e.freeLeft()
	e.hurried = e.leaving // what it did not help
}

// visit looks at all threads, and reports whether it saw each outside.
func (e *Engine) visit() bool {
	if e.m == nil {
		return false
	}
	e.unseen = grace.Look(e.m.Visit)
	e.count.GraceVisits++
	if errors.Is(e.unseen, visit.ErrUnable) {
		e.problem("beside isolated threads stubs are freed only when the world is stopped for something else: %v", e.unseen)
	}
	return e.unseen == nil
}
