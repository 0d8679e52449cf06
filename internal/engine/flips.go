package engine

import (
	"errors"

	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/text"
)

// Flips are the short way for what happens most: keys that are on or off, all of
// whose armed sites change one byte, by the store protocol. Nothing is made for
// them: the sites themselves say what stands there and what comes. The order is
// that of the changes and of each key's sites. When one fails, pokes are made in
// the same order, and the undo goes on with them.

// countFlips returns how many stores the changes are, 0 if they are no flips.
func (e *Engine) countFlips(changes []Change) int {
	if e.strategy != protocol.Store {
		return 0
	}
	n := 0
	for _, c := range changes {
		if c.Key.value() == c.Value {
			continue
		}
		if c.Key.slow > 0 {
			return 0
		}
		n += c.Key.armed
	}
	return n
}

// performFlips carries out step 0 or S for all of them.
func (e *Engine) performFlips(ef protocol.Effect) protocol.Result {
	done := 0
	w := e.m.Window()
	for _, c := range e.changes {
		from := c.Key.value()
		if from == c.Value {
			continue
		}
		var n int
		var err error
		switch {
		case ef.Step == protocol.StepCheck:
			n, err = checkFlips(c.Key.sites, from)
		case w != nil:
			n, err = e.storeFast(w, c.Key.sites, from)
		default:
			n, err = e.storeFlips(c.Key.sites, from)
		}
		if done += n; err != nil {
			return failed(done, err)
		}
	}
	return protocol.Result{}
}

// checkFlips compares the armed ones of the sites with what they are when the key is
// v. It returns how many are right, from the first on.
func checkFlips(sites []Site, v int64) (int, error) {
	n := 0
	for i := range sites {
		s := &sites[i]
		if s.state != Armed {
			continue
		}
		if want, found := s.word(v), text.Load(s.addr, int(s.orig.N)); found != want {
			return n, &text.MismatchError{Addr: s.addr, N: s.n(), Expected: want, Found: found}
		}
		n++
	}
	return n, nil
}

// storeFlips changes the one byte of each armed site, from what it is when the key
// is v to what it is when the key is not.
func (e *Engine) storeFlips(sites []Site, v int64) (int, error) {
	n := 0
	for i := range sites {
		s := &sites[i]
		if s.state != Armed {
			continue
		}
		old := byte(s.word(v) >> (8 * s.off))
		if err := e.m.Poke(s.addr+uintptr(s.off), 1, uint64(old), uint64(old^s.xor)); err != nil {
			e.count.Pokes += uint64(n)
			return n, err
		}
		n++
	}
	e.count.Pokes += uint64(n)
	return n, nil
}

// storeFast is storeFlips through a window: it compares all of a site, and stores,
// in one visit.
func (e *Engine) storeFast(w *text.Window, sites []Site, v int64) (int, error) {
	n := 0
	for i := range sites {
		s := &sites[i]
		if s.state != Armed {
			continue
		}
		want := s.word(v)
		if !w.Slot(s.addr).Swap(s.orig.N, want, s.off, byte(want>>(8*s.off))^s.xor) {
			e.count.Pokes += uint64(n)
			return n, e.fastFailed(s, want)
		}
		n++
	}
	e.count.Pokes += uint64(n)
	return n, nil
}

// fastFailed says what is wrong with a site.
func (e *Engine) fastFailed(s *Site, want uint64) error {
	if found := e.m.Load(s.addr, s.n()); found != want {
		return &text.MismatchError{Addr: s.addr, N: s.n(), Expected: want, Found: found}
	}
	return &text.WriteError{Backend: e.m.Backend(), Addr: s.addr, N: s.n(), Err: errNoWindow}
}

var errNoWindow = errors.New("its page is not where it is written")

// slowPokes describes a batch of flips by pokes, in the same order. They are not
// sorted, and need not be: what follows is the way back of the store protocol, or
// one site at a time.
func (e *Engine) slowPokes() {
	if e.flips > 0 {
		e.flips = 0
		e.makePokes(e.changes)
	}
}
