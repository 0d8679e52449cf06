package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/isolated"
)

// needIsolation skips where no thread can be isolated.
func needIsolation(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds, and all of a CPU: left out by -short")
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("needs linux/amd64, this is " + runtime.GOOS + "/" + runtime.GOARCH)
	}
	if cpus, err := affinity.Allowed(); err != nil || len(cpus) < 2 {
		t.Skipf("needs two CPUs: this process may run on %v (%v)", cpus, err)
	}
}

// isolatedJSON runs the demo. Where it cannot tell who sends, other programs may send more
// interrupts in one phase than in another; that alone is no failure of a test.
func isolatedJSON(t *testing.T, args ...string) isolated.Result {
	t.Helper()
	out, errs, code := runCommand(t, append([]string{"demo", "--isolated", "--flips", "300", "--json"}, args...)...)
	var r isolated.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v, exit code %d\n%s%s", err, code, out, errs)
	}
	want := exitOK
	for _, f := range r.Failures {
		want = exitFailed
		if !strings.Contains(f, " IPIs came to CPU ") || !strings.HasPrefix(r.CountedBy, "/proc/interrupts") {
			t.Errorf("failed: %s", f)
		} else {
			t.Logf("on a machine that does something else, too: %s", f)
		}
	}
	if code != want || r.Interrupted {
		t.Errorf("exit code %d, want %d; interrupted %v\n%s", code, want, r.Interrupted, errs)
	}
	return r
}

func TestDemoIsolated(t *testing.T) {
	needIsolation(t)
	r := isolatedJSON(t)
	d, n := r.Deferred, r.NotDeferred
	for name, p := range map[string]isolated.Phase{"deferred": d, "not deferred": n} {
		if p.FlipsDone != 300 || p.Retargets != 6 || p.Unmaps != 6 || p.FlipNS <= 0 || p.FirstError != "" {
			t.Errorf("%s: %+v, want 300 flips, 6 retargets, 6 unmaps, no error", name, p)
		}
	}
	for name, p := range map[string]isolated.Phase{"noise": r.Noise, "deferred": d, "not deferred": n} {
		if p.Readings < 1000 || p.GapNSMax <= 0 || p.GapNSP9999 <= 0 || p.GapNSP9999 > p.GapNSMax || p.DurationMS <= 0 || len(p.Gaps) == 0 {
			t.Errorf("%s: %+v, want readings and gaps", name, p)
		}
	}
	if r.Noise.FlipsDone != 0 || r.Noise.Syncs != 0 {
		t.Errorf("noise: %+v, want no flips and no syncs", r.Noise)
	}
	if r.KernelCrossingNS <= 0 || r.TicksPerNS <= 0 {
		t.Errorf("a crossing takes %d ns at %v ticks per ns", r.KernelCrossingNS, r.TicksPerNS)
	}
	if r.Mode == "memory" {
		if r.Reason == "" || d.Syncs != 0 {
			t.Errorf("mode memory, reason %q, %d syncs; want a reason and none", r.Reason, d.Syncs)
		}
		return
	}
	if r.Sites != 56 || r.Calls == 0 {
		t.Errorf("%d sites and %d calls are armed, want 56 and some", r.Sites, r.Calls)
	}
	if r.Unspared != "" {
		t.Skip("needs syncs by CPU: " + r.Unspared)
	}
	// What the library itself counts does not depend on what else the machine does.
	if d.Syncs < 300 || d.SyncsDeferred != d.Syncs || d.UnmapsHeld != 6 || d.UnmapsForced != 0 || d.UnmapsWaiting != 0 {
		t.Errorf("deferred: %d syncs, %d left to the thread, %d mappings left to it, %d forced, %d still there; want 300 or more, the same, 6, 0, 0",
			d.Syncs, d.SyncsDeferred, d.UnmapsHeld, d.UnmapsForced, d.UnmapsWaiting)
	}
	if n.Syncs < 300 || n.SyncsDeferred != 0 || n.UnmapsHeld != 0 {
		t.Errorf("not deferred: %d syncs, %d left to the thread, %d mappings left to it; want 300 or more, 0, 0", n.Syncs, n.SyncsDeferred, n.UnmapsHeld)
	}
	if r.SyncAssurance == "" || r.CrossingsOwed == 0 || r.KernelCrossingOwedNS <= 0 {
		t.Errorf("assurance %q, %d crossings with a sync owed, %d ns; want all", r.SyncAssurance, r.CrossingsOwed, r.KernelCrossingOwedNS)
	}
}

