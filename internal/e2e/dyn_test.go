//go:build linux && amd64

package e2e

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/dyncall"
)

var relearningsFlag = flag.Int("relearnings", 0, "how many relearnings TestDynMillion waits for; 0: 20,000, or a million with -long")

const retpolines = "-gcflags=all=-spectre=ret"

// stubUse is what stubs take; the numbers but the first are bytes.
type stubUse struct {
	Stubs     int
	InUse     int `json:"in_use"`
	Committed int
}

// dynReport is what `prog dyn` prints.
type dynReport struct {
	Seconds     float64
	Calls       uint64
	Wrong       uint64
	First       string
	Relearnings uint64
	Noise       map[string]int
	Sites       int
	Ours        int
	Learned     int
	Bad         []string
	Stats       dyncall.Statistics
	Restored    string
	Text        string
	RWX         []string
	StubsMax    stubUse `json:"stubs_max"`
	StubsEnd    stubUse `json:"stubs_end"`
	Status      quietpatch.State
}

// dynSitesMin is how many call sites the hammer has itself.
const dynSitesMin = 350

func (r *dynReport) check(t *testing.T) {
	t.Helper()
	c := r.Status.Counters
	t.Logf("%d relearnings in %.1f s (%s on %s): %d calls by %d sites, %d of them the hammer's; %d batches, %d syncs, %d pokes, %d grace stops, "+
		"%d trap hits, %d late, %d retried; stubs at most %+v, at the end %+v; noise %v",
		r.Relearnings, r.Seconds, r.Status.Strategy, r.Status.Backend, r.Calls, r.Sites, r.Ours, c.Batches, c.Syncs, c.Pokes, c.GraceStops,
		c.TrapHits, c.TrapLate, c.TrapRetried, r.StubsMax, r.StubsEnd, r.Noise)
	if strings.Contains(r.Status.Reason, "no core-serializing membarrier") {
		t.Skip("needs membarrier SYNC_CORE: ", r.Status.Reason)
	}
	if r.Wrong != 0 {
		t.Errorf("%d wrong; the first: %s", r.Wrong, r.First)
	}
	if r.Ours < dynSitesMin || len(r.Bad) != 0 {
		t.Errorf("%d of the hammer's calls were found, expected %d or more; of forbidden packages: %q", r.Ours, dynSitesMin, r.Bad)
	}
	if r.Relearnings == 0 || r.Calls < 100_000 || r.Learned == 0 {
		t.Errorf("%d relearnings, %d calls, %d promoted at most", r.Relearnings, r.Calls, r.Learned)
	}
	if r.Restored != "" || r.Text != "" {
		t.Errorf("text differs from the file after Stop: %q; after Disarm: %q", r.Restored, r.Text)
	}
	if len(r.RWX) != 0 || c.TrapForeign != 0 || c.Fallbacks != 0 || len(r.Status.Problems) != 0 {
		t.Errorf("writable and executable %q, status %+v", r.RWX, r.Status)
	}
	if r.StubsMax.Stubs == 0 || r.StubsMax.Stubs > stubsMax || r.StubsMax.InUse > stubsMax*stubBytes {
		t.Errorf("stubs %+v, expected at most %d, of %d bytes", r.StubsMax, stubsMax, stubBytes)
	}
	if r.StubsEnd.Stubs > stubsEnd || r.Status.Stubs.Redirected != 0 {
		t.Errorf("at the end: stubs %+v, expected at most %d; %d calls redirected", r.StubsEnd, stubsEnd, r.Status.Stubs.Redirected)
	}
}

const (
	// stubsMax is one for each call, those that wait to be freed, 4096 (internal/engine,
	// leavingMax), and those of one batch more.
	stubsMax = 2*1500 + 4096
	// stubsEnd is for the closures that static calls have had since the last collection.
	stubsEnd = 200
	// stubBytes is a stub of the longest kind.
	stubBytes = 400
)

type dynVariant struct{ strategy, backend string }

var dynVariants = []dynVariant{{"store", "procmem"}, {"int3", "alias"}, {"store", "alias"}, {"int3", "procmem"}}

// TestDynHammer: hundreds of indirect calls of every kind, on 8 goroutines, whose targets
// change in phases. They are learned anew all the time, while everything disturbs.
func TestDynHammer(t *testing.T) {
	if testing.Short() {
		t.Skip("short: hammers, and compiles the standard library")
	}
	limit := 3 * time.Second
	if *long {
		limit = 30 * time.Second
	}
	for i, mode := range []string{"exe", "pie"} {
		bin := build(t, nil, retpolines, "-buildmode="+mode)
		for j, v := range dynVariants {
			if !*long && j%2 != i {
				continue // each backend and each strategy, once per mode
			}
			t.Run(mode+" "+v.strategy+" "+v.backend, func(t *testing.T) {
				var r dynReport
				run(t, &r, bin, "dyn", "-strategy", v.strategy, "-backend", v.backend, "-limit", limit.String(), "-seed", fmt.Sprint(i*4+j))
				r.check(t)
				for _, name := range slices.Sorted(maps.Keys(r.Noise)) {
					if r.Noise[name] == 0 {
						t.Errorf("no noise %s was made in %v", name, limit)
					}
				}
				if r.Status.Counters.TrapHits == 0 {
					t.Error("no thread ran into a trap byte: the hammer does not hit")
				}
			})
		}
	}
}

