package sim

import (
	"errors"
	"fmt"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

var errFault = errors.New("injected fault")

// patcherAtoms appends what the patcher can do.
func (m *model) patcherAtoms(s *state, out []atom) []atom {
	p := &s.p
	if p.off {
		if s.cpus[0].on == nobody {
			out = append(out, atom{op: opOn})
		}
		return out
	}
	if !s.active {
		if int(s.begun) < m.world.Batches && !s.quiet {
			out = append(out, atom{op: opStep})
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
	if ef.Step.Writes() && !m.mutant.skips(ef) && m.mayFail(s, ef) {
		out = append(out, atom{op: opFail}, atom{op: opFailLate})
	}
	return out
}

func (m *model) mayFail(s *state, ef protocol.Effect) bool {
	return s.faults > 0 && ef.Dir == protocol.Forward && !s.quiet
}

// patch carries out an atom of the patcher.
func (m *model) patch(s *state, a atom) {
	switch {
	case a.op == opOff:
		s.p.away--
		s.p.off = true
		s.cpus[0].on = nobody
		m.say("patcher is taken off the CPU")
		return
	case a.op == opOn:
		s.p.off = false
		m.comeOn(s, 0, thePatcher)
		m.say("patcher comes back")
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
	case ef.Step == protocol.StepCheck:
		s.advance(protocol.Result{})
		m.sayStep(ef, "")
	case ef.Step == protocol.StepPublish, ef.Step == protocol.StepRetire:
		m.publish(s, ef)
	case ef.Step.Sync():
		m.sync(s, ef, a)
	default:
		m.write(s, ef, a)
	}
}

// begin is the call.
func (m *model) begin(s *state) {
	machine, err := protocol.New(m.world.plan())
	if err != nil {
		m.violate(CheckNothingLeft, err.Error())
		return
	}
	s.begun++
	s.active = true
	s.p = patcher{machine: machine, away: s.p.away}
	s.freed[s.target(protocol.Forward)] = false // a new stub
	if m.mutant.flaw == snapshotTooEarly {
		s.snapshot()
	}
	m.say("begins a batch")
}

// advance reports the result to the machine and starts its next effect.
func (s *state) advance(r protocol.Result) {
	s.p.machine.Next(r)
	s.p.phase, s.p.at, s.p.waits, s.p.spared = 0, 0, 0, 0
	s.p.site = uint8(s.p.machine.Effect().From)
}

// publish changes the vector in three atoms, as the sequence count demands.
func (m *model) publish(s *state, ef protocol.Effect) {
	noOdd := m.mutant.flaw == noOddCount
	switch s.p.phase {
	case 0:
		if !noOdd {
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
		if noOdd {
			s.vec.seq++
		}
		s.vec.seq++
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
		b = head
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

// atReturn is the return of the call: what it promises is checked here.
func (m *model) atReturn(s *state) {
	out := s.p.machine.Outcome()
	want := s.target(protocol.Forward)
	if out.Err != nil {
		want = s.shown
	}
	if out.Stuck {
		m.violate(CheckNothingLeft, "stuck although writes work on the way back")
		return
	}
	for i, c := range s.mem[:m.world.Sites] {
		if (c[head] != want && c[head] != same) || (c[tail] != want && c[tail] != same) {
			m.violate(CheckNothingLeft, fmt.Sprintf("the call returns (%v) and site %d is %s", out.Err, i, c))
			return
		}
	}
	if s.vec.from != s.vec.to {
		m.violate(CheckNothingLeft, "the call returns and the vector is published")
		return
	}
	if budget := protocol.Syncs(m.world.plan()); out.Err == nil && int(s.p.syncs) != budget && !m.mutant.changesSyncs() {
		m.violate(CheckBudget, fmt.Sprintf("%d syncs, the budget is %d", s.p.syncs, budget))
		return
	}
	s.shown = want
	s.active = false
	s.p = patcher{away: s.p.away}
	if m.done(s) && m.world.Move { // the patcher's thread ends
		s.p.off, s.cpus[0].on = true, nobody
	}
	m.say("returns")
}

// done reports whether no batch is under way and none will come.
func (m *model) done(s *state) bool {
	return !s.active && (s.quiet || int(s.begun) == m.world.Batches)
}

func (c cell) String() string {
	names := [...]string{"0", "1", "CC", "="}
	return "head " + names[c[head]] + " tail " + names[c[tail]]
}