func TestDemoIsolatedMemory(t *testing.T) {
	needIsolation(t)
	r := isolatedJSON(t, "--backend", "none", "--cpu", "0")
	if r.Mode != "memory" || r.Reason == "" || r.IsolatedCPU != 0 || r.Deferred.FlipsDone != 300 {
		t.Errorf("mode %s, reason %q, CPU %d, %d flips; want memory, a reason, 0, 300", r.Mode, r.Reason, r.IsolatedCPU, r.Deferred.FlipsDone)
	}
}

func TestDemoIsolatedTable(t *testing.T) {
	needIsolation(t)
	out, errs, code := runCommand(t, "demo", "--isolated", "--flips", "100", "--strategy", "int3")
	if code == exitUsage || !strings.Contains(out, "not deferred") || !strings.Contains(out, "gaps by length") || !strings.Contains(out, "int3") {
		t.Errorf("exit code %d, want a table\n%s%s", code, out, errs)
	}
	if !strings.Contains(errs, "[4/4]") || strings.Contains(errs, "\x1b") {
		t.Errorf("progress %q: want plain lines, one for each phase", errs)
	}
}

// interrupted runs the demo, interrupts it some time after a line of progress, and checks
// that it ends as it should.
func interrupted(t *testing.T, flips, line string, after time.Duration) (r isolated.Result) {
	t.Helper()
	cmd := command(t, "demo", "--isolated", "--json", "--flips", flips)
	var out strings.Builder
	cmd.Stdout = &out
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(progress); line != "" && lines.Scan() && !strings.HasPrefix(lines.Text(), line); {
	}
	time.Sleep(after)
	start := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(progress)
	_ = cmd.Wait() // the exit code is looked at below
	// On a busy machine every stop of the world waits for the isolated thread to get its CPU.
	if took := time.Since(start); took > time.Minute {
		t.Errorf("the demo ended %v after the interrupt", took)
	}
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil || !r.Interrupted {
		t.Errorf("error %v, interrupted %v: want an object that says interrupted\n%s", err, r.Interrupted, out.String())
	}
	if code := cmd.ProcessState.ExitCode(); code != exitUsage {
		t.Errorf("exit code %d, want %d\n%s", code, exitUsage, rest)
	}
	return r
}

func TestDemoIsolatedInterrupt(t *testing.T) {
	needIsolation(t)
	if r := interrupted(t, "1000000", "", 2*time.Second); r.Deferred.FlipsDone == 1_000_000 || r.Noise.Readings != 0 {
		t.Errorf("%d flips, %d readings in the noise; want fewer than 1000000, none", r.Deferred.FlipsDone, r.Noise.Readings)
	}
	if r := interrupted(t, "3000", "[1/4]", 50*time.Millisecond); r.Noise.DurationMS > r.Deferred.DurationMS/2 || r.NotDeferred.Readings != 0 {
		t.Errorf("%d ms of noise after %d ms, %d readings without deferral; want it cut short, none",
			r.Noise.DurationMS, r.Deferred.DurationMS, r.NotDeferred.Readings)
	}
}

func TestDemoIsolatedUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--isolated", "--flips", "5"},
		{"--isolated", "--duration", "1s"},
		{"--isolated", "--strategy", "store,int3"},
		{"--isolated", "--strategy", "stopworld"},
		{"--isolated", "--backend", "mprotect"},
		{"--isolated", "--cpu", "100000"},
		{"--flips", "1000"},
		{"--realtime"},
	} {
		out, errs, code := runCommand(t, append([]string{"demo"}, args...)...)
		if code != exitUsage || out != "" || !strings.HasPrefix(errs, "quietpatch: ") {
			t.Errorf("%v: exit code %d, want %d and one error\n%s%s", args, code, exitUsage, out, errs)
		}
	}
}

func TestIsolatedVerdict(t *testing.T) {
	for name, tc := range map[string]struct {
		res  isolated.Result
		want int
	}{
		"good":                   {isolated.Result{Verdict: "ok"}, exitOK},
		"failed":                 {isolated.Result{Verdict: "failed", Failures: []string{"x"}}, exitFailed},
		"interrupted":            {isolated.Result{Verdict: "ok", Interrupted: true}, exitUsage},
		"interrupted and failed": {isolated.Result{Verdict: "failed", Interrupted: true}, exitFailed},
	} {
		if got := exitCode(isolatedVerdict(&tc.res)); got != tc.want {
			t.Errorf("%s: exit code %d, want %d", name, got, tc.want)
		}
	}
}
