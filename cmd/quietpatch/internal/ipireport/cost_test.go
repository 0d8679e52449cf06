package ipireport

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// costly are rows of one CPU and their costs.
func costly(cpu int, costs ...uint64) []ipi.Row {
	var rows []ipi.Row
	for i, c := range costs {
		r := chrony(cpu, "close", "", 1)
		r.Sender.PID, r.CostNS = i+1, c
		rows = append(rows, r)
	}
	return rows
}

// TestCostsMove: a part that goes from one row to another one is not counted twice, and what is
// measured later goes to where it belongs.
func TestCostsMove(t *testing.T) {
	c := NewCollector(Meta{})
	for i, test := range []struct {
		costs []uint64
		want  uint64 // in all
	}{
		{[]uint64{10, 0, 0}, 10},
		{[]uint64{5, 5, 0}, 10},
		{[]uint64{6, 10, 0}, 16},
		{[]uint64{1, 1, 1}, 16}, // an estimate that was too high: steps cannot take back
		{[]uint64{10, 8, 8}, 26},
		{[]uint64{20, 20, 7}, 47},
	} {
		step := c.Add(ipi.Snapshot{At: time.Duration(i + 1), Rows: append(costly(2, test.costs...), costly(3, 100)...)})
		var other uint64
		for _, r := range step.Rows {
			if r.CPU == 3 {
				other = r.CostNS
			}
		}
		if got := c.Report().sum().cost - 100; got != test.want || (i == 0) != (other == 100) {
			t.Errorf("%d: %d ns, want %d; the other CPU %d", i, got, test.want, other)
		}
	}
}

// TestCostsRandom: the rows of a CPU have what was measured at most, whatever their parts do.
func TestCostsRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		c := NewCollector(Meta{})
		var most uint64
		for i := range 40 {
			parts, all := make([]uint64, 5), uint64(0)
			for j := range parts {
				parts[j] = random.Uint64N(uint64(i+1) * 100)
				all += parts[j]
			}
			most = max(most, all)
			c.Add(ipi.Snapshot{At: time.Duration(i), Rows: costly(2, parts...)})
			if got := c.Report().sum().cost; got != most {
				t.Fatalf("%d ns, measured %d", got, most)
			}
		}
	}
}

func TestPart(t *testing.T) {
	const most = saturated
	for _, test := range [][4]uint64{
		{10, 1, 3, 1},
		{10, 3, 3, 3},
		{2, 3, 3, 2},
		{0, 1, 3, 0},
		{5, 1, 10, 0},
		{5, 9, 10, 4},
		{most, 5, most, 5},
		{most - 1, most - 1, most, most - 2},
		{1, most, most, 1},
		{3, 7, 0, 3}, // the last: sums that did not fit
	} {
		if got := part(test[0], test[1], test[2]); got != test[3] {
			t.Errorf("%d: got %d", test, got)
		}
	}
}
