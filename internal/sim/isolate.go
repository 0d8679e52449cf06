package sim

import "github.com/quietpatch/quietpatch/internal/tracking"

// The thread whose word it is changes its state by one addition to the word
// (Layout.Step), which keeps what patchers set meanwhile.

// enter is the way into isolation.
func (m *model) enter(t *thread) {
	t.visits--
	t.word += m.layout().Step(tracking.Kernel, tracking.User)
	t.at = isolated
	m.say("goes into isolation")
}

// isolatedAtoms: a thread that is isolated comes back, or runs what it may run there.
func (m *model) isolatedAtoms(s *state, i int, out []atom) []atom {
	t := &s.threads[i]
	me := uint8(i + 1)
	if s.quiet {
		return out
	}
	out = append(out, atom{actor: me, op: opStep})
	if m.world.Guest {
		out = append(out, atom{actor: me, op: opSwitch})
	}
	if (m.world.Sealed || m.world.Breaks) && t.left > 0 {
		for n := range s.mem {
			out = append(out, atom{me, opBegin, uint8(n)})
		}
	}
	return out
}

// follows is the state that a thread goes to next while it is isolated.
func (w World) follows(s tracking.State) tracking.State {
	switch {
	case s == tracking.User:
		return tracking.Guest
	case s == tracking.Guest && w.Idle:
		return tracking.Idle
	}
	return tracking.User
}

// switchState goes from User to Guest, or on: the thread stays isolated.
func (m *model) switchState(t *thread) {
	to := m.world.follows(t.word.State())
	if to == tracking.Idle {
		t.calm = false
	}
	m.say("goes from " + t.word.State().String() + " to " + to.String())
	next := t.word + m.layout().Step(t.word.State(), to)
	if m.mutant.flaw == switchesByStore {
		t.read, t.at = next, switches
		return
	}
	t.word = next
}

// isolation is the way out, or a signal handler's way in and out. Coming back
// takes three atoms: the word is changed, what is owed is done, and the word says
// so; all of them before any patchable text.
func (m *model) isolation(s *state, i int) {
	t := &s.threads[i]
	switch t.at {
	case isolated:
		m.comeOut(s, t)
	case switches:
		t.word, t.at = t.read, isolated
		m.say("stores its word")
	case sigEnter:
		m.enterHandler(s, t)
	case early:
		t.word = m.layout().Leave(t.word).Done() // and forgets what was owed meanwhile
		t.at = idle
		m.say("is back")
	case catchUp:
		m.catchUp(s, t)
	case caughtUp:
		t.word = t.word.Done()
		t.at = idle
		m.say("has done what it owed")
	case sigLeave:
		if m.mutant.flaw != signalForgetsState {
			t.word += m.layout().Step(tracking.Kernel, t.cameFrom)
		}
		t.frame, t.outer, t.inSignal, t.cameFrom = t.outer, frame{}, false, tracking.Kernel
		m.say("signal handler returns to " + placeNames[t.at])
	}
}

// enterHandler is the start of a signal handler that may run patchable text: it
// ends an isolation, as far as the word tells, and does what is owed even if the
// thread that it interrupts was about to. Where nothing in the word says what is owed,
// that is so in every handler.
func (m *model) enterHandler(s *state, t *thread) {
	switch {
	case m.mutant.flaw == signalDoesNotEnter:
		t.at = idle
		m.say("signal handler runs")
	case t.word.State() != tracking.Kernel:
		t.cameFrom = t.word.State()
		m.comeOut(s, t)
	case (m.world.Always || t.word.Work() != 0) && m.mutant.flaw != signalTrustsKernel:
		t.at = catchUp
		m.say("signal handler finds " + map[bool]string{true: "KERNEL", false: "work in the word"}[m.world.Always])
	default:
		t.at = idle
		m.say("signal handler runs")
	}
}

func (m *model) catchUp(s *state, t *thread) {
	t.at = caughtUp
	if m.world.Always {
		t.at = idle // nothing in the word to take out
	}
	switch {
	case !m.owes(t):
		m.say("owes nothing")
	case m.mutant.flaw == noIsolatedCatchUp:
		m.say("forgets what it owes")
	default:
		s.serialize(t.cpu)
		m.event = EventOwed
		m.say("does what it owes: serializes")
	}
}

// owes: the thread has to serialize.
func (m *model) owes(t *thread) bool { return m.world.Always || t.word.Work()&tracking.Sync != 0 }

func (m *model) comeOut(s *state, t *thread) {
	t.calm = false
	if m.mutant.flaw == catchUpBeforeSwap {
		if m.owes(t) {
			s.serialize(t.cpu)
		}
		t.at = early
		m.say("does what it owes")
		return
	}
	t.word = m.layout().Leave(t.word)
	t.at = catchUp
	m.say("comes out of isolation: swaps its word")
}
