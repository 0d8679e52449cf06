//go:build linux && amd64

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

var long = flag.Bool("long", false, "hammer for minutes instead of seconds")

// A report is what the hammers of prog print.
type report struct {
	Flips    int              `json:"flips"`
	Checks   uint64           `json:"checks"`
	Verified uint64           `json:"verified"`
	Wrong    uint64           `json:"wrong"`
	First    string           `json:"first"`
	Sites    int              `json:"sites"`
	Armed    int              `json:"armed"`
	Status   quietpatch.State `json:"status"`
	Seconds  float64          `json:"seconds"`
}

// build builds prog with the given flags and environment, once per test run.
func build(t *testing.T, env []string, flags ...string) string {
	t.Helper()
	return buildPackage(t, "./prog", env, flags...)
}

func buildPackage(t *testing.T, pkg string, env []string, flags ...string) string {
	t.Helper()
	key := pkg + " " + strings.Join(append(append([]string{}, env...), flags...), " ")
	builds.Lock()
	defer builds.Unlock()
	if p, ok := builds.done[key]; ok {
		return p
	}
	out := filepath.Join(builds.dir, fmt.Sprintf("prog%d", len(builds.done)))
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), pkg)...)
	cmd.Env = append(os.Environ(), env...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", key, err, msg)
	}
	builds.done[key] = out
	return out
}

var builds = struct {
	sync.Mutex
	dir  string
	done map[string]string
}{done: map[string]string{}}

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "quietpatch-e2e")
	if err != nil {
		panic(err)
	}
	builds.dir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// run runs prog and decodes what it prints into result.
func run(t *testing.T, result any, bin string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("prog %s: %v\n%s%s", strings.Join(args, " "), err, tail(errs.String()), tail(out.String()))
	}
	if err := json.Unmarshal(out.Bytes(), result); err != nil {
		t.Fatalf("prog %s printed no JSON: %v\n%s", strings.Join(args, " "), err, out.String())
	}
}

func tail(s string) string {
	if len(s) > 4000 {
		return s[:2000] + "\n[...]\n" + s[len(s)-2000:]
	}
	return s
}

// live skips where text cannot be patched at all; where it should be, a memory
// mode is a failure.
func live(t *testing.T, s quietpatch.State) {
	t.Helper()
	if s.Mode == "live" {
		return
	}
	if strings.Contains(s.Reason, "no core-serializing membarrier") {
		t.Skip("needs membarrier SYNC_CORE: ", s.Reason)
	}
	t.Fatalf("mode %s: %s", s.Mode, s.Reason)
}

func (r *report) check(t *testing.T, flips int) {
	t.Helper()
	c := r.Status.Counters
	t.Logf("%d flips in %.1f s (%s on %s), %d checks, %d rounds verified, %d trap hits, %d late, %d retried",
		r.Flips, r.Seconds, r.Status.Strategy, r.Status.Backend, r.Checks, r.Verified, c.TrapHits, c.TrapLate, c.TrapRetried)
	live(t, r.Status)
	if r.Wrong != 0 {
		t.Errorf("%d wrong rounds; the first: %s", r.Wrong, r.First)
	}
	if r.Verified < uint64(r.Flips) {
		t.Errorf("%d rounds verified for %d flips", r.Verified, r.Flips)
	}
	if r.Flips != flips {
		t.Errorf("%d flips, expected %d", r.Flips, flips)
	}
	if r.Armed < 30 {
		t.Errorf("%d of %d sites armed, expected over 30", r.Armed, r.Sites)
	}
	if c.TrapForeign != 0 || c.Fallbacks != 0 || len(r.Status.Problems) != 0 {
		t.Errorf("status %+v", r.Status)
	}
}

// TestHammer: all CPUs busy, collections, profiling, signals; after every flip
// the value must be exact. On each backend 100,000 flips by store and 5,000 by int3.
func TestHammer(t *testing.T) {
	times := 1
	if *long {
		times = 10
	} else if testing.Short() {
		t.Skip("short: hammers take about a minute")
	}
	bin := build(t, nil)
	for _, c := range []struct {
		strategy, backend string
		flips             int
	}{
		{"store", "procmem", 100_000},
		{"store", "alias", 100_000},
		{"int3", "procmem", 5_000},
		{"int3", "alias", 5_000},
		{"one-at-a-time", "procmem", 100},
	} {
		t.Run(c.strategy+" "+c.backend, func(t *testing.T) {
			var r report
			run(t, &r, bin, "hammer", "-strategy", c.strategy, "-backend", c.backend,
				"-flips", fmt.Sprint(c.flips*times), "-limit", "9m")
			r.check(t, c.flips*times)
			if c.strategy == "int3" && r.Status.Counters.TrapHits == 0 {
				t.Error("no thread ran into a trap byte: the hammer does not hit")
			}
		})
	}
}

