package ipibpf

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// TestTimer: what a timer sends is not blamed on the thread that it interrupts.
func TestTimer(t *testing.T) {
	const n = 200
	tr := open(t, ipitrace.Options{})
	pid := drive(t, "timer", n)
	s := closed(t, tr)
	timer := sum(t, s, func(r *ipi.Row) bool { return r.Kind == ipi.Resched && r.Origin.Path == "timer" && r.Sender.PID == 0 })
	blamed := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Origin.Syscall == "getpgid" })
	if timer.IPIs < n/2 || blamed.IPIs > 0 {
		t.Errorf("timer %d, the process %d, want up to %d and none", timer.IPIs, blamed.IPIs, n)
	}
}

// TestSoftirq: the same for a softirq that runs at the end of the thread's system call.
func TestSoftirq(t *testing.T) {
	const n = 100
	tr := open(t, ipitrace.Options{})
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
	tr := open(t, ipitrace.Options{Stacks: true})
	pid := driveExactly(t, "timestamp", 10, 60)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool {
		stack := s.Stacks[r.StackID]
		return r.Sender.PID == pid && r.Remedy == "netstamp" && slices.Contains(stack, "process_one_work") &&
			(strings.Contains(r.Origin.Detail, "static_key_enable") || strings.Contains(r.Origin.Detail, "static_key_disable"))
	})
	if got.IPIs < 40 || got.IPIs > 60 { // two stacks can want the same place
		t.Errorf("got %+v, want 60; stacks: %v", got, s.Stacks)
	}
	for _, stack := range s.Stacks {
		if len(stack) == 0 || tracing(stack[0]) {
			t.Errorf("stack %q", stack)
		}
	}
}

// TestFilters: processes, threads and CPUs that were not asked for are in no row.
func TestFilters(t *testing.T) {
	const n = 50
	for _, test := range []struct {
		name string
		opts ipitrace.Options
		want uint64
	}{
		{"no process", ipitrace.Options{TGIDs: []int32{}}, 0},
		{"another process", ipitrace.Options{TGIDs: []int32{int32(os.Getpid())}}, 0},
		{"another thread", ipitrace.Options{PIDs: []int32{int32(os.Getpid())}}, 0},
		{"the sender", ipitrace.Options{Senders: ipi.MakeCPUs(sender)}, n},
		{"another sender", ipitrace.Options{Senders: ipi.MakeCPUs(victim)}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := open(t, test.opts)
			pid := driveExactly(t, "membarrier", n, n)
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
		id := int32(started.PID())
		if other {
			id = int32(os.Getpid())
		}
		tr := open(t, ipitrace.Options{TGIDs: []int32{id}})
		started.finish(t)
		s := closed(t, tr)
		got := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == started.PID() && r.Cause == "do_sync_core" })
		// Others can send to the CPU, but the process cannot have sent more than came.
		if most := uint64(started.received()); !other && (got.IPIs > most || got.IPIs+6 < most) || other && got.IPIs != 0 {
			t.Errorf("other %v: got %d of %d", other, got.IPIs, most)
		}
		for _, r := range s.Rows {
			if r.Sender.PID != int(id) {
				t.Errorf("not asked for: %+v", r)
			}
		}
	}
}

// TestLost: what does not fit into the table is said to be lost, not counted for another.
func TestLost(t *testing.T) {
	const n = 100
	tr := openSmall(t, ipitrace.Options{}, 1)
	drive(t, "munmap", 1) // takes the row
	pid := driveExactly(t, "membarrier", n, n)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid })
	if s.Lost < n || len(s.Rows) > 1 || got.IPIs > 0 {
		t.Errorf("got %+v, lost %d, %d rows", got, s.Lost, len(s.Rows))
	}
}

// TestRead: reading takes nothing away, and a closed tracer still says what it had.
func TestRead(t *testing.T) {
	const n = 50
	tr := open(t, ipitrace.Options{})
	pid := driveExactly(t, "membarrier", n, n)
	ours := func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Cause == "ipi_sync_core" }
	for range 2 {
		s, err := tr.Read()
		if err != nil {
			t.Fatal(err)
		}
		if got := sum(t, s, ours); got.IPIs != n {
			t.Errorf("got %d", got.IPIs)
		}
	}
	for range 2 {
		if got := sum(t, closed(t, tr), ours); got.IPIs != n {
			t.Errorf("closed: got %d", got.IPIs)
		}
	}
	s, err := tr.Read()
	if got := sum(t, s, ours); err != nil || got.IPIs != n {
		t.Errorf("read after the end: got %d, %v", got.IPIs, err)
	}
}
