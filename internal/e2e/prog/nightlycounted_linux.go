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

func init() { programs["seal"] = sealRegistered }

// countedNight is on while somebody wants it. Visitors come and go under users, for
// reading, and each sees it on while it stays; who holds users for writing is alone
// and says in the word what everybody must see.
var (
	countedNight = (&nightKey{
		name: "prog.counted", kind: kindCounted, values: []int64{0, 1},
		fast:   []nightFunc{{name: "counted", f: counted, checks: 3}},
		memory: func() int64 { return int64(count(enabledCounted(&countedKey))) },
		sites:  countedKey.Sites,
	}).prepare()
	users sync.RWMutex
)

//go:noinline
func enabledCounted(k *statickey.Counted) bool { return k.Enabled() }

//go:noinline
func enabledSealed(k *statickey.Sealed) bool { return k.Enabled() }

// startVisitors keeps several goroutines coming and going, one with a thread of its own.
func (h *nightly) startVisitors(wg *sync.WaitGroup) {
	countedNight.word.Store(busyWord(0, anyValue))
	for i := range 4 {
		wg.Go(func() {
			if i == 0 {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			var s scratch
			for r := h.rng(3000 + uint64(i)); pause(r, 8*time.Millisecond, h.enough) && !h.over(); {
				if err := h.visits(r, &s); err != nil {
					h.fail("%s: %v", countedNight.name, err)
				}
			}
		})
	}
	wg.Go(func() {
		var s scratch
		for r := h.rng(3100); pause(r, 16*time.Millisecond, h.enough) && !h.over(); {
			if err := h.alone(r, &s); err != nil {
				h.fail("%s: %v", countedNight.name, err)
			}
		}
	})
}

// visits comes and goes a few times.
func (h *nightly) visits(r *rand.Rand, s *scratch) error {
	users.RLock()
	defer users.RUnlock()
	switch r.IntN(8) {
	case 0:
		countedKey.Limit(time.Duration(r.IntN(3)) * 100 * time.Microsecond)
	case 1:
		if err := countedKey.Flush(); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
	}
	for range 1 + r.IntN(20) {
		if r.IntN(2) == 0 || !countedKey.TryInc() {
			if err := countedKey.Inc(); err != nil {
				return err
			}
		}
		for range 1 + r.IntN(100) {
			if on := counted(s); on != 3 {
				h.kinds[kindCounted].wrong.Add(1)
				return fmt.Errorf("a user saw %d of 3 checks on, with %d users", on, countedKey.Users())
			}
		}
		if err := countedKey.Dec(); err != nil {
			return err
		}
		h.kinds[kindCounted].held.Add(1)
	}
	return nil
}

// alone turns the key on and off without visitors, verified as any other key is.
func (h *nightly) alone(r *rand.Rand, s *scratch) error {
	users.Lock()
	defer users.Unlock()
	countedKey.Limit(0)
	if err := countedKey.Flush(); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if n := countedKey.Users(); n != 0 {
		return fmt.Errorf("%d users, and nobody is there", n)
	}
	k := []*nightKey{countedNight}
	k[0].word.Store(quietWord(changesOf(k[0].word.Load())+2, 0))
	for range 2 * (1 + r.IntN(3)) {
		h.apply(s, k, func(c []change) error {
			if c[0].at == 1 {
				return countedKey.Inc()
			}
			if r.IntN(2) == 0 {
				return countedKey.Dec()
			}
			countedKey.Limit(time.Hour) // the key stays on until it is flushed
			err := errors.Join(countedKey.Dec(), countedKey.Flush())
			countedKey.Limit(0)
			return err
		}, func(_ *nightKey, was int) int { return 1 - was })
	}
	if err := countedKey.Dec(); !errors.Is(err, statickey.ErrCount) {
		return fmt.Errorf("a Dec without a user returns %v", err)
	}
	k[0].word.Store(busyWord(k[0].word.Load(), anyValue))
	return nil
}

// sealedNight is on before the first check and for good; lateNight changes until it is
// sealed in the middle of the run.
var (
	sealedNight = sealedKeyOf("prog.sealed", &sealedKey, nightFunc{name: "sealed", f: sealed, checks: 2})
	lateNight   = sealedKeyOf("night.late", &night.late, nightFunc{name: "late", f: late, checks: 2})
)

//go:noinline
func late(s *scratch) (on int) {
	s.flag[1] = night.late.Enabled()
	if night.late.Enabled() {
		on++
	}
	return on + count(s.flag[1])
}

func sealedKeyOf(name string, key *statickey.Sealed, f nightFunc) *nightKey {
	return (&nightKey{
		name: name, kind: kindSealed, values: []int64{0, 1}, fast: []nightFunc{f}, sites: key.Sites,
		set:      func(v int64) error { return key.Set(v != 0) },
		memory:   func() int64 { return int64(count(enabledSealed(key))) },
		register: func(name, desc string) error { return statickey.RegisterSealed(key, name, desc) },
	}).prepare()
}

// sealFirst decides and seals the first key, and says of the late one that it is to be
// sealed. It must come before anything is armed: the
// pages of other keys then move while the text of this one may not change any more.
func sealFirst() error {
	if err := errors.Join(sealedKey.Set(true), statickey.Seal()); err != nil {
		return err
	}
	sealedNight.word.Store(quietWord(0, 1))
	return lateNight.set(0)
}

// sealLate flips the late key, and seals it when a third of the run is over; from then
// on it must stay as it is. Where nothing can be armed now, Seal says so, and seals.
func (h *nightly) sealLate(r *rand.Rand, s *scratch, armable bool) {
	if time.Since(h.start) < h.o.d/3 {
		h.apply(s, []*nightKey{lateNight}, func(c []change) error { return lateNight.set(c[0].k.values[c[0].at]) },
			func(_ *nightKey, was int) int { return 1 - was })
		return
	}
	if err := statickey.Seal(); err != nil && armable {
		h.fail("Seal: %v", err)
	}
	if err := lateNight.set(int64(r.IntN(2))); !errors.Is(err, statickey.ErrSealed) {
		h.fail("%s is sealed, and Set returns %v", lateNight.name, err)
	}
	if err := sealedNight.set(int64(r.IntN(2))); !errors.Is(err, statickey.ErrSealed) {
		h.fail("%s is sealed, and Set returns %v", sealedNight.name, err)
	}
}

// sealRegistered seals a key that was registered and never set.
func sealRegistered([]string) (any, error) {
	if err := statickey.Seal(); err != nil {
		return nil, err
	}
	if err := sealedKey.Set(true); !errors.Is(err, statickey.ErrSealed) {
		return nil, fmt.Errorf("prog.sealed was registered, and sealed: Set returns %v", err)
	}
	return statickey.Keys(), nil
}
