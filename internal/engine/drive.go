package engine

import (
	"errors"
	"math/bits"

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
	for i := ef.From; i < ef.To; i++ {
		if err := e.performSite(ef, &e.pokes[i]); err != nil {
			// What was not as expected was not written; any other write may have
			// arrived although it failed.
			var mismatch *text.MismatchError
			return protocol.Result{Done: i - ef.From, Err: err, Touched: !errors.As(err, &mismatch)}
		}
	}
	return protocol.Result{}
}

// sync makes one sync. It also makes up for one that was owed.
func (e *Engine) sync() error {
	err := e.m.Sync()
	if err == nil {
		e.count.Syncs++
		e.owed = nil
	}
	return err
}

// performSite carries out the steps that touch one site.
func (e *Engine) performSite(ef protocol.Effect, p *poke) error {
	s, want := p.site, p.new
	if ef.Dir == protocol.Back {
		want = p.old
	}
	n := int(s.n)
	switch ef.Step {
	case protocol.StepCheck: // 0
		if found := e.m.Load(s.addr, n); found != p.old {
			return &text.MismatchError{Addr: s.addr, N: n, Expected: p.old, Found: found}
		}
		return nil
	case protocol.StepTrap: // 2
		return e.put(ef.Dir, p, part{0, 1}, p.old, trapByte)
	case protocol.StepTail: // 3
		return e.put(ef.Dir, p, part{1, n - 1}, p.old>>8, want>>8)
	case protocol.StepHead: // 4
		return e.put(ef.Dir, p, part{0, 1}, trapByte, want)
	case protocol.StepStore: // S
		off := bits.TrailingZeros64(p.old^p.new) / 8
		return e.put(ef.Dir, p, part{off, 1}, p.old>>(8*off), want>>(8*off))
	}
	return nil
}

// part is some bytes of a site.
type part struct{ off, n int }

// put writes a part of a site.
//
// Forward, the bytes there must be what the steps before have left. Back, each
// byte may be old, new or (the head) the trap byte, because the step that
// failed may have got that far; anything else belongs to somebody else and is
// not written.
func (e *Engine) put(dir protocol.Dir, p *poke, at part, expect, want uint64) error {
	addr := p.site.addr + uintptr(at.off)
	mask := ^uint64(0) >> (64 - 8*at.n)
	expect, want = expect&mask, want&mask
	if dir == protocol.Back {
		expect = e.m.Load(addr, at.n)
		if !p.among(expect, at) {
			return &text.MismatchError{Addr: addr, N: at.n, Expected: want, Found: expect}
		}
	}
	if expect == want {
		return nil
	}
	err := e.m.Poke(addr, at.n, expect, want)
	if err != nil && dir == protocol.Back {
		switch found := e.m.Load(addr, at.n); {
		case found == want:
			err = nil // it arrived all the same
		case p.among(found, at):
			err = e.m.Rescue(addr, at.n, found, want)
		}
	}
	if err == nil {
		e.count.Pokes++
	}
	return err
}

// among reports whether every byte found in the part is the site's old or new
// one, or, at the head, the trap byte.
func (p *poke) among(found uint64, at part) bool {
	for i := range at.n {
		shift := 8 * (at.off + i)
		f, o, w := byte(found>>(8*i)), byte(p.old>>shift), byte(p.new>>shift)
		trapped := at.off+i == 0 && f == trapByte
		if f != o && f != w && !trapped {
			return false
		}
	}
	return true
}

// publish makes the vector for the sites of the effect: a thread that traps
// goes on as the new instruction would, or on the way back as the old one.
func (e *Engine) publish(ef protocol.Effect) error {
	e.entries = e.entries[:0]
	for i := ef.From; i < ef.To; i++ {
		p := &e.pokes[i]
		v := p.newValue
		if ef.Dir == protocol.Back {
			v = p.oldValue
		}
		em, err := insn.Emulate(p.site.form, code(p.site.orig, p.site.n), v)
		if err != nil {
			return err
		}
		en := trap.Entry{
			Addr: p.site.addr, Resume: p.site.addr + uintptr(p.site.n), Slot: trap.NoSlot,
			FlagsClear: em.FlagsClear, FlagsSet: em.FlagsSet,
		}
		if em.Reg != insn.NoReg {
			en.Slot, en.Value = trap.Slot(em.Reg), em.Value
		}
		e.entries = append(e.entries, en)
	}
	return e.m.Publish(e.entries)
}
