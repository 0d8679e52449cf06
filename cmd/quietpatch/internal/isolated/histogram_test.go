package isolated

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestIndex(t *testing.T) {
	for _, tc := range []struct {
		gap  uint64
		want int
	}{
		{0, 0},
		{1, 1},
		{15, 15},
		{16, 16},
		{31, 31},
		{32, 32},
		{33, 32},
		{34, 33},
		{62, 47},
		{63, 47},
		{64, 48},
		{math.MaxUint64, buckets - 1},
	} {
		if got := index(tc.gap); got != tc.want {
			t.Errorf("index(%d) = %d, want %d", tc.gap, got, tc.want)
		}
	}
	for i := range buckets {
		if index(low(i)) != i || index(high(i)) != i {
			t.Errorf("bucket %d is from %d to %d, which are in the buckets %d and %d", i, low(i), high(i), index(low(i)), index(high(i)))
		}
		if width := float64(high(i)-low(i)) + 1; width > 1 && width > float64(low(i))/16 {
			t.Errorf("bucket %d, from %d, is %v wide", i, low(i), width)
		}
	}
}

func TestPercentileOfGaps(t *testing.T) {
	var h histogram
	if _, _, ok := h.percentiles(50); ok {
		t.Error("a percentile of nothing")
	}
	h.add(1_000_000)
	for range 9998 {
		h.add(20)
	}
	h.add(500)
	for _, tc := range []struct {
		p            float64
		gaps, moment uint64
	}{
		// About a sixth of the time is in gaps of 20.
		{0, 20, 20},
		{16, 20, 20},
		{17.5, 20, 1_000_000},
		{50, 20, 1_000_000},
		{99.98, 20, 1_000_000},
		{99.99, 511, 1_000_000},
		{99.991, 1_000_000, 1_000_000},
		{100, 1_000_000, 1_000_000},
	} {
		if gaps, moment, _ := h.percentiles(tc.p); gaps != tc.gaps || moment != tc.moment {
			t.Errorf("%v%%: gaps up to %d, time in gaps up to %d; want %d, %d", tc.p, gaps, moment, tc.gaps, tc.moment)
		}
	}
	if n, ticks := h.longer(400); n != 2 || math.Abs(ticks-1_000_500) > 1_000_500/16 {
		t.Errorf("%d gaps of 400 and more, %v ticks; want 2, about 1000500", n, ticks)
	}
	if n, _ := h.longer(20); n != 10_000 || h.total() != n {
		t.Errorf("%d gaps of 20 and more, %d in all; want 10000", n, h.total())
	}
}

// TestPercentileAgainstSorting compares with the obvious way.
func TestPercentileAgainstSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var gaps []uint64
	for range 20_000 {
		g := uint64(math.Exp(rng.Float64()*20)) + 15
		gaps = append(gaps, g)
		h.add(g)
	}
	slices.Sort(gaps)
	for _, p := range []float64{1, 50, 90, 99, 99.9, 99.99} {
		want := gaps[int(math.Ceil(p/100*float64(len(gaps))))-1]
		if got, _, _ := h.percentiles(p); index(got) != index(want) || got < want {
			t.Errorf("%v%%: %d, want the end of the bucket of %d", p, got, want)
		}
	}
	if h.max != gaps[len(gaps)-1] {
		t.Errorf("the longest is %d, want %d", h.max, gaps[len(gaps)-1])
	}
}
