package sim

import (
	"fmt"

	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/tracking"
)

// A sync that leaves out the CPUs of isolated threads, as internal/barrier makes it:
//
//	note how often this thread was off its CPU, and its CPU
//	for each other CPU that is not spared: the per-CPU form of membarrier(2)
//	IRETQ
//	was off its CPU meanwhile: all of it again; in the end a sync for all CPUs

// byCPU: the sync at hand goes from CPU to CPU.
func (m *model) byCPU(s *state) bool { return m.world.PerCPU && !s.p.core }

// resetSync forgets the sync at hand.
func (p *patcher) resetSync() {
	p.waits, p.spared = 0, 0
	p.core, p.self, p.moved, p.tries = false, 0, false, 0
}

// noticesMove: the patcher counts how often it is taken off its CPU from its note to its
// check.
func (m *model) noticesMove(s *state) bool {
	noted := s.p.phase >= syncWaits && s.p.phase <= syncChecks
	return s.p.moved || noted && m.byCPU(s)
}

// forEveryone: isolated threads may run the sites that changed, whether the sync comes with
// the batch or later.
func (m *model) forEveryone(s *state) bool {
	spares := m.mutant.flaw == sparesSealed || m.mutant.flaw == laterSpares && s.p.later
	return m.world.Sealed && !spares
}

// deferSync asks one thread whether it will catch up by itself. Each is asked
// once at least, whatever it did a moment ago.
func (m *model) deferSync(s *state, ef protocol.Effect) {
	t := &s.threads[s.p.at]
	word, ok := t.word.SetWork(tracking.Sync)
	if m.world.Always {
		word = t.word // nothing is left there
	}
	ok = ok && t.word.State() != tracking.Idle
	switch m.mutant.flaw {
	case defersBlindly:
		ok = true
	case defersBeforeWrite, readsBeforeWrite:
		ok = ok || t.deferred
	}
	if ok {
		t.word = word
		s.p.spared |= 1 << t.cpu
		m.sayStep(ef, " is deferred by CPU%d", int(t.cpu))
	} else {
		m.sayStep(ef, " is refused by CPU%d", int(t.cpu))
	}
	s.p.at++
	switch {
	case int(s.p.at) < m.world.Isolated:
	case s.p.spared == 0:
		s.p.phase = syncCore
	default:
		m.tryByCPU(s)
	}
}

// readWords is what the patcher reads of the words if its reads pass its writes to text,
// which wait in the CPU's store buffer: no locked instruction stands between them.
func (m *model) readWords(s *state) {
	s.p.early = true
	m.say("reads the words")
	for i := range s.threads {
		s.threads[i].deferred = s.threads[i].word.State() != tracking.Kernel
	}
}

// tryByCPU begins a try. Where the patcher does not move its CPU is of no interest.
func (m *model) tryByCPU(s *state) {
	s.p.phase, s.p.at = syncWaits, uint8(m.world.firstCPU())
	if m.world.Move {
		s.p.phase = syncNotes
	}
}

// note reads two things in one atom: what happens between the reads is noticed.
func (m *model) note(s *state, ef protocol.Effect) {
	s.p.self, s.p.moved = s.p.cpu, false
	s.p.tries++
	s.p.phase, s.p.at = syncWaits, 0
	m.skipSelf(s)
	m.sayStep(ef, " by CPU; its own is CPU%d", int(s.p.self))
}

// next goes on to the next CPU.
func (m *model) next(s *state) {
	s.p.at++
	m.skipSelf(s)
}

func (m *model) skipSelf(s *state) {
	if !m.world.Move {
		return
	}
	if s.p.at == s.p.self {
		s.p.at++
	}
	if int(s.p.at) >= len(s.cpus) {
		s.p.phase = syncSelf
	}
}

func (m *model) serializeSelf(s *state, ef protocol.Effect) {
	s.p.phase = syncChecks
	if m.mutant.flaw == noIretq {
		m.sayStep(ef, " leaves out its own CPU")
		return
	}
	s.serialize(s.p.cpu)
	m.sayStep(ef, ": IRETQ on CPU%d", int(s.p.cpu))
}

// checkSelf ends a try.
func (m *model) checkSelf(s *state, ef protocol.Effect) {
	moved := s.p.moved
	switch m.mutant.flaw {
	case noStayCheck:
		moved = false
	case stayByNumber:
		moved = s.p.self != s.p.cpu
	}
	switch {
	case !moved || m.mutant.flaw == givesUpTrying && s.p.tries == syncTriesMax:
		m.syncReturn(s, ef)
	case s.p.tries < syncTriesMax:
		s.p.phase = syncNotes
		m.event = EventAgain
		m.sayStep(ef, " was off its CPU: again")
	default:
		s.p.phase = syncCore
		m.event = EventUnspared
		m.sayStep(ef, " was off its CPU again")
	}
}

// mustSpare: the thread has been isolated since the sync began, so the patcher must have
// found it so. It may interrupt it all the same where it has to reach everybody, or could
// not stay where it was.
func (m *model) mustSpare(s *state, i int) bool {
	lastResort := s.p.core && s.p.tries == syncTriesMax
	return m.world.PerCPU && !m.world.Sealed && !lastResort && s.threads[i].calm
}

func (m *model) interrupted(c uint8) {
	m.violate(CheckBudget, fmt.Sprintf("CPU%d is interrupted, although its thread has been isolated all the time", c))
}
