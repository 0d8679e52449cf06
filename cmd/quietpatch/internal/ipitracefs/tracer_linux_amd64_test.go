package ipitracefs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/internal/host"
)

var _ ipitrace.Tracer = (*Tracer)(nil)

// program is this one as the kernel names it (TASK_COMM_LEN).
var program = func() string {
	name := filepath.Base(os.Args[0])
	return name[:min(15, len(name))]
}()

// open starts a tracer for the victim, or skips the test and says what is missing.
func open(t testing.TB, opts ipitrace.Options) *Tracer {
	t.Helper()
	return openTuned(t, opts, tuning{interval: intervalMost})
}

func openTuned(t testing.TB, opts ipitrace.Options, tune tuning) *Tracer {
	t.Helper()
	if opts.Victims == nil {
		opts.Victims = ipi.MakeCPUs(victim)
	}
	for cpu := range opts.Victims.All() {
		if _, err := os.Stat(fmt.Sprintf("/sys/devices/system/cpu/cpu%d", cpu)); err != nil {
			t.Skipf("CPU %d is missing", cpu)
		}
	}
	start := time.Now()
	tr, err := openWith(opts, tune)
	if err != nil {
		t.Skipf("no tracefs: %v", err)
	}
	t.Logf("open: %v, missing: %q", time.Since(start), tr.Missing())
	t.Cleanup(func() { tr.Close() })
	return tr
}

func closed(t *testing.T, tr *Tracer) ipi.Snapshot {
	t.Helper()
	start := time.Now()
	s, err := tr.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("close: %v, %d rows, lost %d, self %d", time.Since(start), len(s.Rows), s.Lost, s.SelfIPIs)
	return s
}

// sum adds up the rows that match and logs them.
func sum(t *testing.T, s ipi.Snapshot, match func(r *ipi.Row) bool) (total ipi.Row) {
	t.Helper()
	for _, r := range s.Rows {
		if match(&r) {
			t.Logf("%+v", r)
			total.IPIs += r.IPIs
			total.Queued += r.Queued
			total.CostNS += r.CostNS
		}
	}
	return total
}

func TestMembarrier(t *testing.T) {
	const n = 1000
	tr := open(t, ipitrace.Options{})
	pid := driveExactly(t, "membarrier", n, n)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool {
		return r.Kind == ipi.Call && r.Cause == "ipi_sync_core" && r.Sender.PID != 0 && (r.Sender.PID == pid || !firstNamespace()) && r.Sender.Comm == program &&
			(r.Origin == ipi.Origin{Detail: "go"} || r.Origin == ipi.Origin{}) // it is gone when it is asked what it is
	})
	if got.IPIs != n || got.Queued != n || got.CostNS < n*100 || s.Lost != 0 {
		t.Errorf("got %+v, lost %d, want %d", got, s.Lost, n)
	}
}

// TestTimestamp: IPIs from a kworker are of the process that queued its work.
func TestTimestamp(t *testing.T) {
	const cycles, perCycle = 100, 6
	for _, stacks := range []bool{false, true} {
		tr := open(t, ipitrace.Options{Stacks: stacks})
		pid := driveAtLeast(t, "timestamp", cycles, cycles*perCycle)
		s := closed(t, tr)
		by := make(map[string]uint64)
		got := sum(t, s, func(r *ipi.Row) bool {
			ours := r.Cause == "do_sync_core" && r.Sender.PID == pid && r.Origin.Path == "workqueue netstamp_clear" &&
				r.Remedy == "netstamp" && strings.HasPrefix(r.Origin.Via, "kworker/")
			if ours {
				by[r.Origin.Syscall] += r.IPIs
			}
			return ours
		})
		if want := uint64(cycles * perCycle); got.IPIs < want*98/100 || got.IPIs > want*102/100 {
			t.Errorf("stacks %v: got %+v, want %d", stacks, got, want)
		}
		for _, name := range []string{"setsockopt", "close"} {
			if want := uint64(cycles * perCycle / 2); stacks && (by[name] < want*98/100 || by[name] > want*102/100) {
				t.Errorf("%s: got %d, want %d of %v", name, by[name], want, by)
			}
		}
		if !stacks && by[""] != got.IPIs {
			t.Errorf("system calls without stacks: %v", by)
		}
	}
}

func TestMunmap(t *testing.T) {
	const n = 200
	tr := open(t, ipitrace.Options{Stacks: true})
	pid := driveExactly(t, "munmap", n, n)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool {
		stack := s.Stacks[r.StackID]
		if len(stack) > 0 && tracing(stack[0]) {
			t.Errorf("the stack begins with the tracer: %q", stack)
		}
		return r.Kind == ipi.TLB && r.Cause == "flush_tlb_func" && r.Sender.PID == pid && r.Origin.Syscall == "munmap" &&
			slices.Contains(stack, "__x64_sys_munmap")
	})
	if got.IPIs != n || got.Queued != n {
		t.Errorf("got %+v, want %d; stacks %q", got, n, s.Stacks)
	}
}

