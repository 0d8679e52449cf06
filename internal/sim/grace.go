package sim

import (
	"fmt"

	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/tracking"
)

// After a batch of calls the stub that no site leads to any more is freed, once
// no CPU can lead there, which takes a sync that succeeded, and no thread can be
// inside: the grace period.

// Phases of the way from the last effect to the return.
const (
	graceBegins = iota
	graceWaits
	graceOver
)

// dying returns the value whose stub is to be freed: the old one, or the new
// one if the batch failed. Threads may have entered that, too: a trapped thread
// is sent there before its site leads there.
func (m *model) dying(s *state) uint8 {
	if (s.p.machine.Outcome().Err != nil) != (m.mutant.flaw == freesTheLiveStub) {
		return s.target(protocol.Forward)
	}
	return s.shown
}

// graceAtoms appends what the patcher can do between the last effect and its
// return.
func (m *model) graceAtoms(s *state, out []atom) []atom {
	if s.p.phase != graceWaits || s.p.waits == 0 {
		return append(out, atom{op: opStep})
	}
	for i := range s.threads {
		if s.p.waits&(1<<i) != 0 && m.quiescent(s, i) {
			out = append(out, atom{op: opVisit, arg: uint8(i)})
		}
	}
	return out
}

// quiescent reports whether thread i can be seen not to be inside the dying
// stub: its word says that it was outside all patchable text since the grace
// period began, or a look at its program counter, and at those of all frames
// that signals interrupted, finds it elsewhere. (The product's look is a stop of the
// world, which waits for every thread to be elsewhere: internal/grace.)
func (m *model) quiescent(s *state, i int) bool {
	t := &s.threads[i]
	// Isolated threads may be inside a stub that they are led to from sites of their own.
	words := !m.world.Sealed && !m.world.Breaks || m.mutant.flaw == trustsSealedWords
	if i < m.world.Isolated && words && m.layout().Passed(t.snap, t.word) {
		return true
	}
	if m.world.Breaks && !m.crossed(t) {
		return false
	}
	inside := func(f frame) bool {
		if f.at >= trap && f.at <= unknown { // a thread in a handler keeps its P, and the look has to wait
			return m.mutant.flaw != graceVisitsHandlers
		}
		return f.at == stub && f.value == m.dying(s)
	}
	if t.inSignal && inside(t.outer) && m.mutant.flaw != graceTopFrameOnly {
		return false
	}
	return !inside(t.frame)
}

// crossed: a thread that was isolated when the period began has come back since. Who breaks its
// promise may owe the sync, and be led to the stub by the old call.
func (m *model) crossed(t *thread) bool {
	l := m.layout()
	return t.snap.State() == tracking.Kernel || l.Count(t.snap) != l.Count(t.word) || m.mutant.flaw == crossesByStates
}

func (s *state) snapshot() {
	for i := range s.threads {
		s.threads[i].snap = s.threads[i].word
	}
}

// grace carries out an atom of the grace period, or the return.
func (m *model) grace(s *state, a atom) {
	failed := s.p.machine.Outcome().Err != nil
	switch {
	case s.p.phase == graceBegins && m.unfinished(s):
	case !m.world.Calls || s.p.phase == graceOver:
		m.atReturn(s)
	case a.op == opVisit:
		s.p.waits &^= 1 << a.arg
		m.say("grace period: CPU%d is outside the stub", int(s.threads[a.arg].cpu))
	case s.p.phase == graceBegins && s.owed && m.mutant.flaw != freesWithDebt:
		s.p.phase = graceOver
		m.say("frees nothing: a sync is owed, a CPU may still lead there")
	case s.p.phase == graceBegins:
		s.p.phase = graceWaits
		s.p.waits = 1<<len(s.threads) - 1
		if m.mutant.flaw == freeAtOnce || m.mutant.flaw == freeFailedAtOnce && failed {
			s.p.waits = 0
		}
		if m.mutant.flaw != snapshotTooEarly {
			s.snapshot()
		}
		for i := range s.threads {
			if !m.quiescent(s, i) {
				s.p.at = 1 // somebody has to be waited for
			}
		}
		m.say("grace period begins")
	default:
		m.free(s)
	}
}

func (m *model) free(s *state) {
	dying := m.dying(s)
	s.freed[dying] = true
	if s.p.at == 1 {
		m.event = EventGrace
	}
	s.p.phase, s.p.at = graceOver, 0
	for _, c := range s.mem[:m.world.Sites] {
		if c[tail] == dying || c[head] == dying {
			m.violate(CheckFreed, fmt.Sprintf("stub %d is freed and a site leads there: %s", dying, c))
			return
		}
	}
	m.say("frees stub %d", int(dying))
}
