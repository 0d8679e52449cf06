package ipireport

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

func sumRuns(list []ipi.Interrupted) (n uint64) {
	for i := range list {
		n += list[i].Runs
	}
	return n
}

// TestInterrupted: counts of threads add up as those of rows do: dropped ones stay, and what begins
// again counts on.
func TestInterrupted(t *testing.T) {
	c := NewCollector(Meta{})
	a, b := interrupted(2, ipi.Call, "f", 41, 10), interrupted(2, ipi.TLB, "g", 41, 4)
	c.Add(ipi.Snapshot{At: 1, Interrupted: []ipi.Interrupted{a, b, b}}) // b twice: one
	if step := c.Add(ipi.Snapshot{At: 2, Interrupted: []ipi.Interrupted{b, b}}); len(step.Interrupted) != 0 {
		t.Errorf("step %+v", step)
	}
	a.Runs, a.CostNS = 3, 3
	b.Runs, b.CostNS = 9, 1
	step := c.Add(ipi.Snapshot{At: 3, Interrupted: []ipi.Interrupted{a, b}})
	if len(step.Interrupted) != 2 || step.Interrupted[0].Runs != 3 || step.Interrupted[1].Runs != 1 || step.Interrupted[1].CostNS != 0 {
		t.Errorf("step %+v", step)
	}
	b.Runs = 5 // has begun again
	c.Add(ipi.Snapshot{At: 4, Interrupted: []ipi.Interrupted{a, b}})
	r := sorted(c.Report())
	if len(r.Interrupted) != 2 || r.Interrupted[0].Runs != 8+1+5 || r.Interrupted[1].Runs != 13 || r.Interrupted[1].CostNS != 12003 {
		t.Errorf("report %+v", r.Interrupted)
	}
}

// TestInterruptedBound: more threads than allowed become one for each CPU and function, and no
// run is lost.
func TestInterruptedBound(t *testing.T) {
	c := NewCollector(Meta{})
	c.rowsMax = 10
	var list []ipi.Interrupted
	for i := range 300 {
		list = append(list, interrupted(i%3, ipi.Call, "f"+strings.Repeat("x", i%20), i+1, uint64(i+1)))
	}
	c.Add(ipi.Snapshot{At: time.Second, Interrupted: list})
	r := c.Report()
	if n := len(r.Interrupted); n > 2*c.rowsMax+3 || n < c.rowsMax || sumRuns(r.Interrupted) != sumRuns(list) {
		t.Errorf("%d threads with %d runs of %d", n, sumRuns(r.Interrupted), sumRuns(list))
	}
	if r.Folded != 0 { // else assertions about rows would be called unproved
		t.Errorf("folded %d", r.Folded)
	}
	if text := write(t, forms()["text"], r); !strings.Contains(text, "other threads\n") || strings.Contains(text, "idle") {
		t.Errorf("got\n%s", text)
	}
}

// TestInterruptedTable: functions are merged by name; of all CPUs, those with most runs are shown,
// one CPU after the other.
func TestInterruptedTable(t *testing.T) {
	r := &Report{Duration: time.Second, Interrupted: []ipi.Interrupted{
		interrupted(3, ipi.TLB, "f", 41, 7), interrupted(3, ipi.TLB, "f.isra.0", 41, 6), interrupted(1, ipi.Call, "g", 42, 5),
		interrupted(1, ipi.Resched, "", 0, 4), interrupted(3, ipi.Call, "g", 43, 100), interrupted(0, ipi.Call, "g", 44, 1),
	}}
	table, more := r.interruptedTable(4)
	var got []string
	for _, cells := range table {
		got = append(got, strings.Join(cells, " "))
	}
	want := []string{"1 5 5 1.2 call g loop[40/42]", "1 4 4 1.2 resched - idle", "3 100 100 1.2 call g loop[40/43]", "3 13 13.0 1.2 tlb f loop[40/41]"}
	if !slices.Equal(got, want) || more != "and 1 row more: 1 run\n" {
		t.Errorf("got %q, %q", got, more)
	}
	if text := write(t, forms()["text"], r); !strings.Contains(text, "No IPI was seen.\n\nInterrupted threads\n") {
		t.Errorf("without rows:\n%s", text)
	}
	if elements, _ := parsePage(t, write(t, forms()["html"], r)); elements["table"] != 1 {
		t.Errorf("page without rows: %v", elements)
	}
}
