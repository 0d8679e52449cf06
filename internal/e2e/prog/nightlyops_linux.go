package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/quietpatch/quietpatch/statickey"
)

// change is one key and the place of the value that it gets.
type change struct {
	k  *nightKey
	at int
}

func (c change) value() int64 { return c.k.values[c.at] }

// startFlippers changes keys from several goroutines at once, one of them with
// a thread of its own.
func (h *nightly) startFlippers(wg *sync.WaitGroup) {
	for i := range 3 {
		wg.Go(func() {
			if i == 0 {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			r := h.rng(uint64(i))
			var s scratch
			for !h.over() {
				h.operate(r, &s)
			}
		})
	}
}

// cThread starts a thread in C that spins there and calls back into Go, and
// waits for its end. It is nil in a build without cgo.
var cThread func(h *nightly, seed uint64, calls int) error

// startCThreads keeps threads of C running. They change keys, too, so they end
// before the checkers.
func (h *nightly) startCThreads(wg *sync.WaitGroup) {
	for i := range h.o.cthreads {
		wg.Go(func() {
			for r := h.rng(2000 + uint64(i)); pause(r, time.Millisecond, h.enough) && !h.over(); {
				if err := cThread(h, r.Uint64(), 1+r.IntN(200)); err != nil {
					h.fail("C thread: %v", err)
					return
				}
				h.count("C threads")
			}
		})
	}
}

// operate makes one operation on keys, at random.
func (h *nightly) operate(r *rand.Rand, s *scratch) {
	another := func(k *nightKey, was int) int { return (was + 1 + r.IntN(len(k.values)-1)) % len(k.values) }
	anyOf := func(k *nightKey, _ int) int { return r.IntN(len(k.values)) }
	set := func(c []change) error { return c[0].k.set(c[0].value()) }
	switch n := r.IntN(100); {
	case n < 40:
		h.apply(s, pickKeys(r, 1), set, another)
	case n < 50: // perhaps to the value it has
		h.apply(s, pickKeys(r, 1), set, anyOf)
	case n < 70:
		h.apply(s, pickKeys(r, 1+r.IntN(len(changingKeys))), func(c []change) error { return h.batch(r, c) }, anyOf)
	case n < 80:
		h.applyHow(s, pickKeys(r, 1), soonBit, func(c []change) error { return h.withoutWaiting(r, c[0]) }, another)
	case n < 85:
		h.apply(s, pickKeys(r, 1), match, anyOf)
	case n < 90:
		h.matchMany(r, s)
	default:
		h.storm(r, s)
	}
}

// batch queues the changes in any order, behind others of the same keys that
// must not count, and applies them.
func (h *nightly) batch(r *rand.Rand, cs []change) error {
	h.cells[h.inForce.Load()].batches.Add(1)
	var b statickey.Batch
	for _, c := range cs {
		if r.IntN(3) == 0 {
			c.k.queue(&b, c.k.values[r.IntN(len(c.k.values))])
		}
	}
	for _, i := range r.Perm(len(cs)) {
		cs[i].k.queue(&b, cs[i].value())
	}
	return b.Apply()
}

// withoutWaiting changes a key by stores alone, then makes it certain.
func (h *nightly) withoutWaiting(r *rand.Rand, c change) error {
	if err := c.k.setNoWait(c.value()); err != nil {
		return err
	}
	for range r.IntN(2000) {
		c.k.word.Load() // time for checks of either value
	}
	h.kinds[c.k.kind].noWait.Add(1)
	return statickey.Sync()
}

// match changes one key by its name.
func match(cs []change) error {
	n, err := statickey.SetMatching(cs[0].k.name, cs[0].k.text(cs[0].value()))
	if err == nil && n != 1 {
		return fmt.Errorf("the selector %s has chosen %d keys, expected 1", cs[0].k.name, n)
	}
	return err
}

// matchMany gives the keys night.a to night.e one value, some of them by where they
// are checked.
func (h *nightly) matchMany(r *rand.Rand, s *scratch) {
	to, ks, selector := r.IntN(2), boolKeys[1:], "night.[a-e]"
	switch r.IntN(3) {
	case 0:
		ks, selector = boolKeys[1:2], "night.? file nightlykeys_linux.go func panicsA*"
	case 1:
		ks, selector = boolKeys[3:4], "func deepC"
	}
	h.apply(s, ks, func([]change) error {
		h.kinds[kindBool].matched.Add(uint64(len(ks)))
		n, err := statickey.SetMatching(selector, ks[0].text(int64(to)))
		if err == nil && n != len(ks) {
			return fmt.Errorf("the selector %q has chosen %d keys, expected %d", selector, n, len(ks))
		}
		return err
	}, func(*nightKey, int) int { return to })
}

// apply changes keys, which must be in order, to what value says of each, and
// verifies the result: on this thread at once, and in lockstep on another one
// before the keys may change again. A change that changes nothing is not
// marked as busy: checkers go on verifying. A change that would have to wait, and
// may not, must have left the old values.
func (h *nightly) apply(s *scratch, ks []*nightKey, do func([]change) error, value func(k *nightKey, was int) int) {
	h.applyHow(s, ks, 0, do, value)
}

// applyHow is apply with soonBit for changes that do not wait: their sites may go back
// to the old value until a sync.
func (h *nightly) applyHow(s *scratch, ks []*nightKey, soon uint64, do func([]change) error, value func(k *nightKey, was int) int) {
	c := &h.cells[h.inForce.Load()]
	lockstep := h.lockstep.Load()
	cs := make([]change, len(ks))
	words := make([]uint64, len(ks))
	for i, k := range ks {
		k.mu.Lock()
		defer k.mu.Unlock()
		words[i] = k.word.Load()
		was := nowOf(words[i])
		if cs[i] = (change{k, value(k, was)}); cs[i].at != was {
			k.word.Store(busyWord(words[i], cs[i].at) | soon)
		}
	}
	err := do(cs)
	if err != nil && !errors.Is(err, statickey.ErrNoWait) {
		h.fail("a change of %s and %d more keys, strategy %s on %s: %v", ks[0].name, len(ks)-1, nightlyCells[h.inForce.Load()], h.o.backend, err)
		return
	}
	for i, k := range ks {
		switch was := nowOf(words[i]); {
		case err != nil:
			h.kinds[k.kind].refused.Add(1)
			cs[i].at = was
		case cs[i].at != was:
			words[i] = quietWord(changesOf(words[i])+1, cs[i].at) | soon
			c.flips.Add(1)
			h.kinds[k.kind].flips.Add(1)
		}
		k.word.Store(words[i])
	}
	if err := h.settled(s, c, cs); err != nil {
		h.fail("%v", err)
	}
	if lockstep {
		h.await(ks, words)
	}
}

// settled verifies keys whose locks are held: nothing may change them, so all
// rounds count.
func (h *nightly) settled(s *scratch, c *cell, cs []change) error {
	var t roundTally
	defer t.flush(h, c)
	for _, x := range cs {
		if _, ok := h.round(c, &t, s, x.k, false); !ok {
			return fmt.Errorf("the hammer is wrong: %s changed under its lock", x.k.name)
		}
		if m := x.k.memory(); m != x.value() {
			return fmt.Errorf("key %s: its memory is %d, expected %d", x.k.name, m, x.value())
		}
	}
	return nil
}

// awaitMax is how long a change may stay unseen. Nothing but a check that
// never ends (or a machine that stands still) takes that long.
const awaitMax = time.Minute

// await waits until a checker's thread has verified the words.
func (h *nightly) await(ks []*nightKey, words []uint64) {
	deadline := time.Now().Add(awaitMax)
	for i, k := range ks {
		for spins := 1; k.seen.Load() != words[i]; spins++ {
			if spins%1000 != 0 {
				continue
			}
			runtime.Gosched()
			if h.fault.Load() != nil {
				return
			}
			if time.Now().After(deadline) {
				h.fail("no other thread has verified %s in %v, strategy %s on %s", k.name, awaitMax, nightlyCells[h.inForce.Load()], h.o.backend)
				return
			}
		}
	}
}

// storm lets several goroutines set the same keys at once. Which one is last
// is open; all checks and the memory of a key must agree on it.
func (h *nightly) storm(r *rand.Rand, s *scratch) {
	c := &h.cells[h.inForce.Load()]
	ks := pickKeys(r, 2)
	for _, k := range ks {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.word.Store(busyWord(k.word.Load(), anyValue))
	}
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		choice := rand.New(rand.NewPCG(r.Uint64(), 0))
		wg.Go(func() {
			for range 3 {
				errs[i] = errors.Join(errs[i], h.oneOfStorm(choice, ks))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(append(errs, statickey.Sync())...); err != nil {
		h.fail("several changes at once of %s and %s: %v", ks[0].name, ks[1].name, err)
		return
	}
	var cs []change
	for _, k := range ks {
		at := slices.Index(k.values, k.memory())
		if at < 0 {
			h.fail("key %s: its memory is %d, which nobody has set", k.name, k.memory())
			return
		}
		k.word.Store(quietWord(changesOf(k.word.Load())+2, at)) // there were more than one
		cs = append(cs, change{k, at})
	}
	h.storms.Add(1)
	if err := h.settled(s, c, cs); err != nil {
		h.fail("%v", err)
	}
}

// oneOfStorm changes one of the keys, and then both.
func (h *nightly) oneOfStorm(r *rand.Rand, ks []*nightKey) error {
	var at [2]change
	for i, k := range ks {
		at[i] = change{k, r.IntN(len(k.values))}
	}
	one := at[r.IntN(2)]
	err := one.k.set(one.value())
	if r.IntN(2) == 0 {
		one = at[r.IntN(2)]
		if e := one.k.setNoWait(one.value()); errors.Is(e, statickey.ErrNoWait) {
			h.kinds[one.k.kind].refused.Add(1)
		} else {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, h.batch(r, at[:]))
}
