package main

import (
	"math/rand/v2"
	"time"

	"github.com/quietpatch/quietpatch"
)

// direct changes the strategy, from phase to phase and in the middle of flips,
// and disarms and arms. No key changes its value by that.
func (h *nightly) direct(r *rand.Rand) {
	order := []int{0, 1, 2}
	var s scratch
	length := min(200*time.Millisecond, h.o.d/8)
	for !h.over() {
		r.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
		for _, at := range order {
			h.lockstep.Store(r.IntN(2) == 0)
			h.use(int32(at))
			end := time.Now().Add(length/4 + time.Duration(r.Int64N(int64(length))))
			for time.Now().Before(end) && pause(r, 10*time.Millisecond, h.enough) && !h.over() {
				h.disturb(r, &s, int32(at))
			}
			if h.over() {
				break
			}
		}
	}
	if err := quietpatch.Arm(); err != nil {
		h.fail("Arm: %v", err)
	}
}

// disturb does one thing that must not change any value but that of the late key.
func (h *nightly) disturb(r *rand.Rand, s *scratch, at int32) {
	switch n := r.IntN(100); {
	case n < 50:
		if err := quietpatch.Disarm(); err != nil {
			h.fail("Disarm: %v", err)
		}
		h.cells[at].disarms.Add(1)
		pause(r, time.Millisecond, h.enough)
		h.sealLate(r, s, false)
		if err := quietpatch.Arm(); err != nil {
			h.fail("Arm: %v", err)
		}
		h.cells[at].arms.Add(1)
	case n < 60:
		h.use(memoryCell)
		h.sealLate(r, s, false)
		h.use(at)
	case n < 80:
		h.use(at) // the options that are in force already
	case n < 90:
		h.sealLate(r, s, true)
	default:
		h.lockstep.Store(!h.lockstep.Load())
	}
}

// use configures a strategy.
func (h *nightly) use(at int32) {
	h.sample()
	strategy, backend := nightlyCells[at], h.o.backend
	if at == memoryCell {
		strategy, backend = "", string(quietpatch.BackendNone)
	}
	if err := configure(strategy, backend); err != nil {
		h.fail("Configure %s %s: %v", strategy, backend, err)
		return
	}
	h.inForce.Store(at)
}
