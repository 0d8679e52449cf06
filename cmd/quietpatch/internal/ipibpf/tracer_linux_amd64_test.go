package ipibpf

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitest"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// tuned makes kprobes of raw tracepoints if the environment wants it.
var tuned = tuning{kprobes: os.Getenv("IPIBPF_MEANS") == "kprobes"}

// open starts a tracer for the victim, or skips the test and says what is missing.
func open(t testing.TB, opts ipitrace.Options) *Tracer {
	t.Helper()
	return openSmall(t, opts, tuning{})
}

// openSmall has a table of another size.
func openSmall(t testing.TB, opts ipitrace.Options, tune tuning) *Tracer {
	t.Helper()
	start := time.Now()
	tune.kprobes = tuned.kprobes
	tr, err := openWith(rig.Options(t, opts), tune)
	if err != nil {
		ipitest.FailOrSkip(t, err, Check)
	}
	t.Logf("open: %v, %s, missing: %q", time.Since(start), tr.Mode(), tr.Missing())
	t.Cleanup(func() { tr.Close() })
	return tr
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
	started.Finish(t)
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
