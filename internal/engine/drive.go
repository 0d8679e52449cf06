package engine

import (
	"errors"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/text"
	"github.com/quietpatch/quietpatch/internal/trap"
)

const (
	trapByte  = 0xCC // INT3
	vectorMax = trap.VectorMax
)

// entries is the vector before it is published.
type entries = []trap.Entry

// perform carries out one effect of the protocol. The cases are its steps.
func (e *Engine) perform(ef protocol.Effect) protocol.Result {
	switch ef.Step {
	case protocol.StepPublish: // 1
		return protocol.Result{Err: e.publish(ef)}
	case protocol.StepRetire: // 5
		e.m.Retire()
		return protocol.Result{}
	case protocol.StepTrapSync, protocol.StepTailSync, protocol.StepHeadSync, protocol.StepStoreSync:
		return protocol.Result{Err: e.sync()}
	}
	if e.flips > 0 && ef.Dir == protocol.Forward {
		return e.performFlips(ef)
	}
	e.slowPokes()
	for i := ef.From; i < ef.To; i++ {
		if err := e.performSite(ef, &e.pokes[i]); err != nil {
			return failed(i-ef.From, err)
		}
	}
	return protocol.Result{}
}

// failed: what was not as expected was not written; any other write may have
// arrived although it failed.
func failed(done int, err error) protocol.Result {
	var mismatch *text.MismatchError
	return protocol.Result{Done: done, Err: err, Touched: !errors.As(err, &mismatch)}
}

// sync makes one sync. It also makes up for those that stores without one have
// left out.
func (e *Engine) sync() error {
	err := e.m.Sync(e.everyone)
	if err == nil {
		e.count.Syncs++
		e.soon, e.owed, e.unsynced = false, nil, false
		e.everyone = e.everyone && e.driving
	}
	return err
}

// performSite carries out the steps that touch one site.
func (e *Engine) performSite(ef protocol.Effect, p *poke) error {
	want := &p.new
	if ef.Dir == protocol.Back {
		want = &p.old
	}
	n := p.site.n()
	switch ef.Step {
	case protocol.StepCheck: // 0
		return e.check(p)
	case protocol.StepTrap: // 2
		return e.put(ef.Dir, p, 0, 1, uint64(p.old.B[0]), trapByte)
	case protocol.StepTail: // 3
		for off := 1; off < n; off += text.WordMax {
			k := min(n-off, text.WordMax)
			if err := e.put(ef.Dir, p, off, k, part(&p.old, off, k), part(want, off, k)); err != nil {
				return err
			}
		}
	case protocol.StepHead: // 4
		return e.put(ef.Dir, p, 0, 1, trapByte, uint64(want.B[0]))
	case protocol.StepStore: // S
		off, k, _ := p.span()
		return e.put(ef.Dir, p, off, k, part(&p.old, off, k), part(want, off, k))
	}
	return nil
}

// check is step 0 for one site.
func (e *Engine) check(p *poke) error {
	n := p.site.n()
	for off := 0; off < n; off += text.WordMax {
		k := min(n-off, text.WordMax)
		addr, want := p.site.addr+uintptr(off), part(&p.old, off, k)
		if found := e.m.Load(addr, k); found != want {
			return &text.MismatchError{Addr: addr, N: k, Expected: want, Found: found}
		}
	}
	return nil
}

// put writes n bytes of a site from off on.
//
// Forward, the bytes there must be what the steps before have left. Back, each
// byte may be old, new or (the head) the trap byte, because the step that
// failed may have got that far; anything else belongs to somebody else and is
// not written.
func (e *Engine) put(dir protocol.Dir, p *poke, off, n int, expect, want uint64) error {
	addr := p.site.addr + uintptr(off)
	if dir == protocol.Back {
		expect = e.m.Load(addr, n)
		if !p.among(expect, off, n) {
			return &text.MismatchError{Addr: addr, N: n, Expected: want, Found: expect}
		}
	}
	if expect == want {
		return nil
	}
	err := e.m.Poke(addr, n, expect, want)
	if err != nil && dir == protocol.Back {
		switch found := e.m.Load(addr, n); {
		case found == want:
			err = nil // it arrived all the same
		case p.among(found, off, n):
			err = e.m.Rescue(addr, n, found, want)
		}
	}
	if err == nil {
		e.count.Pokes++
	}
	return err
}

// publish makes the vector for the sites of the effect: a thread that traps
// goes on as the compiler's instruction would if the key had the new value, or on
// the way back the old one; at a call, as the new or the old call would.
func (e *Engine) publish(ef protocol.Effect) error {
	e.entries = e.entries[:0]
	for i := ef.From; i < ef.To; i++ {
		p := &e.pokes[i]
		en, err := p.entry(ef.Dir)
		if err != nil {
			return err
		}
		if p.key.forIsolated() {
			en.Allowed = 1
		}
		e.entries = append(e.entries, en)
	}
	return e.m.Publish(e.entries)
}

// entry says how a thread goes on that traps at the site.
func (p *poke) entry(dir protocol.Dir) (trap.Entry, error) {
	en := trap.Entry{Addr: p.site.addr, Resume: p.site.addr + uintptr(p.site.n()), Slot: trap.NoSlot}
	v, code := p.newValue, p.new
	if dir == protocol.Back {
		v, code = p.oldValue, p.old
	}
	if p.site.form.Transfers() {
		em, err := insn.EmulateCall(uint64(p.site.addr), code)
		en.Resume, en.Push = uintptr(em.Resume), uintptr(em.Push)
		return en, err
	}
	em, err := insn.Emulate(p.site.form, p.site.orig, v)
	if err != nil {
		return en, err
	}
	en.FlagsClear, en.FlagsSet = em.FlagsClear, em.FlagsSet
	if em.Reg != insn.NoReg {
		en.Slot, en.Value = trap.Slot(em.Reg), em.Value
	}
	return en, nil
}
