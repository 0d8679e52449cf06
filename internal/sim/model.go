package sim

import (
	"github.com/quietpatch/quietpatch/internal/protocol"
)

// op is a kind of atom.
type op uint8

const (
	opStep      op = iota // the one thing to do next
	opFail                // the effect fails
	opFailLate            // the effect fails, and its write arrives all the same
	opReach               // the sync reaches CPU arg
	opReturn              // the sync returns
	opLater               // the patcher begins the sync that is owed
	opVisit               // the grace period passes thread arg
	opOff                 // is taken off the CPU
	opOn                  // comes back on CPU arg
	opBegin               // begins a check at site arg
	opExec                // executes what it sees: head arg&15, tail arg>>4
	opSignal              // a signal whose handler makes a check
	opKill                // a SIGTRAP that no int3 raised
	opInterrupt           // the CPU is interrupted
	opEnter               // goes into isolation
	opSwitch              // goes from User to Guest, or back
	opUnmap               // calls Unmap
	opAge                 // the timer of pending mappings fires
	opGiveUp              // does not wait any longer
	opNested              // does what it owes without having been out
	opEnd                 // the thread ends, or another one begins in its place
	opWork                // sets work in the word of thread arg
	opQuiet               // nobody's: the liveness phase of a walk begins
)

// atom is one indivisible step of the patcher (actor 0) or of thread actor-1.
type atom struct {
	actor uint8
	op    op
	arg   uint8
}

// model is a world with its rules. It finds the atoms that are possible in a
// state, and carries them out. It keeps no other state than the first violation.
type model struct {
	watch
	world  World
	mutant Mutant
}

// Event is something that an atom did and that a scenario may wait for.
type Event uint8

// Events.
const (
	NoEvent       Event = iota
	EventLate           // a late trap (H4)
	EventMoved          // the vector changed under the handler (H3)
	EventNext           // trapped by one batch, handled during the next
	EventOwed           // an isolated thread came back and caught up
	EventGrace          // a stub was freed while a thread had been inside when the batch began to wait
	EventStuck          // a batch could be neither finished nor undone
	EventOwedSync       // a batch ended without the sync behind its undo
	EventWrapped        // a thread was outside since the snapshot, and its counter hides that
	EventAgain          // a sync by CPU was tried again, because the patcher had been off its CPU
	EventUnspared       // and made for all CPUs in the end
	EventForced         // a bound was passed, and an isolated thread interrupted
	EventMet            // an isolated thread was interrupted by a release for which it had not waited
	EventKept           // a thread came back and left the bit in its word
	eventsMax
)

// sayStep does so for an atom of an effect.
func (m *model) sayStep(e protocol.Effect, what string, n ...int) {
	if !m.listen {
		return
	}
	m.say(what, n...)
	name := e.Step.String()
	if e.Dir == protocol.Back {
		name += " " + e.Dir.String()
	}
	m.said = name + m.said
}

// actors returns how many there are.
func (m *model) actors() int { return m.world.Threads + 1 }

// atoms appends what an actor can do next.
func (m *model) atoms(s *state, actor int, out []atom) []atom {
	if actor == 0 {
		return m.patcherAtoms(s, out)
	}
	return m.threadAtoms(s, actor-1, out)
}

// apply carries out an atom that is possible in s.
func (m *model) apply(s *state, a atom) {
	m.event, m.said = NoEvent, ""
	if a.actor == 0 {
		m.patch(s, a)
	} else {
		m.run(s, int(a.actor-1), a)
	}
}

// column returns the CPU on which an atom happens.
func column(s *state, a atom) int {
	switch {
	case a.op == opOn:
		return int(a.arg)
	case a.actor == 0:
		return int(s.p.cpu)
	}
	return int(s.threads[a.actor-1].cpu)
}
