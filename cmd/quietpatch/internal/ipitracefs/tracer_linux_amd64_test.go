package ipitracefs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitest"
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
	start := time.Now()
	tr, err := openWith(rig.Options(t, opts), tune)
	if err != nil {
		ipitest.FailOrSkip(t, err, Check)
	}
	t.Logf("open: %v, missing: %q", time.Since(start), tr.Missing())
	t.Cleanup(func() { tr.Close() })
	return tr
}

// TestMembarrier: the call of a driver goes without an IPI if another's was on its way just then, which
// /proc/interrupts cannot tell apart. That does not happen each time.
func TestMembarrier(t *testing.T) {
	const n, tries = 1000, 3
	for try := 1; ; try++ {
		tr := open(t, ipitrace.Options{})
		pid := driveExactly(t, "membarrier", n, n)
		s := closed(t, tr)
		got := sum(t, s, func(r *ipi.Row) bool {
			return r.Kind == ipi.Call && r.Cause == "ipi_sync_core" && r.Sender.PID == pid && r.Sender.Comm == program &&
				(r.Origin == ipi.Origin{Detail: "go"} || r.Origin == ipi.Origin{}) // it is gone when it is asked what it is
		})
		shared := got.IPIs < n && got.IPIs > n*99/100
		if got.Queued != n || got.CostNS < n*100 || s.Lost != 0 || got.IPIs != n && (!shared || try == tries) {
			t.Fatalf("got %+v, lost %d, want %d", got, s.Lost, n)
		}
		if got.IPIs == n {
			return
		}
		t.Logf("others have sent, too: %+v", s.Rows)
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

// TestFilters: processes, threads and CPUs that were not asked for are in no row, whether the
// kernel or the counter leaves them out.
func TestFilters(t *testing.T) {
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
	backend.Filters(t, []ipitest.Selection{
		{Name: "filter: all of it", Options: ipitrace.Options{Filter: parse(fmt.Sprintf("CPU & CPUS{%d} && cause == ipi_sync_core && comm ~ %q", sender, program[:4]+"*"))}, Passes: true},
		{Name: "filter: another cause", Options: ipitrace.Options{Filter: parse("cause == do_sync_core")}},
		{Name: "filter: another CPU", Options: ipitrace.Options{Filter: parse(fmt.Sprintf("cpu != %d", victim))}},
		{Name: "filter: another comm", Options: ipitrace.Options{Filter: parse("comm == \"ntpd\"")}},
	}...)
}

// TestNoSets: where the kernel cannot leave out what was not asked for, the counter does.
func TestNoSets(t *testing.T) {
	const n = 50
	for _, watched := range []int{victim, sender} {
		tr := openTuned(t, ipitrace.Options{Victims: ipi.MakeCPUs(watched), Interrupted: true}, tuning{interval: intervalMost, noSets: true})
		pid := driveExactly(t, "membarrier", n, n)
		s := closed(t, tr)
		got := sum(t, s, ipitest.From(pid, "ipi_sync_core"))
		if want := map[int]uint64{victim: n}[watched]; got.IPIs != want || got.Queued != want {
			t.Errorf("CPU %d: got %+v, want %d", watched, got, want)
		}
		for _, r := range s.Rows {
			if r.CPU != watched {
				t.Errorf("not asked for: %+v", r)
			}
		}
		for _, i := range s.Interrupted {
			if i.CPU != watched {
				t.Errorf("not asked for: %+v", i)
			}
		}
	}
}

// TestRate: what a CPU can send at most does not fill the buffers, or hardly where the reader has no time.
func TestRate(t *testing.T) {
	const n = 30_000
	tr := open(t, ipitrace.Options{})
	started := start(t, "membarrier", n)
	started.Finish(t)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == started.PID() && r.Cause == "ipi_sync_core" })
	// The spinner does not have the victim all the time, and others send, too: one IPI may be for a call of theirs and one of ours.
	if most := uint64(started.Received()); got.IPIs > got.Queued || got.Queued-got.IPIs > n/100 || got.IPIs > most || got.IPIs < n/3 || s.Lost > 2*n/20 {
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
