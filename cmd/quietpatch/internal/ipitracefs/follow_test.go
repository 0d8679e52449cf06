package ipitracefs

import (
	"maps"
	"slices"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// TestFollowed: who is started by a process that was asked for is, too, but not who gets its number later.
func TestFollowed(t *testing.T) {
	starts := func(ts uint64, pid int32, child int, flags uint64) record {
		return record{ts: ts, pid: pid, what: taskNew, target: child, comm: "x", work: flags}
	}
	records := slices.Concat([]record{
		starts(1, 10, 40, 0), starts(2, 40, 41, cloneThread), starts(3, 41, 42, 0), // a child, its thread, its child
		starts(4, 30, 50, 0), starts(5, 50, 51, 0),
	}, sends(10, 0, 42, 0, syncCore, 1), sends(20, 0, 41, 0, syncCore, 1), sends(30, 0, 51, 0, syncCore, 1), []record{
		{ts: 35, pid: 42, what: workQueued, work: 77, addr: netstamp}, {ts: 36, cpu: 1, pid: 20, what: workStarts, work: 77, addr: netstamp},
	}, sends(37, 1, 20, 0, syncCore, 3), []record{
		{ts: 40, pid: 42, what: taskEnds, target: 42, comm: "x"}, starts(41, 30, 42, 0), starts(42, 42, 43, 0),
	}, sends(50, 0, 42, 0, flush, 1), sends(60, 0, 43, 0, flush, 1))
	for _, test := range []struct {
		follow bool
		want   []string
	}{{false, nil}, {true, []string{
		"cpu1 call do_sync_core 1/1 pid 40 x||||", "cpu1 call do_sync_core 1/1 pid 42 x||||",
		"cpu3 call do_sync_core 1/1 pid 42 x|||workqueue netstamp_clear|kworker/0:1",
	}}} {
		c := smallCounter(ipitrace.Options{TGIDs: []int32{10}, Follow: test.follow})
		c.add(slices.Clone(records))
		if got := told(c); !slices.Equal(got, test.want) {
			t.Errorf("follow %v:\n got %q\nwant %q", test.follow, got, test.want)
		}
	}
}

// TestReused: who gets the number of one that was asked for is not asked for.
func TestReused(t *testing.T) {
	records := slices.Concat(sends(1, 0, 30, 0, syncCore, 1), []record{
		{ts: 4, pid: 30, what: taskEnds, target: 30, comm: "other"}, {ts: 5, pid: 10, what: taskNew, target: 30, comm: "x"},
	}, sends(6, 0, 30, 0, flush, 1))
	for _, opts := range []ipitrace.Options{{TGIDs: []int32{30}}, {PIDs: []int32{30}}} {
		c := smallCounter(opts)
		c.add(slices.Clone(records))
		want := []string{"cpu1 call do_sync_core 1/1 pid 30 other||||"}
		if got := told(c); !slices.Equal(got, want) {
			t.Errorf("%+v: got %q", opts, got)
		}
	}
}

// TestForgotten: processes that have ended do not fill the sets, and what they send at their end still counts.
func TestForgotten(t *testing.T) {
	c := smallCounter(ipitrace.Options{TGIDs: []int32{10, 30}, PIDs: []int32{10, 30}, Follow: true})
	c.add([]record{{ts: 1, pid: 30, what: taskNew, target: 31, comm: "x", work: cloneThread}, {ts: 2, pid: 30, what: taskEnds, target: 30}})
	for i := range 3 * endedMax {
		pid := int32(1000 + i)
		c.add([]record{{ts: 1, pid: 10, what: taskNew, target: int(pid), comm: "x"}, {ts: 3, pid: pid, what: taskEnds, target: int(pid), comm: "x"}})
		if !c.tgids[pid] {
			t.Fatalf("%d is forgotten at its end", pid)
		}
	}
	if len(c.tgids) > 2*endedMax || !c.tgids[10] || !c.tgids[30] {
		t.Errorf("%d processes", len(c.tgids))
	}
	if got := slices.Collect(maps.Keys(c.pids)); !slices.Equal(got, []int32{10}) { // 30 was the number of a thread
		t.Errorf("threads %v", got)
	}
}
