//go:build linux && amd64

package isolated

import "time"

// spin reads the time-stamp counter until it is end or later, counts the gaps between
// successive readings, the first of them since last, and returns the last reading and the
// longest gap, max included.
//
//go:noescape
func spin(counts *[buckets]uint64, last, end, max uint64) (now, longest uint64)

// ticks reads the time-stamp counter.
func ticks() uint64

// spin adds gaps to the histogram until the counter is end or later.
func (h *histogram) spin(last, end uint64) (now uint64) {
	now, h.max = spin(&h.counts, last, end, h.max)
	return now
}

// A clock is one moment on both clocks.
type clock struct {
	ticks uint64
	at    time.Time
}

// now reads both clocks. Of several tries the one counts in which they were read closest
// together.
func now() clock {
	var best clock
	shortest := ^uint64(0)
	for range 16 {
		a := ticks()
		at := time.Now()
		b := ticks()
		if b-a < shortest {
			shortest, best = b-a, clock{ticks: a + (b-a)/2, at: at}
		}
	}
	return best
}

// rate returns the ticks per nanosecond since an earlier moment.
func (c clock) rate(from clock) float64 {
	return float64(c.ticks-from.ticks) / float64(c.at.Sub(from.at))
}
