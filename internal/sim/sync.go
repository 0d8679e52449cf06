package sim

import (
	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/tracking"
)

// Phases of a sync.
const (
	syncBegins = iota
	syncDefers // asks each thread that may be isolated
	syncNotes  // by CPU: notes which one is the patcher's own
	syncWaits  // interrupts CPUs
	syncSelf   // by CPU: the patcher serializes
	syncChecks // by CPU: was it on that CPU all the time?
	syncCore   // interrupts all CPUs after all
)

// syncTriesMax is how often a sync by CPU is tried before it is made for all CPUs; the
// product tries a little more often.
const syncTriesMax = 2

// syncAtoms appends what the patcher can do during a sync.
func (m *model) syncAtoms(s *state, ef protocol.Effect, out []atom) []atom {
	if s.p.phase != syncWaits {
		out = append(out, atom{op: opStep})
		if s.p.phase == syncBegins && m.mayFail(s, ef) {
			out = append(out, atom{op: opFail})
		}
		return out
	}
	if m.byCPU(s) {
		if int(s.p.at) < len(s.cpus) {
			return append(out, atom{op: opReach, arg: s.p.at})
		}
		return append(out, atom{op: opReturn})
	}
	for c := range s.cpus {
		if s.p.waits&(1<<c) != 0 {
			out = append(out, atom{op: opReach, arg: uint8(c)})
		}
	}
	if s.p.waits == 0 || m.mutant.flaw == syncDoesNotWait {
		out = append(out, atom{op: opReturn})
	}
	return out
}

// sync carries out an atom of a sync.
func (m *model) sync(s *state, ef protocol.Effect, a atom) {
	switch {
	case a.op == opFail:
		s.faults--
		r := protocol.Result{Err: errFault}
		if m.mutant.flaw == givesUp3s && ef.Dir == protocol.Back && ef.Step == protocol.StepTailSync {
			r = protocol.Result{}
		}
		s.advance(r)
		m.sayStep(ef, " fails")
	case a.op == opReach:
		m.reach(s, ef, a.arg)
	case a.op == opReturn:
		m.syncReturn(s, ef)
	case s.p.phase == syncDefers:
		m.deferSync(s, ef)
	case s.p.phase == syncNotes:
		m.note(s, ef)
	case s.p.phase == syncSelf:
		m.serializeSelf(s, ef)
	case s.p.phase == syncChecks:
		m.checkSelf(s, ef)
	case s.p.phase == syncCore:
		m.sayStep(ef, " begins anew, for all CPUs")
		m.beginCore(s)
	default:
		m.syncBegin(s, ef)
	}
}

func (m *model) syncReturn(s *state, ef protocol.Effect) {
	if s.p.later {
		s.p, s.soon, s.owed = s.p.fresh(), false, false
		m.endIfDone(s)
		m.say("the sync returns")
		return
	}
	s.p.syncs++
	if m.mutant.flaw == syncsTwice {
		s.p.syncs++
	}
	if m.mutant.flaw == iretqForSelf {
		s.serialize(s.p.cpu)
	}
	s.soon, s.owed = false, false
	s.advance(protocol.Result{})
	m.sayStep(ef, " returns")
}

func (m *model) syncBegin(s *state, ef protocol.Effect) {
	m.sayStep(ef, " begins")
	for i := range s.threads {
		t := &s.threads[i]
		t.calm = t.at == isolated && !t.off && t.word.State() != tracking.Idle
	}
	switch {
	case !m.world.PerCPU || m.forEveryone(s):
		m.beginCore(s)
	case m.world.Isolated > 0 && m.mutant.flaw != defersNobody:
		s.p.phase, s.p.at = syncDefers, 0
	default:
		m.tryByCPU(s)
	}
}

// beginCore begins a sync for all CPUs at once.
func (m *model) beginCore(s *state) {
	s.p.phase, s.p.core = syncWaits, m.world.PerCPU
	if s.p.later && m.mutant.flaw == laterSyncMissing {
		return
	}
	for c := m.world.firstCPU(); c < len(s.cpus); c++ {
		switch {
		case c == int(s.p.cpu) && (m.mutant.flaw == syncForgetsSelf || m.mutant.flaw == iretqForSelf):
		case s.cpus[c].on == nobody:
			s.cpus[c].owes = true
		case m.mutant.flaw == syncMissesCPU && c == 1:
		default:
			s.p.waits |= 1 << c
		}
	}
}

// reach interrupts CPU c.
//
// What the per-CPU form of membarrier(2) promises is for restartable sequences:
// it interrupts CPU c if that runs a thread of the process at this moment. That
// the way back from the interrupt serializes is a property of IRET, and that the
// kernel serializes whenever it switches to the process one of the registration
// for SYNC_CORE. The mutants take these two away. On the CPU that the patcher runs on
// nothing is interrupted: the kernel calls a function, and returns from a system call.
func (m *model) reach(s *state, ef protocol.Effect, c uint8) {
	byCPU := m.byCPU(s)
	if byCPU {
		m.next(s)
	}
	s.p.waits &^= 1 << c
	on := s.cpus[c].on
	switch {
	case s.p.spared&(1<<c) != 0 && byCPU:
		m.sayStep(ef, " spares CPU%d", int(c))
		return
	case on == nobody:
		s.cpus[c].owes = m.mutant.flaw != perCPUForgetsOff
		m.sayStep(ef, " finds nobody on CPU%d", int(c))
		return
	case on == thePatcher && byCPU:
		m.sayStep(ef, " asks for CPU%d, where it is itself: nothing serializes", int(c))
		return
	case on >= threadBase && m.mustSpare(s, int(on-threadBase)):
		m.interrupted(c)
		return
	}
	if !byCPU || m.mutant.flaw != perCPUOnly {
		s.serialize(c)
	}
	m.sayStep(ef, " reaches CPU%d", int(c))
}

// comeOn puts somebody on CPU c. The kernel serializes if a sync passed while
// nobody was there.
func (m *model) comeOn(s *state, c, who uint8) {
	s.cpus[c].on = who
	if s.cpus[c].owes && m.mutant.flaw != noCatchUp {
		s.serialize(c)
	}
	s.cpus[c].owes = false
}

// goOff takes the thread off its CPU. A sync does not wait for who does not run.
func (s *state) goOff(i int) {
	t := &s.threads[i]
	t.off, t.calm = true, false
	s.cpus[t.cpu].on = nobody
	if s.p.waits&(1<<t.cpu) != 0 && !(s.active && s.p.machine.Done()) {
		s.p.waits &^= 1 << t.cpu
		s.cpus[t.cpu].owes = true
	}
}