// TestForkExec: processes start while keys flip by int3.
func TestForkExec(t *testing.T) {
	for _, backend := range []string{"procmem", "alias"} {
		t.Run(backend, func(t *testing.T) {
			var r report
			run(t, &r, build(t, nil), "forkexec", "-n", "200", "-backend", backend)
			live(t, r.Status)
			if r.Wrong != 0 || r.Flips < 10 {
				t.Errorf("%d flips, %d wrong rounds: %s", r.Flips, r.Wrong, r.First)
			}
		})
	}
}

func TestDisarmUnderLoad(t *testing.T) {
	for _, backend := range []string{"procmem", "alias"} {
		t.Run(backend, func(t *testing.T) {
			var r report
			run(t, &r, build(t, nil), "disarm", "-rounds", "20", "-backend", backend)
			live(t, r.Status)
			if r.Wrong != 0 || r.Status.Armed == 0 {
				t.Errorf("%d wrong rounds (%s), %d armed at the end", r.Wrong, r.First, r.Status.Armed)
			}
		})
	}
}

// TestDenied takes system calls away from a whole process with seccomp. The
// results are the same; only the mode differs, and Status says why.
func TestDenied(t *testing.T) {
	for _, c := range []struct {
		calls, mode, backend, reason string
	}{
		{"pwrite64", "live", "alias", ""},
		{"memfd_create", "live", "procmem", ""},
		{"pwrite64,memfd_create", "memory", "none", "memfd_create"},
		{"membarrier", "memory", "none", "membarrier"},
		{"rt_sigaction", "memory", "none", "rt_sigaction"},
	} {
		t.Run(c.calls, func(t *testing.T) {
			var r struct {
				Sets   []string
				Wrong  int
				Status quietpatch.State
			}
			run(t, &r, build(t, nil), "denied", "-calls", c.calls)
			if r.Wrong != 0 || strings.Join(r.Sets, "") != "" {
				t.Errorf("%d wrong rounds, errors %q", r.Wrong, r.Sets)
			}
			if r.Status.Mode != c.mode || r.Status.Backend != c.backend || !strings.Contains(r.Status.Reason, c.reason) {
				t.Errorf("mode %s on %s, reason %q; expected %s on %s, %q", r.Status.Mode, r.Status.Backend, r.Status.Reason, c.mode, c.backend, c.reason)
			}
		})
	}
}

// TestDeniedLater takes them away from a program with armed sites: flips fail
// with the reason and change nothing, or go another way.
func TestDeniedLater(t *testing.T) {
	for _, c := range []struct{ calls, want string }{
		{"pwrite64", "operation not permitted"},
		{"membarrier", "operation not permitted"},
	} {
		t.Run(c.calls, func(t *testing.T) {
			var r struct {
				Sets   []string
				Wrong  int
				Status quietpatch.State
			}
			run(t, &r, build(t, nil), "denied", "-calls", c.calls, "-after")
			if r.Wrong != 0 {
				t.Errorf("%d wrong rounds", r.Wrong)
			}
			for _, msg := range r.Sets {
				if !strings.Contains(msg, c.want) {
					t.Errorf("Set returned %q, expected %q in it", msg, c.want)
				}
			}
		})
	}
}

// TestForeignTrap: a debugger's breakpoint in a site. Before the site is armed
// it stays a memory read; afterwards the flip fails and nothing changes. The
// breakpoint is never overwritten.
func TestForeignTrap(t *testing.T) {
	for _, name := range []string{"foreign", "lateforeign"} {
		t.Run(name, func(t *testing.T) {
			var r struct {
				Addr                      uint64
				First, Second, State, Why string
				Armed, Sites, Wrong       int
				Changed                   bool
				Status                    quietpatch.State
			}
			run(t, &r, build(t, nil), name)
			if r.Wrong != 0 || r.Changed || r.Second != "" {
				t.Errorf("wrong %d, breakpoint overwritten %v, after it was gone: %q", r.Wrong, r.Changed, r.Second)
			}
			if name == "foreign" {
				if r.First != "" || r.State != "memory" || r.Armed != r.Sites-1 || !strings.Contains(r.Why, "found cc") {
					t.Errorf("set: %q; site %s %q; %d of %d armed", r.First, r.State, r.Why, r.Armed, r.Sites)
				}
				return
			}
			for _, want := range []string{"prog.hammer", fmt.Sprintf("%#x", r.Addr), "expected", "found cc", "old value", ".go:"} {
				if !strings.Contains(r.First, want) {
					t.Errorf("the error lacks %q: %s", want, r.First)
				}
			}
		})
	}
}

