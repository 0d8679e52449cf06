package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/quietpatch/quietpatch/statickey"
)

// change is one key and the value it gets.
type change struct {
	k  *nightKey
	on bool
}

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
	switch n := r.IntN(100); {
	case n < 50: // toggle one key
		k := pickKeys(r, 1)
		h.apply(s, k, func(c []change) error { return c[0].k.key.Set(c[0].on) }, func(was bool) bool { return !was })
	case n < 60: // set one key, perhaps to the value it has
		on := r.IntN(2) == 0
		h.apply(s, pickKeys(r, 1), func(c []change) error {
			if on {
				return c[0].k.key.Enable()
			}
			return c[0].k.key.Disable()
		}, func(bool) bool { return on })
	case n < 90:
		h.apply(s, pickKeys(r, 1+r.IntN(len(nightKeys))), func(c []change) error { return h.batch(r, c) },
			func(bool) bool { return r.IntN(2) == 0 })
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
			b.Set(c.k.key, !c.on)
		}
	}
	for _, i := range r.Perm(len(cs)) {
		b.Set(cs[i].k.key, cs[i].on)
	}
	return b.Apply()
}

// apply changes keys, which must be in order, to what value says of each, and
// verifies the result: on this thread at once, and in lockstep on another one
// before the keys may change again. A change that changes nothing is not
// marked as busy: checkers go on verifying.
func (h *nightly) apply(s *scratch, ks []*nightKey, do func([]change) error, value func(was bool) bool) {
	c := &h.cells[h.inForce.Load()]
	lockstep := h.lockstep.Load()
	cs := make([]change, len(ks))
	words := make([]uint64, len(ks))
	for i, k := range ks {
		k.mu.Lock()
		defer k.mu.Unlock()
		was := k.word.Load()
		cs[i] = change{k, value(was&valueBit != 0)}
		words[i] = was
		if cs[i].on != (was&valueBit != 0) {
			words[i] = (was + wordStep) ^ valueBit
			k.word.Store(was | busyBit)
			c.flips.Add(1)
		}
	}
	if err := do(cs); err != nil {
		h.fail("a change of %s and %d more keys, strategy %s on %s: %v", ks[0].name, len(ks)-1, nightlyCells[h.inForce.Load()], h.o.backend, err)
		return
	}
	for i, k := range ks {
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
	for _, x := range cs {
		n, _, ok := h.round(c, s, x.k, false)
		if !ok {
			return fmt.Errorf("the hammer is wrong: %s changed under its lock", x.k.name)
		}
		c.checks.Add(uint64(n))
		c.verified.Add(1)
		if m := memory(x.k.key); m != x.on {
			return fmt.Errorf("key %s: its memory is %v, expected %v", x.k.name, m, x.on)
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
		k.word.Store(k.word.Load() | busyBit)
	}
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		choice := rand.New(rand.NewPCG(r.Uint64(), 0))
		wg.Go(func() {
			for range 3 {
				a, b := choice.IntN(2) == 0, choice.IntN(2) == 0
				errs[i] = errors.Join(errs[i], ks[0].key.Set(a), h.batch(choice, []change{{ks[0], b}, {ks[1], a}}))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		h.fail("several changes at once of %s and %s: %v", ks[0].name, ks[1].name, err)
		return
	}
	var cs []change
	for _, k := range ks {
		on := memory(k.key)
		k.word.Store(k.word.Load()/wordStep*wordStep + wordStep + valueBit*uint64(count(on)))
		cs = append(cs, change{k, on})
	}
	h.storms.Add(1)
	if err := h.settled(s, c, cs); err != nil {
		h.fail("%v", err)
	}
}
