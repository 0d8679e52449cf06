package sim

import "fmt"

// handle is the trap handler, one read of shared memory per atom. H1 to H5 as
// in internal/trap.
func (m *model) handle(s *state, t *thread) {
	switch t.at {
	case trap:
		t.seq = s.vec.seq
		if t.seq%2 != 0 {
			m.again(t, "H3, the vector is changing")
			return
		}
		t.at = search
		m.say("handler reads the sequence count")
	case search:
		t.at, t.value = missing, 0
		if !t.sent && m.mutant.finds(s.vec, t.site) {
			t.at, t.value = found, s.vec.value
		}
		m.say("handler searches the vector: " + placeNames[t.at])
	case found:
		m.emulate(s, t)
	case resume:
		m.say("goes on behind the site")
		m.shows(t, t.value)
	case missing:
		m.notFound(s, t)
	case unknown:
		m.foreign(s, t)
	}
}

// again is H3 and H4: the instruction pointer goes back to the site.
func (m *model) again(t *thread, why string) {
	if t.sent && m.mutant.flaw != noSignalCode {
		m.passOn(t)
		return
	}
	if t.sent {
		m.violate(CheckTorn, fmt.Sprintf("CPU%d: a SIGTRAP from kill(2) sets the thread back into the instruction before", t.cpu))
		return
	}
	t.at, t.seq, t.value = fetch, 0, 0
	m.say("executes the site again: " + why)
}

// emulate is H2, or H3 if the vector has changed since.
func (m *model) emulate(s *state, t *thread) {
	switch {
	case s.vec.seq != t.seq && m.mutant.flaw != noRecheck:
		m.event = EventMoved
		m.again(t, "H3, the vector has changed")
	case t.value == garbage:
		m.violate(CheckLost, fmt.Sprintf("CPU%d emulates half of an entry", t.cpu))
	case m.mutant.flaw == wrongResume:
		m.violate(CheckTorn, fmt.Sprintf("CPU%d resumes in the middle of the site", t.cpu))
	default:
		if s.active && t.batch+1 == s.begun && t.promise == noPromise {
			m.event = EventNext
		}
		m.say("handler shows the value in place of the site (H2): %d", int(t.value))
		t.at, t.seq = resume, 0
	}
}

// notFound looks at the byte: H4, a late trap, if it is no trap byte any more.
func (m *model) notFound(s *state, t *thread) {
	switch {
	case t.sent && m.mutant.flaw != noSignalCode:
		m.passOn(t)
	case m.mutant.flaw == byteLast:
		if s.vec.seq != t.seq {
			m.again(t, "H3, the vector has changed")
			return
		}
		t.at = unknown
	case s.mem[t.site][head] == trapped && m.mutant.flaw != swallowsForeign:
		t.at = unknown
		m.say("handler finds CC at the site")
	case m.mutant.flaw == noLateRule:
		m.violate(CheckLost, fmt.Sprintf("CPU%d: a late trap went to somebody else", t.cpu))
	default:
		m.event = EventLate
		m.again(t, "H4, a late trap")
	}
}

// foreign is H5: a trap byte that is not ours goes to its owner.
func (m *model) foreign(s *state, t *thread) {
	switch {
	case m.mutant.flaw == byteLast && s.mem[t.site][head] != trapped:
		m.again(t, "H4, a late trap")
	case s.vec.seq != t.seq && m.mutant.flaw != noRecheck && m.mutant.flaw != byteLast:
		m.event = EventMoved
		m.again(t, "H3, the vector has changed")
	case int(t.site) < m.world.Sites:
		m.violate(CheckLost, fmt.Sprintf("CPU%d: our trap went to somebody else (H5)", t.cpu))
	default:
		m.say("handler passes a foreign trap on (H5): its owner goes on")
		t.over()
	}
}

// passOn is H1: the signal says that no int3 raised it; the thread stands in front
// of an instruction, not behind a trap byte.
func (m *model) passOn(t *thread) {
	t.frame, t.outer, t.inSignal = t.outer, frame{}, false
	m.say("handler passes it on (H1)")
}
