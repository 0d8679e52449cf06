package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// armLocked turns the sites of the keys from "reads memory" into "holds the
// value", at the value that the key has now: arming changes no value. What
// cannot be armed goes on reading memory, so there is no error to return;
// Status and the sites say why.
func (e *Engine) armLocked(keys []*Key) {
	if e.off != "" || !slices.ContainsFunc(keys, (*Key).wantsArm) {
		return
	}
	if e.later = e.bringUp(); e.later != nil {
		return
	}
	if e.later = e.search(keys); e.later != nil {
		return
	}
	e.clear()
	for _, k := range keys {
		v := k.value()
		if k.callees != nil && k.armed == 0 { // else what it shows has its place
			k.callees.meet(loadFunc(k.callees.addr))
			k.callees.lead(v)
		}
		for i := range k.sites {
			s := &k.sites[i]
			if s.state != Memory {
				continue
			}
			e.pokes = append(e.pokes, poke{key: k, site: s, old: s.orig, new: k.code(s, v), oldValue: v, newValue: v})
		}
	}
	if len(e.pokes) == 0 {
		return
	}
	if e.later = e.syncStubs(); e.later != nil {
		return
	}
	e.sortPokes()
	if err := e.m.Prepare(e.addrs()); err != nil {
		e.refuseUnprepared()
	}
	e.pokes = slices.DeleteFunc(e.pokes, func(p poke) bool {
		if p.toMemory() {
			p.armed() // as long as the key has this value, there is nothing to write
		}
		return p.toMemory()
	})
	e.armPokes()
	e.clear()
}

// refuseUnprepared asks for one page after the other, and leaves out the sites
// whose page cannot be written.
func (e *Engine) refuseUnprepared() {
	e.pokes = slices.DeleteFunc(e.pokes, func(p poke) bool {
		err := e.m.Prepare([]uintptr{p.site.addr})
		if err != nil {
			e.refuse(&p, err)
		}
		return err != nil
	})
}

// wantsArm reports whether the key may have sites that wait to be armed.
func (k *Key) wantsArm() bool { return k.plain == "" && (!k.searched || k.unarmed > 0) }

func (e *Engine) addrs() []uintptr {
	addrs := make([]uintptr, len(e.pokes))
	for i := range e.pokes {
		addrs[i] = e.pokes[i].site.addr
	}
	return addrs
}

// armPokes arms all sites in one batch, always by int3: all bytes change. A
// site that step 0 finds changed is refused and the others go on. When a batch
// fails later, one site at a time: the bad ones are refused, the others armed.
func (e *Engine) armPokes() {
	for len(e.pokes) > 0 {
		out := e.runLocked(protocol.Int3, false)
		switch {
		case out.Err == nil:
			for i := range e.pokes {
				e.pokes[i].armed()
			}
			return
		case e.postponed(out):
			return
		case out.Step == protocol.StepCheck && out.Site >= 0:
			e.refuse(&e.pokes[out.Site], out.Err)
			e.pokes = slices.Delete(e.pokes, out.Site, out.Site+1)
		default:
			e.armOneByOne()
			return
		}
	}
}

func (e *Engine) armOneByOne() {
	e.count.Fallbacks++
	all := slices.Clone(e.pokes)
	for i := range all {
		e.pokes = append(e.pokes[:0], all[i])
		out := e.runLocked(protocol.OneAtATime, false)
		switch {
		case out.Err == nil:
			all[i].armed()
		case e.postponed(out):
			return
		default:
			e.refuse(&all[i], out.Err)
		}
	}
}

// postponed reports whether arming has to stop for now, and notes why.
func (e *Engine) postponed(out protocol.Outcome) bool {
	switch {
	case out.Stuck:
		e.later = e.stuck.err
	case errors.Is(out.Err, errNotReady):
		e.later = out.Err
	default:
		return false
	}
	return true
}

func (p *poke) armed() {
	p.site.state, p.site.why = Armed, 0
	p.key.shown = p.newValue
	p.key.unarmed--
	p.key.armed++
	if !p.site.isFlip() {
		p.key.slow++
	}
}

func (e *Engine) refuse(p *poke, err error) {
	p.site.state, p.site.again, p.site.why = Refused, true, e.reasonNumber("could not be armed: "+err.Error())
	p.key.unarmed--
}

// Arm arms the sites of every registered key now, instead of when each is first
// set, and tries again what was refused or switched off by Disarm. The error
// says why nothing can be armed; single sites that stay in memory are no error.
func (e *Engine) Arm() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.recoverLocked(); err != nil {
		return err
	}
	e.off = ""
	e.tryAgain()
	for _, k := range e.keys {
		for i := range k.sites {
			if s := &k.sites[i]; s.state == Refused && s.again {
				s.state, s.again, s.why = Memory, false, 0
				k.unarmed++
			}
		}
	}
	e.armLocked(e.keys)
	for _, k := range e.keys {
		if k.seal == sealed {
			_ = e.sealed(k) // the sites say why
		}
	}
	return e.later
}

// Disarm puts the compiler's bytes back over every armed site and arms nothing
// until Arm is called: for people about to attach a debugger or to set a probe.
// Keys go on working, from memory. On error nothing has changed but the bytes
// of overwritten keys, which show again what their checks show.
func (e *Engine) Disarm() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.disarmLocked(); err != nil {
		return err
	}
	e.off = "quietpatch.Disarm was called; quietpatch.Arm undoes it"
	return nil
}

func (e *Engine) disarmLocked() error {
	if err := e.recoverLocked(); err != nil {
		return err
	}
	if err := e.remember(); err != nil {
		return fmt.Errorf("the checks of sealed keys are not known any more: %w", err)
	}
	e.clear()
	for _, k := range e.keys {
		v := k.value()
		if k.armed > 0 {
			k.cell.Store(v) // the same, unless the key was overwritten: its checks will read it again
		}
		for i := range k.sites {
			s := &k.sites[i]
			if p := (poke{key: k, site: s, old: k.code(s, v), new: s.orig, oldValue: v, newValue: v}); s.state == Armed && p.old != p.new {
				e.pokes = append(e.pokes, p)
			}
		}
	}
	e.restoreIndirects()
	if len(e.pokes) > 0 {
		e.sortPokes()
		if out := e.runLocked(protocol.Int3, false); out.Err != nil {
			return e.failure(out)
		}
	}
	for _, k := range e.keys {
		k.disarmed()
	}
	e.indirectsRestored()
	return nil
}

// disarmed: all sites read memory.
func (k *Key) disarmed() {
	for i := range k.sites {
		if s := &k.sites[i]; s.state == Armed {
			s.state = Memory
			k.unarmed++
			k.armed--
			if !s.isFlip() {
				k.slow--
			}
		}
	}
}
