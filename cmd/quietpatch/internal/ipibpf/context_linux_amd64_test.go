package ipibpf

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// TestTimer: what a timer sends is not blamed on the thread that it interrupts.
func TestTimer(t *testing.T) {
	const n = 200
	tr := open(t, Options{})
	pid := drive(t, "timer", n)
	s := closed(t, tr)
	timer := sum(t, s, func(r *ipi.Row) bool { return r.Kind == ipi.Resched && r.Origin.Path == "timer" && r.Sender.PID == 0 })
	blamed := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Origin.Syscall == "getpgid" })
	if timer.IPIs < n*9/10 || blamed.IPIs > 0 {
		t.Errorf("timer %d, the process %d, want about %d and none", timer.IPIs, blamed.IPIs, n)
	}
}

// TestSoftirq: the same for a softirq that runs at the end of the thread's system call.
func TestSoftirq(t *testing.T) {
	const n = 100
	tr := open(t, Options{})
	pid := drive(t, "datagram", n)
	s := closed(t, tr)
	soft := sum(t, s, func(r *ipi.Row) bool {
		return r.Kind == ipi.Resched && r.Origin.Path == "softirq NET_RX" && r.Sender.PID == 0
	})
	blamed := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Origin.Syscall == "sendto" })
	if soft.IPIs < n*9/10 || blamed.IPIs > 0 {
		t.Errorf("softirq %d, the process %d, want about %d and none", soft.IPIs, blamed.IPIs, n)
	}
}

// TestStacks: with stacks the functions of the way are there, and those that remedies
// look for are in the details.
func TestStacks(t *testing.T) {
	tr := open(t, Options{Stacks: true})
	pid := drive(t, "timestamp", 10)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool {
		stack := s.Stacks[r.StackID]
		return r.Sender.PID == pid && r.Remedy == "netstamp" && slices.Contains(stack, "process_one_work") &&
			(strings.Contains(r.Origin.Detail, "static_key_enable") || strings.Contains(r.Origin.Detail, "static_key_disable"))
	})
	if got.IPIs != 60 {
		t.Errorf("got %+v, want 60; stacks: %v", got, s.Stacks)
	}
}

// TestFilters: processes, threads and CPUs that were not asked for are in no row.
func TestFilters(t *testing.T) {
	const n = 50
	for _, test := range []struct {
		name string
		opts Options
		want uint64
	}{
		{"no process", Options{TGIDs: []int32{}}, 0},
		{"another process", Options{TGIDs: []int32{int32(os.Getpid())}}, 0},
		{"another thread", Options{PIDs: []int32{int32(os.Getpid())}}, 0},
		{"the sender", Options{Senders: ipi.MakeCPUs(sender)}, n},
		{"another sender", Options{Senders: ipi.MakeCPUs(victim)}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := open(t, test.opts)
			pid := drive(t, "membarrier", n)
			got := sum(t, closed(t, tr), func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Cause == "ipi_sync_core" })
			if got.IPIs != test.want {
				t.Errorf("got %d, want %d", got.IPIs, test.want)
			}
		})
	}
}

// TestProcess: a process that was asked for is followed through kworkers.
func TestProcess(t *testing.T) {
	for _, other := range []bool{false, true} {
		started := start(t, "timestamp", 10)
		id := int32(started.pid())
		if other {
			id = int32(os.Getpid())
		}
		tr := open(t, Options{TGIDs: []int32{id}})
		started.finish(t)
		s := closed(t, tr)
		got := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == started.pid() && r.Cause == "do_sync_core" })
		if want := uint64(60); !other && got.IPIs != want || other && got.IPIs != 0 {
			t.Errorf("other %v: got %d", other, got.IPIs)
		}
		for _, r := range s.Rows {
			if r.Sender.PID != int(id) {
				t.Errorf("not asked for: %+v", r)
			}
		}
	}
}