// TestStats: every CPU that is watched is told to serialize, with an IPI to one of them
// or, from three CPUs on, to several at once.
func TestStats(t *testing.T) {
	const cycles, perCycle = 10, 6
	old, err := os.ReadFile("/proc/sys/kernel/bpf_stats_enabled")
	if err != nil || string(old) != "0\n" {
		t.Skipf("kernel.bpf_stats_enabled is %q, expected 0: %v", old, err)
	}
	n, err := host.CPUs()
	if err != nil {
		t.Fatal(err)
	}
	all := ipi.Below(n)
	for _, victims := range []ipi.CPUs{all, ipi.MakeCPUs(victim), ipi.MakeCPUs(n - 1)} {
		tr := open(t, ipitrace.Options{Victims: victims})
		pid := drive(t, "stats", cycles)
		s := closed(t, tr)
		for cpu := range all.All() {
			got := sum(t, s, func(r *ipi.Row) bool {
				return r.CPU == cpu && r.Cause == "do_sync_core" && r.Sender.PID == pid
			})
			want := uint64(0)
			if victims.Has(cpu) && cpu != sender {
				want = cycles * perCycle
			}
			// A CPU that has not yet run what was queued before is not interrupted again, and one that
			// idles may look by itself.
			if got.Queued != want || got.IPIs > want || cpu == victim && got.IPIs < want*9/10 {
				t.Errorf("victims %v, CPU %d: got %+v, want %d", victims, cpu, got, want)
			}
		}
	}
}

// TestTimer: what a timer sends is not blamed on the thread that it interrupts.
func TestTimer(t *testing.T) {
	const n = 200
	tr := open(t, ipitrace.Options{Stacks: true})
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
	tr := open(t, ipitrace.Options{Stacks: true})
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

// TestFilters: processes, threads and CPUs that were not asked for are in no row, whether the
// kernel or the counter leaves them out.
func TestFilters(t *testing.T) {
	const n = 50
	parse := func(text string) *ipifilter.Expr {
		cpus, err := host.CPUs()
		if err != nil {
			t.Fatal(err)
		}
		x, err := ipifilter.Parse(text, cpus)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
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
		{"filter: all of it", ipitrace.Options{Filter: parse(fmt.Sprintf("CPU & CPUS{%d} && cause == ipi_sync_core && comm ~ %q", sender, program[:4]+"*"))}, n},
		{"filter: another cause", ipitrace.Options{Filter: parse("cause == do_sync_core")}, 0},
		{"filter: another CPU", ipitrace.Options{Filter: parse(fmt.Sprintf("cpu != %d", victim))}, 0},
		{"filter: another comm", ipitrace.Options{Filter: parse("comm == \"ntpd\"")}, 0},
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

// TestFollow: the driver is started after the tracer, by a process that was asked for.
func TestFollow(t *testing.T) {
	const n = 50
	for _, follow := range []bool{true, false} {
		tr := open(t, ipitrace.Options{TGIDs: []int32{int32(os.Getpid())}, Follow: follow})
		pid := driveExactly(t, "membarrier", n, n)
		got := sum(t, closed(t, tr), func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Cause == "ipi_sync_core" })
		if want := map[bool]uint64{true: n}[follow]; got.IPIs != want {
			t.Errorf("follow %v: got %d, want %d", follow, got.IPIs, want)
		}
	}
}

// TestRate: what a CPU can send at most does not fill the buffers, or hardly where the reader has no time.
func TestRate(t *testing.T) {
	const n = 30_000
	tr := open(t, ipitrace.Options{})
	started := start(t, "membarrier", n)
	started.finish(t)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == started.PID() && r.Cause == "ipi_sync_core" })
	// The spinner does not have the victim all the time, and others send, too.
	if most := uint64(started.received()); got.IPIs != got.Queued || got.IPIs > most || got.IPIs < n/3 || s.Lost > 2*n/20 {
		t.Errorf("got %+v of %d, lost %d", got, most, s.Lost)
	}
}

// TestLost: what did not fit into the buffers is said to be lost, and nothing is counted twice.
func TestLost(t *testing.T) {
	const n = 4000
	tr := openTuned(t, ipitrace.Options{NoCost: true}, tuning{bufferKB: 64, interval: time.Hour})
	pid := driveExactly(t, "membarrier", n, n)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Cause == "ipi_sync_core" })
	if s.Lost == 0 || got.IPIs > n || got.Queued > n || got.IPIs+got.Queued+s.Lost < 2*n {
		t.Errorf("got %+v, lost %d of %d", got, s.Lost, n)
	}
	if len(s.Rows) == 0 { // what is left can all be of others
		t.Error("nothing of what is left was counted")
	}
}

// TestInterrupted: the thread that spins is the one that was interrupted.
func TestInterrupted(t *testing.T) {
	const n = 100
	for _, noCost := range []bool{false, true} {
		tr := open(t, ipitrace.Options{Interrupted: true, NoCost: noCost})
		pid := driveExactly(t, "membarrier", n, n)
		s := closed(t, tr)
		runs := uint64(0)
		for _, i := range s.Interrupted {
			if i.PID == pid && i.Cause == "ipi_sync_core" && i.CPU == victim && i.Kind == ipi.Call && i.Comm == program {
				t.Logf("%+v", i)
				runs += i.Runs
			}
		}
		got := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Cause == "ipi_sync_core" })
		if runs != n || noCost != (got.CostNS == 0) {
			t.Errorf("got %d of %d in %+v; cost %d", runs, n, s.Interrupted, got.CostNS)
		}
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
