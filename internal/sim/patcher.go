package sim

import (
	"errors"
	"fmt"

	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/tracking"
)

var errFault = errors.New("injected fault")

// patcherAtoms appends what the patcher can do.
func (m *model) patcherAtoms(s *state, out []atom) []atom {
	p := &s.p
	if p.off {
		return m.patcherComesOn(s, out)
	}
	if p.later {
		return m.syncAtoms(s, laterSync, out)
	}
	if !s.active {
		if int(s.begun) < m.world.Batches && !s.quiet && !s.owed || s.stuck && s.quiet {
			out = append(out, atom{op: opStep})
		}
		if s.soon && !s.stuck {
			out = append(out, atom{op: opLater})
		}
		return out
	}
	if p.away > 0 && !s.quiet {
		out = append(out, atom{op: opOff})
	}
	if p.machine.Done() {
		return m.graceAtoms(s, out)
	}
	ef := p.machine.Effect()
	if ef.Step.Sync() && !m.mutant.skips(ef) {
		return m.syncAtoms(s, ef, out)
	}
	out = append(out, atom{op: opStep})
	switch {
	case m.mutant.skips(ef) || !m.mayFail(s, ef):
	case ef.Step.Writes():
		out = append(out, atom{op: opFail}, atom{op: opFailLate})
	case m.world.BackFaults && (ef.Step == protocol.StepCheck || ef.Step == protocol.StepPublish && p.phase == 0):
		out = append(out, atom{op: opFail})
	}
	return out
}

func (m *model) mayFail(s *state, ef protocol.Effect) bool {
	return s.faults > 0 && (ef.Dir == protocol.Forward || m.world.BackFaults) && !s.quiet
}

// patcherComesOn: on its own CPU, or where threads move on any that is free and
// not reserved.
func (m *model) patcherComesOn(s *state, out []atom) []atom {
	for c := range s.cpus {
		reserved := c >= 1 && c <= m.world.Isolated
		if s.cpus[c].on == nobody && (c == 0 || m.world.Move && !reserved) {
			out = append(out, atom{op: opOn, arg: uint8(c)})
		}
	}
	return out
}

// patch carries out an atom of the patcher.
func (m *model) patch(s *state, a atom) {
	switch {
	case a.op == opOff:
		s.p.away--
		s.p.off = true
		s.p.moved = m.noticesMove(s)
		s.cpus[s.p.cpu].on = nobody
		m.say("patcher is taken off the CPU")
		return
	case a.op == opOn:
		s.p.off, s.p.cpu = false, a.arg
		m.comeOn(s, a.arg, thePatcher)
		m.say("patcher comes back")
		return
	case a.op == opLater:
		s.p = s.p.fresh()
		s.p.later = true
		m.say("makes the sync that is owed")
		return
	case s.p.later:
		m.sync(s, laterSync, a)
		return
	case !s.active:
		m.begin(s)
		return
	case s.p.machine.Done():
		m.grace(s, a)
		return
	}
	ef := s.p.machine.Effect()
	switch {
	case m.mutant.skips(ef):
		s.advance(protocol.Result{})
		m.sayStep(ef, " is left out")
	case a.op == opFail && !ef.Step.Writes() && !ef.Step.Sync():
		s.faults--
		s.advance(protocol.Result{Err: errFault})
		m.sayStep(ef, " fails")
	case ef.Step == protocol.StepCheck:
		s.advance(protocol.Result{})
		m.sayStep(ef, "")
	case ef.Step == protocol.StepPublish, ef.Step == protocol.StepRetire:
		m.publish(s, ef)
	case ef.Step.Sync():
		m.sync(s, ef, a)
	case m.mutant.flaw == readsBeforeWrite && !s.p.early:
		m.readWords(s)
	default:
		m.write(s, ef, a)
	}
}

// laterSync is the effect of a sync on its own.
var laterSync = protocol.Effect{Step: protocol.StepStoreSync}

// begin is the call.
func (m *model) begin(s *state) {
	s.begun++
	s.active = true
	if s.stuck { // nothing else begins before this is repaired
		s.stuck = false
		s.p.machine.Resume()
		s.p.site = uint8(s.p.machine.Effect().From)
		m.say("begins: goes on with the stuck batch")
		return
	}
	if !m.start(s, false) {
		return
	}
	s.freed[s.target(protocol.Forward)] = false // a new stub
	switch m.mutant.flaw {
	case snapshotTooEarly:
		s.snapshot()
	case defersBeforeWrite:
		for i := range s.threads {
			t := &s.threads[i]
			t.word, t.deferred = t.word.SetWork(tracking.Sync)
		}
	}
	m.say("begins a batch")
}

// start makes the machine for a batch, or for its second try.
func (m *model) start(s *state, retry bool) bool {
	machine, err := protocol.New(m.world.plan(s.begun, retry))
	if err != nil {
		m.violate(CheckNothingLeft, err.Error())
		return false
	}
	s.p = s.p.fresh()
	s.p.machine, s.p.retried = machine, retry
	return true
}

// fresh is the patcher between two batches.
func (p patcher) fresh() patcher { return patcher{away: p.away, cpu: p.cpu} }

// advance reports the result to the machine and starts its next effect.
func (s *state) advance(r protocol.Result) {
	s.p.machine.Next(r)
	s.p.phase, s.p.at, s.p.early = 0, 0, false
	s.p.resetSync()
	s.p.site = uint8(s.p.machine.Effect().From)
}

