package ipibpf

import (
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// TestShare: what a row has cost does not change by what others cost later, and the sum is right.
func TestShare(t *testing.T) {
	const cpu, cause = 1, "f"
	row := func(pid int, queued uint64) ipi.Row {
		return ipi.Row{Key: ipi.Key{CPU: cpu, Kind: ipi.Call, Cause: cause, Sender: ipi.Sender{PID: pid}}, Queued: queued}
	}
	var s spent
	for i, step := range []struct {
		a, b   uint64 // calls
		cost   rawCost
		ca, cb uint64 // costs
	}{
		{10, 0, rawCost{10, 1000}, 1000, 0},
		{10, 0, rawCost{10, 1000}, 1000, 0},
		{10, 90, rawCost{100, 1900}, 1000, 900},   // cheaper ones
		{20, 90, rawCost{100, 1900}, 1000, 900},   // have not run yet,
		{20, 90, rawCost{110, 2900}, 2000, 900},   // and do
		{20, 90, rawCost{120, 3900}, 2000, 900},   // of a row that is not there
		{30, 100, rawCost{130, 4900}, 2500, 1400}, // half of them has run,
		{30, 100, rawCost{140, 5900}, 3000, 1900}, // the other half comes later
		{40, 100, rawCost{140, 5900}, 3000, 1900}, // these never run,
		{40, 100, rawCost{140, 5900}, 3000, 1900},
		{40, 100, rawCost{150, 6900}, 3000, 1900}, // others do
	} {
		rows := []ipi.Row{row(1, step.a), row(2, step.b)}
		s.share(rows, map[costKey]rawCost{{cpu, ipi.Call, cause}: step.cost}, false)
		if rows[0].CostNS != step.ca || rows[1].CostNS != step.cb {
			t.Errorf("step %d: got %d and %d, want %+v", i, rows[0].CostNS, rows[1].CostNS, step)
		}
	}
}

// TestShareKinds: what the victim does not tell apart is an average.
func TestShareKinds(t *testing.T) {
	rows := []ipi.Row{
		{Key: ipi.Key{Kind: ipi.TLB, Cause: "flush_tlb_func"}, IPIs: 1, Queued: 3},
		{Key: ipi.Key{Kind: ipi.Call, Cause: "f"}, IPIs: 1, Queued: 1},
		{Key: ipi.Key{Kind: ipi.IRQWork, Cause: "g"}, IPIs: 2},
		{Key: ipi.Key{Kind: ipi.Resched}, IPIs: 5},
	}
	var s spent
	s.share(rows, map[costKey]rawCost{{0, ipi.Call, ""}: {4, 400}, {0, ipi.IRQWork, ""}: {1, 70}, {0, ipi.Resched, ""}: {10, 100}}, true)
	for i, want := range []uint64{300, 100, 70, 50} {
		if rows[i].CostNS != want {
			t.Errorf("%+v: want %d", rows[i], want)
		}
	}
}