// TestDynVersions does it in builds by the other Go versions.
func TestDynVersions(t *testing.T) {
	if !*long {
		t.Skip("needs -long: downloads the toolchains ", strings.Join(toolchains, ", "))
	}
	for _, tc := range toolchains {
		for i, flags := range [][]string{{"-buildmode=exe"}, {"-buildmode=pie", "-ldflags=-s -w"}} {
			v := dynVariants[i]
			t.Run(tc+" "+flags[0], func(t *testing.T) {
				var r dynReport
				bin := build(t, []string{"GOTOOLCHAIN=" + tc}, append([]string{retpolines}, flags...)...)
				run(t, &r, bin, "dyn", "-strategy", v.strategy, "-backend", v.backend, "-limit", "10s")
				r.check(t)
			})
		}
	}
}

// TestDynMillion counts relearnings under load: the collector frees the stubs. What they
// take must not grow.
func TestDynMillion(t *testing.T) {
	if testing.Short() {
		t.Skip("short: hammers")
	}
	n := *relearningsFlag
	switch {
	case n == 0 && *long:
		n = 1_000_000
	case n == 0:
		n = 20_000
	}
	var r dynReport
	run(t, &r, build(t, nil, retpolines, "-buildmode=exe"), "dyn", "-relearnings", fmt.Sprint(n), "-limit", "9m", "-functions", "main.*",
		"-seed", "7", "-noise", "gc,procs,memstats,keys,calls")
	r.check(t)
	if r.Relearnings < uint64(n) {
		t.Errorf("%d relearnings, expected %d", r.Relearnings, n)
	}
	if r.Status.Counters.GraceStops > r.Status.Counters.Batches/10 {
		t.Errorf("the world was stopped %d times for stubs in %d batches, although it stops for the collector", r.Status.Counters.GraceStops, r.Status.Counters.Batches)
	}
}

// TestDynNoGC: in a program that never collects the world is stopped for the stubs, when
// enough of them wait.
func TestDynNoGC(t *testing.T) {
	if testing.Short() {
		t.Skip("short: hammers")
	}
	var r dynReport
	run(t, &r, build(t, nil, retpolines, "-buildmode=exe"), "dyn", "-relearnings", "15000", "-limit", "2m", "-functions", "main.*",
		"-seed", "1", "-noise", "none", "-quick", "-nogc", "-workers", "2", "-backend", "procmem")
	r.check(t)
	c := r.Status.Counters
	if c.GraceStops == 0 {
		t.Error("the world was never stopped")
	}
	// Three of the batch, which goes by int3 on this backend, and before it one for its new stubs;
	// that of Stop has none.
	if c.Syncs < 4*c.Batches-1-c.Batches/10 {
		t.Errorf("%d syncs in %d batches, expected four in each", c.Syncs, c.Batches)
	}
}

var flatShare = regexp.MustCompile(`(?m)^ *\S+ +([0-9.]+)% +\S+ +\S+ +\S+ +(\S+)`)

// TestDynPprof: samples belong to the functions that ran, but for those inside of stubs.
func TestDynPprof(t *testing.T) {
	if testing.Short() {
		t.Skip("short: hammers")
	}
	for _, mode := range []string{"exe", "pie"} {
		t.Run(mode, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cpu")
			bin := build(t, nil, retpolines, "-buildmode="+mode)
			var r dynReport
			run(t, &r, bin, "dyn", "-limit", "3s", "-noise", "gc,exec", "-functions", "main.*", "-profile", file)
			r.check(t)
			out, err := exec.Command("go", "tool", "pprof", "-top", "-nodecount=1000", "-nodefraction=0", bin, file).CombinedOutput()
			if err != nil {
				t.Fatalf("go tool pprof: %v\n%s", err, tail(string(out)))
			}
			share := map[string]float64{}
			for _, m := range flatShare.FindAllStringSubmatch(string(out), -1) {
				percent, _ := strconv.ParseFloat(m[1], 64)
				name, _, _ := strings.Cut(m[2], "[") // all copies of a generic function
				if strings.HasPrefix(name, "main.site") {
					name = "main.site"
				}
				share[name] += percent
			}
			// What the runtime calls code that is not Go's: above the text, and below it (PIE).
			stubs := share["runtime._ExternalCode"] + share["<unknown>"]
			t.Logf("stubs %.1f%%, callees %.1f%%, of %d names", stubs, share["main.(*tag"], len(share))
			for _, want := range []string{"main.(*tag", "main.site", "main.(*dynCaller).round"} {
				if share[want] == 0 {
					t.Errorf("no sample in %s:\n%s", want, tail(string(out)))
				}
			}
			if stubs == 0 || stubs > 60 { // every call is counted, by stubs that traps lead to
				t.Errorf("%.1f%% of all samples lie in stubs", stubs)
			}
		})
	}
}

// TestDynNoRetpolines: a program that was built without them is told how to build.
func TestDynNoRetpolines(t *testing.T) {
	out, err := exec.Command(build(t, nil), "dyn", "-limit", "1s").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no retpolines in this program") || !strings.Contains(string(out), retpolines) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestDynEnvironment: so does QUIETPATCH_BACKEND=none, which is no error; Stats says it.
func TestDynEnvironment(t *testing.T) {
	cmd := exec.Command(build(t, nil, retpolines, "-buildmode=exe"), "dynfail")
	cmd.Env = append(os.Environ(), "QUIETPATCH_BACKEND=none")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"start":"","stop":""`) || !strings.Contains(string(out), `"error":"backend none was chosen"`) {
		t.Errorf("%v: %s", err, out)
	}
}
