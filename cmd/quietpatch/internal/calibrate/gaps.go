package calibrate

import (
	"sync/atomic"
	"time"
)

// A gap is a time during which a thread that does nothing but read the clock
// did not read it.
type gap struct{ from, to int64 } // ns since the start of the log

// gapMin is longer than one turn of the loop and shorter than an interrupt.
const gapMin = 250 * time.Nanosecond

// A gapLog is written by the busy thread and read by the thread that
// interrupts it. The reader keeps close behind: the ring holds far more gaps
// than come in one round.
type gapLog struct {
	start time.Time
	last  int64
	count atomic.Uint64
	ring  [1 << 12]gap // entries below count are complete
}

func newGapLog() *gapLog { return &gapLog{start: time.Now()} }

// now is the clock of both threads (CLOCK_MONOTONIC, which all CPUs share).
func (l *gapLog) now() int64 { return int64(time.Since(l.start)) }

// watch notes gaps for some turns. The busy thread calls it again and again.
func (l *gapLog) watch() {
	last := l.last
	for range 256 {
		now := l.now()
		if now-last > int64(gapMin) && last != 0 {
			l.add(gap{last, now})
		}
		last = now
	}
	l.last = last
}

func (l *gapLog) add(g gap) {
	n := l.count.Load()
	l.ring[n%uint64(len(l.ring))] = g
	l.count.Store(n + 1)
}

// within returns the gaps after the first n that overlap a time.
func (l *gapLog) within(n uint64, from, to int64) []gap {
	var found []gap
	for ; n < l.count.Load(); n++ {
		if g := l.ring[n%uint64(len(l.ring))]; g.to > from && g.from < to {
			found = append(found, g)
		}
	}
	return found
}
