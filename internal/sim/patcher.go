package sim

import (
	"errors"
	"fmt"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

var errFault = errors.New("injected fault")

// patch appends the states that follow when the patcher takes its next atom.
func (x *explorer) patch(s state) {
	switch {
	case s.active:
	case int(s.begun) == x.world.Batches:
		return // has nothing more to do
	default:
		m, err := protocol.New(x.world.plan())
		if err != nil {
			x.violate("patcher", err.Error())
			return
		}
		s.begun++
		s.active = true
		s.p = patcher{machine: m}
		x.next(s, "patcher", "begins a batch")
		return
	}
	if s.p.machine.Done() {
		x.finish(s)
		return
	}
	ef := s.p.machine.Effect()
	switch {
	case x.mutant.skips(ef):
		s.advance(protocol.Result{})
		x.next(s, "patcher", ef.Step.String()+" is left out")
	case ef.Step == protocol.StepCheck:
		s.advance(protocol.Result{})
		x.next(s, "patcher", ef.Step.String())
	case ef.Step == protocol.StepPublish, ef.Step == protocol.StepRetire:
		x.publish(s, ef)
	case ef.Step.Sync():
		x.sync(s, ef)
	default:
		x.write(s, ef)
	}
}

// advance reports the result to the machine and starts its next effect.
func (s *state) advance(r protocol.Result) {
	s.p.machine.Next(r)
	s.p.phase, s.p.waits = 0, 0
	s.p.site = uint8(s.p.machine.Effect().From)
}

// target returns the value whose bytes the effect writes.
func (s *state) target(d protocol.Dir) uint8 {
	from := s.shown
	if d == protocol.Back {
		return from
	}
	return 1 - from
}

// publish changes the vector in three atoms, as the sequence count demands.
func (x *explorer) publish(s state, ef protocol.Effect) {
	who := fmt.Sprintf("%v %v", ef.Step, ef.Dir)
	switch s.p.phase {
	case 0:
		if !x.mutant.NoOddCount {
			s.vec.seq++
		}
		s.vec.value = garbage
	case 1:
		s.vec.from, s.vec.to = uint8(ef.From), uint8(ef.To)
		if ef.Step == protocol.StepRetire {
			s.vec.from, s.vec.to = 0, 0
		}
	case 2:
		s.vec.value = s.target(ef.Dir)
		if x.mutant.NoOddCount {
			s.vec.seq++
		}
		s.vec.seq++
		s.advance(protocol.Result{})
		x.next(s, "patcher", who+", stable")
		return
	}
	s.p.phase++
	x.next(s, "patcher", who)
}

// sync reaches the CPUs in any order.
func (x *explorer) sync(s state, ef protocol.Effect) {
	if s.p.phase == 0 {
		x.fail(s, ef, ef.From, "")
		s.p.phase = 1
		for i := range x.world.Threads {
			if s.threads[i].off {
				s.threads[i].owes = true
			} else if !x.mutant.SyncMissesCPU || i > 0 {
				s.p.waits |= 1 << i
			}
		}
		x.next(s, "patcher", ef.Step.String()+" begins")
		return
	}
	for i := range x.world.Threads {
		if s.p.waits&(1<<i) != 0 {
			t := s
			t.p.waits &^= 1 << i
			t.serialize(i)
			x.next(t, "patcher", fmt.Sprintf("%v reaches CPU%d", ef.Step, i+1))
		}
	}
	if s.p.waits == 0 || x.mutant.SyncDoesNotWait {
		s.p.syncs++
		s.advance(protocol.Result{})
		x.next(s, "patcher", ef.Step.String()+" returns")
	}
}

// write writes one byte of one site, or fails to.
func (x *explorer) write(s state, ef protocol.Effect) {
	i := int(s.p.site)
	step := x.mutant.swaps(ef)
	if x.mutant.EarlyRetire && step == protocol.StepHead && s.vec.from != s.vec.to {
		s.vec.from, s.vec.to, s.vec.seq = 0, 0, s.vec.seq+2
	}
	v := s.target(ef.Dir)
	b, code := tail, v
	switch step {
	case protocol.StepTrap:
		b, code = head, uint8(trapped)
	case protocol.StepHead:
		b = head
	}
	if x.world.Strategy == protocol.Store {
		b, code = tail, v
	}
	x.fail(s, ef, i, "")
	arrived := s
	if arrived.mem[i][b] != code {
		arrived.store(i, b, code)
	}
	x.fail(arrived, ef, i, ", but the write arrived")
	s = arrived
	s.p.site++
	if int(s.p.site) >= ef.To {
		s.advance(protocol.Result{})
	}
	x.next(s, "patcher", fmt.Sprintf("%v %v, site %d", ef.Step, ef.Dir, i))
}

// fail adds the branch in which the effect fails at the site.
func (x *explorer) fail(s state, ef protocol.Effect, site int, how string) {
	if s.faults == 0 || ef.Dir == protocol.Back {
		return
	}
	s.faults--
	s.advance(protocol.Result{Done: site - ef.From, Err: errFault, Touched: !x.mutant.UndoForgetsSite})
	x.next(s, "patcher", fmt.Sprintf("%v fails at site %d%s", ef.Step, site, how))
}

// finish is the return of the call: what it promises is checked here.
func (x *explorer) finish(s state) {
	out := s.p.machine.Outcome()
	want := s.target(protocol.Forward)
	if out.Err != nil {
		want = s.shown
	}
	if out.Stuck {
		x.violate(CheckNothingLeft, "stuck although writes work on the way back")
		return
	}
	for i := range x.world.Sites {
		h := s.mem[i][head]
		if (h != want && h != same) || s.mem[i][tail] != want {
			x.violate(CheckNothingLeft, fmt.Sprintf("the call returns (%v) and site %d is %s", out.Err, i, siteString(s.mem[i])))
			return
		}
	}
	if s.vec.from != s.vec.to {
		x.violate(CheckNothingLeft, "the call returns and the vector is published")
		return
	}
	if budget := protocol.Syncs(x.world.plan()); out.Err == nil && int(s.p.syncs) != budget && !x.mutant.changesSyncs() {
		x.violate(CheckBudget, fmt.Sprintf("%d syncs, the budget is %d", s.p.syncs, budget))
		return
	}
	s.shown = want
	s.active = false
	s.p = patcher{}
	x.next(s, "patcher", "returns")
}
