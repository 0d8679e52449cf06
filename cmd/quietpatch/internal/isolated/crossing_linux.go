//go:build linux && amd64

package isolated

import (
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/statickey"
)

const (
	crossingBatches = 2000
	perBatch        = 64 // crossings that are timed together
	owedCrossings   = 1000
)

func nothing() {}

// A crossing measures the way out of isolation and back. All samples are in ticks.
type crossing struct {
	plain []float64 // per crossing, nothing owed
	owed  []float64 // after a flip each
	clock []float64 // nothing at all, which is what reading the counter takes
	turn  atomic.Int64
}

// newCrossing takes all memory that is needed, so that nothing is allocated in isolation.
func newCrossing() *crossing {
	c := &crossing{
		plain: make([]float64, 0, crossingBatches), owed: make([]float64, 0, owedCrossings+1), clock: make([]float64, 0, owedCrossings),
	}
	c.turn.Store(1) // the thread begins, so that it is isolated before the first flip
	return c
}

// idle measures while nothing is owed.
func (c *crossing) idle(t *isolate.Thread) {
	for range crossingBatches {
		start := ticks()
		for range perBatch {
			t.Kernel(nothing)
		}
		c.plain = append(c.plain, float64(ticks()-start)/perBatch)
	}
	for range owedCrossings {
		start := ticks()
		c.clock = append(c.clock, float64(ticks()-start))
	}
}

// isolated crosses once for every turn of flip. Turns are odd for the thread. A negative one ends it.
func (c *crossing) isolated(t *isolate.Thread) {
	for {
		turn := c.turn.Load()
		if turn < 0 {
			return
		}
		if turn%2 == 0 {
			t.Safepoint()
			continue
		}
		start := ticks()
		t.Kernel(nothing)
		c.owed = append(c.owed, float64(ticks()-start))
		c.turn.Add(1)
	}
}

// flips flips the key before each crossing, so that the thread owes a sync.
func (c *crossing) flips(key *statickey.Bool) error {
	defer c.turn.Store(-1)
	c.wait()
	for range owedCrossings {
		if err := key.Set(!key.Enabled()); err != nil {
			return err
		}
		c.turn.Add(1)
		c.wait()
	}
	return nil
}

// wait returns when the thread has made its turn.
func (c *crossing) wait() {
	for c.turn.Load()%2 == 1 {
		runtime.Gosched()
	}
}

// median returns the middle sample in ns.
func median(samples []float64, ticksPerNS float64) int64 {
	if len(samples) == 0 {
		return notMeasured
	}
	slices.Sort(samples)
	return int64(samples[len(samples)/2]/ticksPerNS + 0.5)
}