// publish changes the vector in three atoms, as the sequence count demands.
func (m *model) publish(s *state, ef protocol.Effect) {
	noOdd := m.mutant.flaw == noOddCount
	switch s.p.phase {
	case 0:
		switch {
		case m.mutant.flaw == countBeforeEntries:
			s.vec.seq += 2
		case !noOdd:
			s.vec.seq++
		}
		s.vec.value = garbage
		m.sayStep(ef, ": count odd")
	case 1:
		s.vec.from, s.vec.to = uint8(ef.From), uint8(ef.To)
		if ef.Step == protocol.StepRetire {
			s.vec.from, s.vec.to = 0, 0
		}
		m.sayStep(ef, ": entries")
	case 2:
		s.vec.value = s.target(ef.Dir)
		switch {
		case m.mutant.flaw == countBeforeEntries:
		case noOdd:
			s.vec.seq += 2
		default:
			s.vec.seq++
		}
		s.advance(protocol.Result{})
		m.sayStep(ef, ": count even")
		return
	}
	s.p.phase++
}

// write writes one byte of one site, or fails to.
func (m *model) write(s *state, ef protocol.Effect, a atom) {
	i := int(s.p.site)
	step := m.mutant.swaps(ef)
	if m.mutant.flaw == earlyRetire && step == protocol.StepHead && s.vec.from != s.vec.to {
		s.vec.from, s.vec.to, s.vec.seq = 0, 0, s.vec.seq+2
	}
	b, code := tail, s.target(ef.Dir)
	switch step {
	case protocol.StepTrap:
		b, code = head, trapped
	case protocol.StepHead:
		if b = head; m.world.tailsOnly() {
			code = same
		}
	}
	if a.op != opFail && s.mem[i][b] != code && !(b == tail && m.world.HeadsOnly) {
		s.store(i, b, code)
	}
	if a.op != opStep {
		s.faults--
		r := protocol.Result{Done: i - ef.From, Err: errFault, Touched: m.mutant.flaw != undoForgetsSite}
		s.advance(r)
		m.sayStep(ef, map[bool]string{true: " fails at site %d", false: " fails at site %d, but the write arrived"}[a.op == opFail], i)
		return
	}
	s.p.site++
	if int(s.p.site) >= ef.To {
		s.advance(protocol.Result{})
	}
	m.sayStep(ef, " site %d", i)
}

// unfinished is what follows a machine that ended without an end: a batch that is
// stuck, and one that is tried once more.
func (m *model) unfinished(s *state) bool {
	out := s.p.machine.Outcome()
	if out.Unsynced {
		m.event = EventOwedSync
		s.owed = m.mutant.flaw != forgetsDebt
	}
	switch {
	case out.Stuck && !m.world.BackFaults:
		m.violate(CheckNothingLeft, "stuck although writes work on the way back")
	case out.Stuck:
		s.stuck, s.soon, s.active = true, true, false
		s.p.phase = 0
		m.event = EventStuck
		m.say("returns: stuck")
	case out.Err != nil && m.world.Retry && !m.world.NoWait && !s.p.retried && !s.quiet:
		m.say("tries once more, one site at a time")
		m.start(s, true)
	default:
		return false
	}
	return true
}

// atReturn is the return of the call: what it promises is checked here.
func (m *model) atReturn(s *state) {
	out := s.p.machine.Outcome()
	want := s.target(protocol.Forward)
	if out.Err != nil {
		want = s.shown
	}
	if !m.nothingLeft(s, out, want) {
		return
	}
	s.shown = want
	s.soon = s.soon || s.owed || m.world.NoWait
	s.active = false
	s.p = s.p.fresh()
	m.endIfDone(s)
	m.say("returns")
}

// nothingLeft checks what is promised for the return, failed or not.
func (m *model) nothingLeft(s *state, out protocol.Outcome, want uint8) bool {
	for i, c := range s.mem[:m.world.Sites] {
		if (c[head] != want && c[head] != same) || (c[tail] != want && c[tail] != same) {
			m.violate(CheckNothingLeft, fmt.Sprintf("the call returns (%v) and site %d is %s", out.Err, i, c))
			return false
		}
	}
	if s.vec.from != s.vec.to {
		m.violate(CheckNothingLeft, "the call returns and the vector is published")
		return false
	}
	budget := protocol.Syncs(m.world.plan(s.begun, s.p.retried))
	if out.Err == nil && int(s.p.syncs) != budget && !m.mutant.changesSyncs() {
		m.violate(CheckBudget, fmt.Sprintf("%d syncs, the budget is %d", s.p.syncs, budget))
		return false
	}
	return true
}

// endIfDone: the patcher's thread ends, and leaves its CPU to others.
func (m *model) endIfDone(s *state) {
	if m.done(s) && m.world.Move {
		s.p.off, s.cpus[s.p.cpu].on = true, nobody
	}
}

// done reports whether no batch is under way and none will come.
func (m *model) done(s *state) bool {
	return !s.active && !s.soon && !s.p.later && (s.quiet || int(s.begun) == m.world.Batches)
}

func (c cell) String() string {
	names := [...]string{"0", "1", "CC", "="}
	return "head " + names[c[head]] + " tail " + names[c[tail]]
}
