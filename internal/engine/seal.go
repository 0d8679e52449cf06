package engine

import (
	"errors"
	"fmt"
)

// ErrSealed: the key may not change any more.
var ErrSealed = errors.New("sealed key")

// Stages of a key's seal.
const (
	neverSealed = iota
	toBeSealed
	sealed
)

// MarkSealed makes k one of the keys that Seal seals.
func (e *Engine) MarkSealed(k *Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k = e.known(k)
	if k.seal == neverSealed {
		k.seal = toBeSealed
		e.list(k)
	}
}

// checkSealed returns an error for the first sealed key among the changes.
func checkSealed(changes []Change) error {
	for _, c := range changes {
		if c.Key.seal == sealed {
			return fmt.Errorf("%w: %s is %s for good since statickey.Seal was called; set it before", ErrSealed, c.Key.label(), c.Key.text(c.Key.value()))
		}
	}
	return nil
}

// Seal arms the marked keys in one batch, makes them constant, and forgets their
// sites. The error says what could not be armed and reads memory; where nothing is
// patched by the nature of the build or system, that is no error.
func (e *Engine) Seal() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.recoverLocked(); err != nil {
		return err
	}
	var keys []*Key
	for _, k := range e.keys {
		if k.seal == toBeSealed {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	e.later = nil
	e.armLocked(keys)
	if e.stuck != nil {
		return e.stuck.err
	}
	errs := []error{e.later}
	if e.off != "" {
		errs = append(errs, errors.New(e.off))
	}
	for _, k := range keys {
		k.seal = sealed
		errs = append(errs, e.sealed(k))
	}
	if e.mErr != nil {
		return nil // memory mode: Status says why
	}
	return errors.Join(errs...)
}

// sealed forgets the sites of a key, if they are all settled, and says which of them
// could not be armed although they might have been.
func (e *Engine) sealed(k *Key) error {
	var errs []error
	for i := range k.sites {
		if s := &k.sites[i]; s.again {
			errs = append(errs, fmt.Errorf("%s: site at %#x: %s", k.label(), s.addr, e.whyOf(k, s)))
		}
	}
	if k.unarmed == 0 && len(errs) == 0 {
		k.forget()
	}
	return errors.Join(errs...)
}

// armSealed arms sealed keys again, after a change of backends took that back.
func (e *Engine) armSealed() {
	var keys []*Key
	for _, k := range e.keys {
		if k.seal == sealed && k.unarmed > 0 {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return
	}
	e.armLocked(keys)
	for _, k := range keys {
		_ = e.sealed(k) // the sites say why
	}
}

// forget drops the table of sites. Their number stays known.
func (k *Key) forget() {
	k.forgotten += len(k.sites)
	k.sites = nil
}

// remember finds the sites of sealed keys again, from the executable file: to put
// the compiler's bytes back, or to tell our bytes from somebody else's. What is
// armed says the text.
func (e *Engine) remember() error {
	var keys []*Key
	for _, k := range e.keys {
		if k.forgotten > 0 {
			k.searched = false
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if err := e.search(keys); err != nil {
		for _, k := range keys {
			k.searched = true // they are known, only not to us now
		}
		return err
	}
	for _, k := range keys {
		k.forgotten, k.armed, k.unarmed, k.slow = 0, 0, 0, 0
		for i := range k.sites {
			s := &k.sites[i]
			switch {
			case s.state != Memory:
			case e.check(&poke{site: s, old: k.code(s, k.shown)}) == nil:
				s.state = Armed
				k.armed++
				if !s.isFlip() {
					k.slow++
				}
			default:
				s.state, s.why = Refused, e.reasonNumber("could not be armed before the key was sealed")
			}
		}
	}
	return nil
}