// TestUprobe sets real uprobes in the program: on a function that has nothing
// to do with keys, before and after arming, and on a check. With any uprobe in
// a process the kernel reports every int3 of it in another way.
func TestUprobe(t *testing.T) {
	var s sitesReport
	run(t, &s, build(t, nil), "sites")
	live(t, s.Status)
	check := fmt.Sprint(s.Sites["prog.hammer"][2].Addr) // the program is not a PIE: it will be there again
	for _, c := range [][]string{
		{"-strategy", "store", "-backend", "procmem"},
		{"-strategy", "int3", "-backend", "procmem"},
		{"-strategy", "int3", "-backend", "procmem", "-late"},
		{"-strategy", "int3", "-backend", "alias"},
		{"-strategy", "int3", "-backend", "alias", "-late"},
		{"-strategy", "int3", "-backend", "procmem", "-site", check},
		{"-strategy", "int3", "-backend", "alias", "-site", check},
	} {
		t.Run(strings.Join(c, " "), func(t *testing.T) {
			bin := build(t, nil)
			var r struct {
				report
				Stands bool
				Why    string
				Again  int
			}
			out, err := exec.Command(bin, append([]string{"uprobe"}, c...)...).CombinedOutput()
			if err != nil {
				if strings.Contains(string(out), "no uprobes") {
					t.Skip("needs uprobes by perf_event_open: ", string(out))
				}
				t.Fatalf("%v\n%s", err, tail(string(out)))
			}
			if err := json.Unmarshal(out, &r); err != nil {
				t.Fatal(err)
			}
			live(t, r.Status)
			t.Logf("%d flips, %d of %d sites armed, breakpoint stands %v, %d trap hits, %d foreign; %s",
				r.Flips, r.Armed, r.Sites, r.Stands, r.Status.Counters.TrapHits, r.Status.Counters.TrapForeign, r.Why)
			// The kernel does not probe memory of a memfd (docs/PROTOCOL.md, Limits).
			stands := strings.Join(c, " ") != "-strategy int3 -backend alias -late"
			if r.Wrong != 0 || r.Flips != 200 || r.Stands != stands || r.Armed == 0 {
				t.Errorf("%d wrong, %d flips, breakpoint stands %v, %d armed", r.Wrong, r.Flips, r.Stands, r.Armed)
			}
			if strings.Contains(strings.Join(c, " "), "-site") && (!strings.Contains(r.Why, "found cc") || r.Armed >= r.Sites || r.Again <= r.Armed) {
				t.Errorf("the probed site: %q, %d of %d armed, %d without the uprobe", r.Why, r.Armed, r.Sites, r.Again)
			}
		})
	}
}

// TestPprof: Go's own profiler names functions on every backend.
func TestPprof(t *testing.T) {
	for _, backend := range []string{"procmem", "alias"} {
		t.Run(backend, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cpu")
			var r report
			bin := build(t, nil)
			run(t, &r, bin, "spin", "-backend", backend, "-for", "2s", "-profile", file)
			live(t, r.Status)
			out, err := exec.Command("go", "tool", "pprof", "-top", bin, file).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "main.many") {
				t.Errorf("go tool pprof: %v, expected main.many in\n%s", err, out)
			}
		})
	}
}

// TestPerf: perf names functions of a patched program on the default backend.
// On alias it does not: that is why alias is not the default.
func TestPerf(t *testing.T) {
	if _, err := exec.LookPath("perf"); err != nil {
		t.Skip("needs perf (Debian: linux-perf)")
	}
	for backend, named := range map[string]bool{"procmem": true, "alias": false} {
		t.Run(backend, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "perf.data")
			out, err := exec.Command("perf", "record", "-q", "-e", "cpu-clock", "-o", data,
				build(t, nil), "spin", "-backend", backend, "-for", "2s").CombinedOutput()
			if err != nil {
				t.Skipf("needs perf record -e cpu-clock: %v: %s", err, tail(string(out)))
			}
			out, err = exec.Command("perf", "report", "-i", data, "--stdio", "--no-children").CombinedOutput()
			if err != nil {
				t.Fatalf("perf report: %v\n%s", err, tail(string(out)))
			}
			if got := strings.Contains(string(out), "main.many"); got != named {
				t.Errorf("perf names main.many: %v, expected %v\n%s", got, named, tail(string(out)))
			}
		})
	}
}

// TestTraceback: a panic behind an armed site is reported as ever.
func TestTraceback(t *testing.T) {
	var r map[string]string
	run(t, &r, build(t, nil), "panics")
	if !strings.Contains(r["traceback"], "main.panicBehindCheck") {
		t.Errorf("traceback:\n%s", r["traceback"])
	}
}

// sitesReport is what `prog sites` prints.
type sitesReport struct {
	Keys   []statickey.Key
	Sites  map[string][]statickey.Site
	RWX    []string
	Status quietpatch.State
}

// TestNeverRWX: no mapping is writable and executable once sites are armed.
func TestNeverRWX(t *testing.T) {
	for _, backend := range []string{"procmem", "alias"} {
		t.Setenv("QUIETPATCH_BACKEND", backend)
		var r sitesReport
		run(t, &r, build(t, nil), "sites")
		live(t, r.Status)
		if r.Status.Backend != backend || r.Status.Armed < 30 {
			t.Errorf("%d sites armed on %s", r.Status.Armed, r.Status.Backend)
		}
		if len(r.RWX) != 0 {
			t.Errorf("%s: %q", backend, r.RWX)
		}
	}
}
