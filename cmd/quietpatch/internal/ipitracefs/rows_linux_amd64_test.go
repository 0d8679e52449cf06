package ipitracefs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// TestCost: the first function of an interrupt pays for entering it, the last one for leaving it;
// what an idle CPU runs without an interrupt costs nothing.
func TestCost(t *testing.T) {
	c := smallCounter(ipitrace.Options{Interrupted: true})
	onVictim := func(ts uint64, w what, function uint64) record {
		return record{ts: ts, cpu: 1, pid: 30, what: w, kind: ipi.Call, addr: function, flags: flagHardirq}
	}
	c.add(slices.Concat(sends(10, 0, 10, 0, syncCore, 1), sends(20, 0, 10, 0, flush, 1), []record{
		onVictim(100, enters, 0), onVictim(110, callRuns, syncCore), onVictim(150, callRuns, flush), onVictim(157, leaves, 0),
		onVictim(200, callRuns, flush), onVictim(300, leaves, 0),
	}))
	costs := make(map[string]uint64)
	for _, r := range c.snapshot(0).Rows {
		costs[r.Cause] = r.CostNS
	}
	if costs["do_sync_core"] != 50 || costs["flush_tlb_func"] != 7 {
		t.Errorf("got %v", costs)
	}
	for _, i := range c.snapshot(0).Interrupted {
		if i.PID != 30 || i.Runs != 1 || i.CostNS != costs[i.Cause] || i.Cause == "flush_tlb_func" != (i.Kind == ipi.TLB) {
			t.Errorf("interrupted: %+v", i)
		}
	}
}

// TestBounds: nothing grows for ever.
func TestBounds(t *testing.T) {
	c := smallCounter(ipitrace.Options{})
	for i := range 3 * endedMax {
		pid := int32(1000 + i)
		c.add([]record{
			{ts: 1, pid: 10, what: workQueued, work: uint64(i)},
			{ts: 2, pid: 10, what: taskNew, target: int(pid), comm: "x"},
			{ts: 3, pid: pid, what: taskEnds, target: int(pid), comm: "x"},
		})
	}
	if len(c.works) > worksMax || len(c.tasks.threads) > 2*endedMax {
		t.Errorf("%d work items, %d threads", len(c.works), len(c.tasks.threads))
	}
}

// TestRowsMax: rows that come too late are merged, nothing is lost, and it is told. Those that are there stay.
func TestRowsMax(t *testing.T) {
	c := smallCounter(ipitrace.Options{Interrupted: true})
	c.rowsMax = 2
	tr := &Tracer{count: c}
	if got := tr.Missing(); len(got) != 0 {
		t.Errorf("missing: %q", got)
	}
	for i := range 10 {
		pid := int32(100 + i)
		c.tasks.threads[pid] = &task{tgid: pid, comm: fmt.Sprint("p", i), asked: true}
		c.add(sends(10, 0, pid, 0, syncCore, 1))
		c.add(sends(20, 0, 100, 0, syncCore, 1))
		for j, w := range []what{enters, callRuns, leaves} {
			c.add([]record{{ts: uint64(100 + j), cpu: 1, pid: pid, what: w, kind: ipi.Call, addr: syncCore, flags: flagHardirq}})
		}
	}
	want := []string{"cpu1 call do_sync_core 1/1 pid 101 p1||||", "cpu1 call do_sync_core 11/11 pid 100 p0||||", "cpu1 call do_sync_core 8/8 pid 0 ||||"}
	slices.Sort(want)
	if got := told(c); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	runs := make(map[int]uint64)
	for _, i := range c.snapshot(0).Interrupted {
		runs[i.PID] += i.Runs
	}
	if len(runs) != 3 || runs[100] != 1 || runs[101] != 1 || runs[0] != 8 {
		t.Errorf("interrupted: %v", runs)
	}
	if got := tr.Missing(); len(got) != 1 || !strings.Contains(got[0], "2 different rows") {
		t.Errorf("missing: %q", got)
	}
}
