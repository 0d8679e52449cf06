package ipibpf

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// tuned makes kprobes of raw tracepoints if the environment wants it.
var tuned = tuning{kprobes: os.Getenv("IPIBPF_MEANS") == "kprobes"}

// open starts a tracer for the victim, or skips the test and says what is missing.
func open(t testing.TB, opts ipitrace.Options) *Tracer {
	t.Helper()
	return openSmall(t, opts, 0)
}

// openSmall has so many rows at most.
func openSmall(t testing.TB, opts ipitrace.Options, rowsMax uint32) *Tracer {
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
	tr, err := openWith(opts, tuning{rows: rowsMax, kprobes: tuned.kprobes})
	if err != nil {
		failOrSkip(t, err)
	}
	t.Logf("open: %v, %s, missing: %q", time.Since(start), tr.Mode(), tr.Missing())
	t.Cleanup(func() { tr.Close() })
	return tr
}

// failOrSkip skips a test if something is missing that the tracer needs.
func failOrSkip(t testing.TB, err error) {
	t.Helper()
	for _, f := range Check() {
		if f.Needed && !f.OK {
			t.Skipf("%s: %s", f.Name, f.Why)
		}
	}
	t.Fatal(err)
}

func closed(t *testing.T, tr *Tracer) ipi.Snapshot {
	t.Helper()
	s, err := tr.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows, lost %d, self %d", len(s.Rows), s.Lost, s.SelfIPIs)
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
	got := sum(t, closed(t, tr), func(r *ipi.Row) bool {
		return r.Kind == ipi.Call && r.Cause == "ipi_sync_core" && r.Sender.PID == pid && r.Origin.Syscall == "membarrier" &&
			strings.HasPrefix(r.Origin.Detail, "MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE")
	})
	if got.IPIs != n || got.Queued != n || got.CostNS == 0 {
		t.Errorf("got %+v, want %d", got, n)
	}
}

func TestTimestamp(t *testing.T) {
	const cycles, perCycle = 100, 6
	tr := open(t, ipitrace.Options{})
	pid := driveExactly(t, "timestamp", cycles, cycles*perCycle)
	s := closed(t, tr)
	by := make(map[string]uint64)
	got := sum(t, s, func(r *ipi.Row) bool {
		ours := r.Cause == "do_sync_core" && r.Sender.PID == pid && r.Origin.Path == "workqueue netstamp_clear" && r.Remedy == "netstamp"
		if ours {
			what, _, _ := strings.Cut(r.Origin.Syscall+" "+r.Origin.Detail, " go")
			by[strings.TrimSpace(what)] += r.IPIs
		}
		return ours
	})
	if want := uint64(cycles * perCycle); got.IPIs < want*98/100 || got.IPIs > want*102/100 {
		t.Errorf("got %+v, want %d", got, want)
	}
	for _, origin := range []string{"setsockopt SO_TIMESTAMP", "close"} {
		if want := uint64(cycles * perCycle / 2); by[origin] < want*98/100 || by[origin] > want*102/100 {
			t.Errorf("%s: got %d, want %d of %v", origin, by[origin], want, by)
		}
	}
}

func TestMunmap(t *testing.T) {
	const n = 200
	tr := open(t, ipitrace.Options{})
	pid := driveExactly(t, "munmap", n, n)
	got := sum(t, closed(t, tr), func(r *ipi.Row) bool {
		return r.Kind == ipi.TLB && r.Cause == "flush_tlb_func" && r.Sender.PID == pid && r.Origin.Syscall == "munmap"
	})
	if got.IPIs != n || got.Queued != n {
		t.Errorf("got %+v, want %d", got, n)
	}
}

// TestSingle: calls for one CPU are counted once, also where two kprobes see them.
func TestSingle(t *testing.T) {
	const n = 200
	tr := open(t, ipitrace.Options{})
	pid := driveExactly(t, "membarrier-rseq", n, n)
	got := sum(t, closed(t, tr), func(r *ipi.Row) bool {
		return r.Kind == ipi.Call && r.Cause == "ipi_rseq" && r.Sender.PID == pid && r.Origin.Syscall == "membarrier"
	})
	if got.IPIs != n || got.Queued != n {
		t.Errorf("got %+v, want %d", got, n)
	}
}

// TestWakeup: what wakes a thread on an idle CPU has no function of its own; the kernel says which. Where
// CPUs share a cache the kernel sends a reschedule. Other threads of the process wake each other, too, and
// on a busy machine the CPU does not always idle.
func TestWakeup(t *testing.T) {
	const n = 50
	tr := open(t, ipitrace.Options{})
	started := start(t, "futex-idle", n)
	started.finish(t)
	s := closed(t, tr)
	of := func(kind ipi.Kind, cause string) ipi.Row {
		return sum(t, s, func(r *ipi.Row) bool {
			return r.Kind == kind && r.Cause == cause && r.Sender.PID == started.PID() && r.Origin.Syscall == "futex"
		})
	}
	calls, rescheds := of(ipi.Call, "sched_ttwu_pending"), of(ipi.Resched, "")
	if sent := calls.IPIs + rescheds.IPIs; calls.IPIs > calls.Queued || sent > n+n/2 || sent < n/2 {
		t.Errorf("got %d calls, %d IPIs for them, %d rescheds, want %d wakeups", calls.Queued, calls.IPIs, rescheds.IPIs, n)
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
	n, err := ebpf.PossibleCPU()
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
				return r.CPU == cpu && r.Cause == "do_sync_core" && r.Sender.PID == pid && r.Origin.Syscall == "write"
			})
			want := uint64(0)
			if victims.Has(cpu) && cpu != sender {
				want = cycles * perCycle
			}
			// A CPU that has not yet run what was queued before is not interrupted again.
			queued := want
			if tr.lateCalls {
				queued = got.IPIs
			}
			least := want / 2
			if cpu == victim {
				least = want * 9 / 10
			}
			if got.Queued != queued || got.IPIs > want || got.IPIs < least {
				t.Errorf("victims %v, CPU %d: got %+v, want %d", victims, cpu, got, want)
			}
		}
	}
}
