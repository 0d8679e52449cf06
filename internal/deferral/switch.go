package deferral

import (
	"github.com/quietpatch/quietpatch/internal/barrier"
	"github.com/quietpatch/quietpatch/internal/tracking"
)

// Switch moves the calling thread, whose context c is, to a state, and returns the one
// that it was in. A thread that comes back to Kernel does what it owes before Switch
// returns; one that leaves Kernel is isolated when Switch returns.
//
// Barrier pair W: the addition here and the compare-and-swap in set are both locked, so
// one is first. If the patcher's is, the thread finds the work; if the thread's, the
// patcher finds Kernel and interrupts.
//
// Nothing on the way back before the serialization may be patchable.
func (c *Context) Switch(to tracking.State) (from tracking.State) {
	// Only this thread changes the state, and a signal handler that comes in between
	// leaves it as it found it; work and counter may change, and an addition keeps them.
	from = c.load().State()
	w := tracking.Word(c.word.Add(uint64(layout.Step(from, to))))
	if to == tracking.Kernel {
		if w.Work() != 0 {
			c.catchUp(w.Work())
		}
		return from
	}
	if from == tracking.Kernel && releasing.Load() != 0 {
		waitForRelease()
	}
	return from
}

// CatchUp does what the calling thread owes although it is in Kernel: a signal handler
// has interrupted it between its way back and the catch-up. Only what has to come before
// patchable text: mappings are left to the way back.
func (c *Context) CatchUp() {
	if w := c.load(); w.State() == tracking.Kernel && w.Work()&tracking.Sync != 0 {
		c.catchUp(tracking.Sync)
	}
}

// catchUp does the work, each kind by its one action:
//
//	SYNC	serialize: IRETQ to self
//	UNMAP	release what waits to be unmapped, if nobody else is isolated
//
// Bits are taken out of the word last: a signal handler that comes in between does the
// work, too (docs/PROTOCOL.md, scenario M). In Kernel no new bits come.
//
// SYNC is first, and until it is done nothing here may be patchable.
//
//go:noinline
func (c *Context) catchUp(work tracking.Work) {
	if work&tracking.Sync != 0 {
		barrier.SerializeSelf()
	}
	if work&tracking.Unmap != 0 && c.settleOwed() {
		work &^= tracking.Unmap // something is left: it stays owed
	}
	c.word.And(^uint64(tracking.Word(0).Owing(work)))
	c.catchUps.Add(1)
}

// Defer leaves work for every thread that is isolated, and returns the CPUs of those that
// will do it, appended to cpus. The others are in Kernel, and have to be interrupted, or
// to be asked again. What the work is about, such as text, has been written before.
func Defer(work tracking.Work, cpus []int) []int {
	for _, cpu := range actives() {
		c := &contexts[cpu]
		if c.set(work) {
			cpus = append(cpus, cpu)
			if work&tracking.Sync != 0 {
				c.spared.Add(1)
			}
		}
	}
	return cpus
}

// set tries to set work, by a compare-and-swap at least once: a word that was read in
// Kernel is tried as if the thread had gone out in that moment. That spares an interrupt
// now and then, and makes sure that a locked instruction stands between the writes to
// text and the answer.
func (c *Context) set(work tracking.Work) bool {
	w := c.load()
	if w.State() == tracking.Kernel {
		w += layout.Step(tracking.Kernel, tracking.User)
	}
	for {
		next, ok := w.SetWork(work)
		if !ok || work&tracking.Sync != 0 && (w.State() == tracking.Idle && !c.idle.Load() || c.shared.Load()) {
			return false
		}
		if c.word.CompareAndSwap(uint64(w), uint64(next)) {
			return true
		}
		w = c.load()
	}
}
