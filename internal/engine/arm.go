package engine

import (
	"errors"
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
	e.pokes = e.pokes[:0]
	for _, k := range keys {
		v := k.value()
		for _, s := range k.sites {
			if s.state == Memory {
				e.pokes = append(e.pokes, poke{key: k, site: s, old: s.orig, new: s.word(v), oldValue: v, newValue: v})
			}
		}
	}
	e.sortPokes()
	if err := e.m.Prepare(e.addrs()); err != nil {
		e.refuseUnprepared()
	}
	if len(e.pokes) > 0 {
		e.armPokes()
	}
}

// refuseUnprepared asks for one page after the other, and leaves out the sites
// whose page cannot be written.
func (e *Engine) refuseUnprepared() {
	e.pokes = slices.DeleteFunc(e.pokes, func(p poke) bool {
		err := e.m.Prepare([]uintptr{p.site.addr})
		if err != nil {
			p.refuse(err)
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
		out := e.runLocked(protocol.Int3)
		switch {
		case out.Err == nil:
			for i := range e.pokes {
				e.pokes[i].armed()
			}
			return
		case e.postponed(out):
			return
		case out.Step == protocol.StepCheck && out.Site >= 0:
			e.pokes[out.Site].refuse(out.Err)
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
		out := e.runLocked(protocol.OneAtATime)
		switch {
		case out.Err == nil:
			all[i].armed()
		case e.postponed(out):
			return
		default:
			all[i].refuse(out.Err)
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
	p.site.state, p.site.why = Armed, ""
	p.key.shown = p.newValue
	p.key.unarmed--
	p.key.armed++
}

func (p *poke) refuse(err error) {
	p.site.state, p.site.again, p.site.why = Refused, true, "could not be armed: "+err.Error()
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
		for _, s := range k.sites {
			if s.state == Refused && s.again {
				s.state, s.again, s.why = Memory, false, ""
				k.unarmed++
			}
		}
	}
	e.armLocked(e.keys)
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
	e.pokes = e.pokes[:0]
	for _, k := range e.keys {
		v := k.value()
		if k.armed > 0 {
			k.cell.Store(v) // the same, unless the key was overwritten: its checks will read it again
		}
		for _, s := range k.sites {
			if s.state == Armed {
				e.pokes = append(e.pokes, poke{key: k, site: s, old: s.word(v), new: s.orig, oldValue: v, newValue: v})
			}
		}
	}
	if len(e.pokes) == 0 {
		return nil
	}
	e.sortPokes()
	if out := e.runLocked(protocol.Int3); out.Err != nil {
		return e.failure(out)
	}
	for i := range e.pokes {
		p := &e.pokes[i]
		p.site.state = Memory
		p.key.unarmed++
		p.key.armed--
	}
	return nil
}
