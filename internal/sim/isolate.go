package sim

import "github.com/quietpatch/quietpatch/internal/tracking"

// enter is the way into isolation: one swap of the word.
func (m *model) enter(t *thread) {
	t.visits--
	t.word, _ = layout.Enter(t.word, tracking.User)
	t.at = isolated
	m.say("goes into isolation")
}

// isolation is the way out, or a signal handler's way in and out. Coming back
// takes three atoms: the word is swapped, what is owed is done, and the word says
// so; all of them before any patchable text.
func (m *model) isolation(s *state, i int) {
	t := &s.threads[i]
	switch t.at {
	case isolated:
		m.comeOut(s, t)
	case sigEnter:
		m.enterHandler(s, t)
	case early:
		t.word = layout.Leave(t.word).Done() // and forgets what was owed meanwhile
		t.at = idle
		m.say("is back")
	case catchUp:
		m.catchUp(s, t)
	case caughtUp:
		t.word = t.word.Done()
		t.at = idle
		m.say("has done what it owed")
	case sigLeave:
		if t.cameOut && m.mutant.flaw != signalForgetsState {
			t.word, _ = layout.Enter(t.word, tracking.User)
		}
		t.frame, t.outer, t.inSignal, t.cameOut = t.outer, frame{}, false, false
		m.say("signal handler returns to " + placeNames[t.at])
	}
}

// enterHandler is the start of a signal handler that may run patchable text: it
// ends an isolation, as far as the word tells, and does what is owed even if the
// thread that it interrupts was about to.
func (m *model) enterHandler(s *state, t *thread) {
	switch {
	case m.mutant.flaw == signalDoesNotEnter:
		t.at = idle
		m.say("signal handler runs")
	case t.word.State() != tracking.Kernel:
		t.cameOut = true
		m.comeOut(s, t)
	case t.word.Work() != 0 && m.mutant.flaw != signalTrustsKernel:
		t.at = catchUp
		m.say("signal handler finds work in the word")
	default:
		t.at = idle
		m.say("signal handler runs")
	}
}

func (m *model) catchUp(s *state, t *thread) {
	t.at = caughtUp
	switch {
	case t.word.Work()&tracking.Sync == 0:
		m.say("owes nothing")
	case m.mutant.flaw == noIsolatedCatchUp:
		m.say("forgets what it owes")
	default:
		s.serialize(t.cpu)
		m.event = EventOwed
		m.say("does what it owes: serializes")
	}
}

func (m *model) comeOut(s *state, t *thread) {
	t.calm = false
	if m.mutant.flaw == catchUpBeforeSwap {
		if t.word.Work()&tracking.Sync != 0 {
			s.serialize(t.cpu)
		}
		t.at = early
		m.say("does what it owes")
		return
	}
	t.word = layout.Leave(t.word)
	t.at = catchUp
	m.say("comes out of isolation: swaps its word")
}
