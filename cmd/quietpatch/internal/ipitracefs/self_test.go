package ipitracefs

import (
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// TestOwn: what the tracer's own process sends is counted apart, also through a kworker, and what others send
// at start and stop is not counted. If it was asked for it is in rows meanwhile.
func TestOwn(t *testing.T) {
	mine, others := "cpu1 call do_sync_core 1/1 pid 30 other||||", "cpu1 tlb flush_tlb_func 1/1 pid 10 chronyd||||"
	work := "cpu1 call do_sync_core 1/1 pid 30 other|||workqueue netstamp_clear|kworker/0:1"
	for _, test := range []struct {
		self self
		want []string
		own  uint64
	}{
		{self{tgid: 30}, []string{others}, 4},
		{self{tids: map[int32]bool{30: true}}, []string{others}, 4},
		{self{tgid: 30, asked: true}, []string{work, mine, others}, 2},
	} {
		c := smallCounter(ipitrace.Options{Victims: ipi.MakeCPUs(1)})
		c.from, c.until, c.self = 100, 200, test.self
		for _, ts := range []uint64{50, 150, 250} {
			c.add(slices.Concat(sends(ts, 0, 30, 0, syncCore, 1), sends(ts+10, 0, 10, 0, flush, 1)))
		}
		c.add(slices.Concat([]record{
			{ts: 180, cpu: 0, pid: 30, what: workQueued, work: 77, addr: netstamp}, {ts: 181, cpu: 0, pid: 20, what: workStarts, work: 77, addr: netstamp},
		}, sends(182, 0, 20, 0, syncCore, 1), sends(190, 0, 30, 0, syncCore, 2), sends(195, 0, 30, flagSoftirq, syncCore, 2)))
		got := slices.DeleteFunc(told(c), func(line string) bool { return strings.HasPrefix(line, "cpu2") })
		if !slices.Equal(got, test.want) || c.selfIPIs != test.own {
			t.Errorf("%+v: got %q and %d, want %q and %d", test.self, got, c.selfIPIs, test.want, test.own)
		}
	}
}

// TestOwnCalls: as long as not all events of IPIs are on, calls are counted in their place.
func TestOwnCalls(t *testing.T) {
	c := smallCounter(ipitrace.Options{})
	c.self = self{tgid: 30}
	c.eyesFrom, c.eyesUntil = 100, 200
	for _, ts := range []uint64{50, 150, 250} {
		c.add(sends(ts, 0, 30, 0, syncCore, 1, 2)[:2])
		c.add(sends(ts+10, 0, 30, 0, syncCore, 1))
	}
	if c.selfIPIs != 3+1+3 {
		t.Errorf("got %d", c.selfIPIs)
	}
}

// TestOwnThreads: without the number of the process its threads are known by their marks.
func TestOwnThreads(t *testing.T) {
	c := smallCounter(ipitrace.Options{})
	c.add(slices.Concat([]record{
		{ts: 1, pid: 10, what: marker},
		{ts: 2, pid: 10, what: taskNew, target: 41, comm: "x", work: cloneThread},
		{ts: 3, pid: 10, what: taskNew, target: 42, comm: "x"},
	},
		sends(10, 0, 10, 0, syncCore, 1), sends(20, 0, 41, 0, syncCore, 1), sends(30, 0, 42, 0, syncCore, 1),
		[]record{{ts: 35, pid: 41, what: taskEnds, target: 41, comm: "x"}, {ts: 40, pid: 30, what: taskNew, target: 41, comm: "y"}}, sends(50, 0, 41, 0, syncCore, 1)))
	want := []string{"cpu1 call do_sync_core 1/1 pid 41 y||||", "cpu1 call do_sync_core 1/1 pid 42 x||||"}
	if got := told(c); !slices.Equal(got, want) || c.selfIPIs != 2 {
		t.Errorf("got %q and %d", got, c.selfIPIs)
	}
}

// TestAsksFor: by a set or by the filter, a process or a thread.
func TestAsksFor(t *testing.T) {
	for _, test := range []struct {
		opts   ipitrace.Options
		filter string
		want   bool
	}{
		{ipitrace.Options{}, "", false},
		{ipitrace.Options{TGIDs: []int32{1, 30}}, "", true},
		{ipitrace.Options{PIDs: []int32{31}}, "", true},
		{ipitrace.Options{TGIDs: []int32{31}, PIDs: []int32{32}}, "", false},
		{ipitrace.Options{}, "tgid == 30 && cpu == 1", true},
		{ipitrace.Options{}, "pid == 31", true},
		{ipitrace.Options{}, "pid != 7", false},
	} {
		if test.filter != "" {
			var err error
			if test.opts.Filter, err = ipifilter.Parse(test.filter, 8); err != nil {
				t.Fatal(err)
			}
		}
		if got := asksFor(&test.opts, 8, 30, func(tid int32) bool { return tid == 30 || tid == 31 }); got != test.want {
			t.Errorf("%+v %q: got %v", test.opts, test.filter, got)
		}
	}
}
