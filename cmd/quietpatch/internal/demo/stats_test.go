package demo

import (
	"math"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
)

func TestPercentile(t *testing.T) {
	hundred := make([]int64, 100)
	for i := range hundred {
		hundred[i] = int64(100 - i) // 100 to 1: the samples come unsorted
	}
	for _, tc := range []struct {
		samples []int64
		p       float64
		want    int64
	}{
		{nil, 50, notMeasured},
		{[]int64{7}, 50, 7},
		{[]int64{7}, 99, 7},
		{[]int64{3, 1, 2}, 50, 2},
		{[]int64{4, 1, 3, 2}, 50, 2},
		{[]int64{4, 1, 3, 2}, 99, 4},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred, 0, 1},
	} {
		if got := percentile(tc.samples, tc.p); got != tc.want {
			t.Errorf("percentile %v of %d samples: %d, want %d", tc.p, len(tc.samples), got, tc.want)
		}
	}
}

func TestPerEvent(t *testing.T) {
	w := window{elapsed: 2 * time.Second, ipis: interrupts.IPIs{Call: 1300, TLB: 40}}
	for _, tc := range []struct {
		name     string
		w        window
		events   int
		noise    noise
		raw, net float64
	}{
		{"noise is taken away", w, 1000, noise{call: 150}, 1.3, 1},
		{"never below zero", w, 1000, noise{call: 5000}, 1.3, 0},
		{"no noise reading", w, 1000, noise{call: notMeasured}, 1.3, 1.3},
		{"no events", w, 0, noise{call: 150}, notMeasured, notMeasured},
		{"no row", window{elapsed: time.Second, ipis: interrupts.IPIs{NoCall: true}}, 1000, noise{}, notMeasured, notMeasured},
	} {
		raw, net := tc.w.callIPIs(tc.events, tc.noise)
		if math.Abs(raw-tc.raw) > 1e-9 || math.Abs(net-tc.net) > 1e-9 {
			t.Errorf("%s: raw %v, net %v; want %v, %v", tc.name, raw, net, tc.raw, tc.net)
		}
	}
	if raw, net := w.tlbIPIs(10, noise{tlb: 15}); raw != 4 || net != 1 {
		t.Errorf("TLB: raw %v, net %v; want 4, 1", raw, net)
	}
}
