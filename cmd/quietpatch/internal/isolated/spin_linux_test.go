//go:build linux && amd64

package isolated

import (
	"testing"
	"time"
)

// TestSpin: the assembly counts as the Go code does, and no time is lost.
func TestSpin(t *testing.T) {
	var h histogram
	from := ticks()
	// One call that begins with a gap of known length, and then any.
	end := h.spin(from-1_000_000, from+5_000_000)
	if end < from+5_000_000 {
		t.Errorf("it ended %d ticks early", from+5_000_000-end)
	}
	if h.max < 1_000_000 {
		t.Errorf("the longest gap is %d, want 1000000 at least", h.max)
	}
	n, sum := h.longer(0)
	if whole := float64(end - from + 1_000_000); sum < whole*15/16 || sum > whole*17/16 {
		t.Errorf("%d gaps of %v ticks together, want %v", n, sum, whole)
	}
	if n < 1000 {
		t.Errorf("%d readings in 5 million ticks", n)
	}
	if last := index(h.max); h.counts[last] == 0 {
		t.Errorf("the longest gap, %d, is not in its bucket %d", h.max, last)
	}
}

// TestSpinBuckets gives the assembly first gaps of all lengths.
func TestSpinBuckets(t *testing.T) {
	for e := range 63 {
		for _, gap := range []uint64{1 << e, 1<<e + 1<<e/3} {
			var h histogram
			at := ticks()
			h.spin(at-gap, at) // one reading: it is end or later at once
			if h.total() != 1 || h.max < gap || h.counts[index(h.max)] != 1 {
				t.Errorf("a gap of %d or a little more: %d counted, longest %d, %d in its bucket",
					gap, h.total(), h.max, h.counts[index(h.max)])
			}
		}
	}
}

func TestClock(t *testing.T) {
	a := now()
	time.Sleep(20 * time.Millisecond)
	b := now()
	time.Sleep(20 * time.Millisecond)
	c := now()
	r, s := b.rate(a), c.rate(b)
	if r < 0.1 || r > 10 || r/s < 0.98 || r/s > 1.02 {
		t.Errorf("%v and %v ticks per ns, want the same twice, between 0.1 and 10", r, s)
	}
}
