package calibrate

import (
	"slices"
	"testing"
	"time"
)

func TestSamples(t *testing.T) {
	s := samples{5, 1, 4, 2, 3}
	if s.median() != 3 || s.at(10) != 1 || s.at(90) != 5 || s.at(100) != 5 || (samples{}).median() != 0 {
		t.Errorf("median %v, 10%% %v, 90%% %v, 100%% %v, of nothing %v", s.median(), s.at(10), s.at(90), s.at(100), (samples{}).median())
	}
	if got := (samples{5, 1}).minus(2); !slices.Equal(got, samples{3, 0}) {
		t.Errorf("minus: %v", got)
	}
}

func TestGapLog(t *testing.T) {
	l := newGapLog()
	for i := range int64(len(l.ring) + 3) { // the ring goes round
		l.add(gap{10 * i, 10*i + 5})
	}
	seen := uint64(len(l.ring) - 1)
	base := 10 * int64(len(l.ring))
	for _, c := range []struct {
		from, to int64
		want     []gap
	}{
		{base, base + 1, []gap{{base, base + 5}}},
		{base + 4, base + 11, []gap{{base, base + 5}, {base + 10, base + 15}}},
		{base + 5, base + 10, nil}, // between two
		{base - 20, base - 19, nil},
	} {
		if got := l.within(seen, c.from, c.to); !slices.Equal(got, c.want) {
			t.Errorf("within(%d, %d) = %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// TestWatch: a thread that is kept from reading the clock notes a gap.
func TestWatch(t *testing.T) {
	l := newGapLog()
	l.watch()
	seen := l.count.Load()
	start := l.now()
	time.Sleep(2 * time.Millisecond)
	end := l.now()
	l.watch()
	for _, g := range l.within(seen, start, end) {
		if g.from <= start && g.to >= end {
			return
		}
	}
	t.Errorf("no gap from %d to %d", start, end)
}
