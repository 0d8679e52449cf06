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
// takes two atoms: the word is swapped, then what it owed is done; both before
// any patchable text.
func (m *model) isolation(s *state, i int) {
	t := &s.threads[i]
	switch t.at {
	case isolated:
		m.comeOut(s, t)
	case sigEnter:
		if t.outer.at != isolated || m.mutant.flaw == signalDoesNotEnter {
			t.at = idle
			m.say("signal handler runs")
			return
		}
		m.comeOut(s, t)
	case early:
		t.word, _ = layout.Leave(t.word) // and forgets what was owed meanwhile
		t.at = idle
		m.say("is back")
	case catchUp:
		m.say("owes nothing")
		if tracking.Work(t.value)&tracking.Sync != 0 {
			m.catchUp(s, t)
		}
		t.at, t.value = idle, 0
	case sigLeave:
		if t.outer.at == isolated && m.mutant.flaw != signalForgetsState {
			t.word, _ = layout.Enter(t.word, tracking.User)
		}
		t.frame, t.outer, t.inSignal = t.outer, frame{}, false
		m.say("signal handler returns to " + placeNames[t.at])
	}
}

func (m *model) catchUp(s *state, t *thread) {
	if m.mutant.flaw == noIsolatedCatchUp {
		m.say("forgets what it owes")
		return
	}
	s.serialize(t.cpu)
	m.event = EventOwed
	m.say("does what it owes: serializes")
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
	var owed tracking.Work
	t.word, owed = layout.Leave(t.word)
	t.at, t.value = catchUp, uint8(owed)
	m.say("comes out of isolation, swaps its word")
}
