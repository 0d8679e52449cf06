//go:build linux && amd64

package e2e

import (
	"flag"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/staticcall"
)

var callsFlag = flag.Int("calls", 0, "make so many runs of TestCallsHammer, of 100,000 updates each, instead of short ones")

// callsReport is what `prog calls` prints.
type callsReport struct {
	Updates  int
	Kinds    map[string]int
	Calls    uint64
	Verified uint64
	Overlaps uint64
	Wrong    uint64
	First    string
	Poisoned uint64
	Sites    int
	Armed    int
	Others   []string
	Status   quietpatch.State
	Seconds  float64
}

func (r *callsReport) check(t *testing.T, updates int) {
	t.Helper()
	c := r.Status.Counters
	t.Logf("%d updates (%v) in %.1f s (%s on %s), %d calls, %d verified, %d overlapped; %d closures were collected; %d syncs, %d trap hits, %d late, %d retried, %d grace stops",
		r.Updates, r.Kinds, r.Seconds, r.Status.Strategy, r.Status.Backend, r.Calls, r.Verified, r.Overlaps, r.Poisoned,
		c.Syncs, c.TrapHits, c.TrapLate, c.TrapRetried, c.GraceStops)
	live(t, r.Status)
	if r.Wrong != 0 {
		t.Errorf("%d wrong calls; the first: %s", r.Wrong, r.First)
	}
	if r.Updates != updates || r.Verified < uint64(r.Updates) {
		t.Errorf("%d updates, expected %d; %d calls verified", r.Updates, updates, r.Verified)
	}
	for _, kind := range []string{"nil", "plain", "closure", "method"} {
		if r.Kinds[kind] == 0 {
			t.Errorf("no function of the kind %s was installed: %v", kind, r.Kinds)
		}
	}
	if r.Armed < callsArmedMin || len(r.Others) != 0 {
		t.Errorf("%d of %d sites are armed, expected %d or more, and all; not %v", r.Armed, r.Sites, callsArmedMin, r.Others)
	}
	if r.Poisoned == 0 {
		t.Error("no closure was collected: that none is collected too early is not tested")
	}
	if c.TrapForeign != 0 || len(r.Status.Problems) != 0 {
		t.Errorf("status %+v", r.Status)
	}
}

// callsArmedMin is how many call sites prog has at least.
const callsArmedMin = 10

var callsVariants = []struct {
	strategy, backend string
	updates           int
}{
	{"store", "alias", 1000},
	{"int3", "procmem", 1000},
	{"int3", "alias", 1000},
	{"one-at-a-time", "procmem", 300},
	{"one-at-a-time", "alias", 300},
	{"store", "procmem", 1000}, // all but single bytes by int3
}

// TestCallsHammer: eight goroutines call while plain functions, closures, method values
// and nil take turns, and stacks grow, and the collector runs. Every call must be answered
// by a function that was the one at some time during it.
func TestCallsHammer(t *testing.T) {
	if *callsFlag > 0 {
		callsFull(t, *callsFlag)
		return
	}
	if testing.Short() {
		t.Skip("short: hammers")
	}
	for _, v := range callsVariants {
		t.Run(v.strategy+" "+v.backend, func(t *testing.T) {
			var r callsReport
			run(t, &r, build(t, nil), "calls", "-strategy", v.strategy, "-backend", v.backend, "-updates", fmt.Sprint(v.updates), "-limit", "5m")
			r.check(t, v.updates)
			if v.strategy != "store" && r.Status.Counters.TrapHits == 0 {
				t.Error("no thread ran into a trap byte: the hammer does not hit")
			}
		})
	}
}

// callsFull is the test that the libraries which patch functions were put to, with 100,000
// updates, not 20,000.
func callsFull(t *testing.T, runs int) {
	const updates = 100_000
	clean := 0
	for i := range runs {
		v := callsVariants[i%len(callsVariants)]
		ok := t.Run(fmt.Sprintf("%d %s %s", i+1, v.strategy, v.backend), func(t *testing.T) {
			var r callsReport
			args := []string{"calls", "-strategy", v.strategy, "-backend", v.backend, "-updates", fmt.Sprint(updates), "-limit", "9m", "-seed", fmt.Sprint(i + 1)}
			switch i % 4 {
			case 1:
				args = append(args, "-profile")
			case 2:
				args = append(args, "-storm")
			}
			run(t, &r, build(t, nil), args...)
			r.check(t, updates)
		})
		if ok {
			clean++
		}
	}
	t.Logf("%d of %d runs were clean", clean, runs)
}

// TestCallsDisturbed: the same under a profiler's signals, and with a collection, hence
// preemptions of everything, all the time.
func TestCallsDisturbed(t *testing.T) {
	if testing.Short() {
		t.Skip("short: hammers")
	}
	for _, disturb := range []string{"-profile", "-storm"} {
		for _, c := range [][2]string{{"int3", "procmem"}, {"store", "alias"}} {
			t.Run(disturb+" "+c[0]+" "+c[1], func(t *testing.T) {
				var r callsReport
				run(t, &r, build(t, nil), "calls", "-strategy", c[0], "-backend", c[1], "-updates", "500", "-limit", "5m", disturb)
				r.check(t, 500)
			})
		}
	}
}

// TestCallsFail: batches that fail in the middle, when threads have entered the new
// functions already. Every call must go where it went before, and what was made for the
// failed update must not go away under the threads.
func TestCallsFail(t *testing.T) {
	updates := 1000
	if testing.Short() {
		updates = 100
	}
	var r struct {
		callsReport
		Failed  int
		Message string
		Before  int
	}
	run(t, &r, build(t, nil), "callsfail", "-updates", fmt.Sprint(updates))
	live(t, r.Status)
	t.Logf("%d of %d updates failed, after up to %d sites; %d calls, %d closures were collected", r.Failed, r.Updates, r.Before, r.Calls, r.Poisoned)
	if r.Wrong != 0 {
		t.Errorf("%d wrong calls; the first: %s", r.Wrong, r.First)
	}
	if r.Failed < updates/3 || r.Failed == r.Updates {
		t.Errorf("%d of %d updates failed: %s", r.Failed, r.Updates, r.Message)
	}
	for _, want := range []string{"static call", "prog.note", "old value", "main."} {
		if !strings.Contains(r.Message, want) {
			t.Errorf("the error lacks %q: %s", want, r.Message)
		}
	}
	if r.Status.Counters.TrapForeign != 0 {
		t.Errorf("status %+v", r.Status)
	}
}

// callsSitesReport is what `prog callsites` prints.
type callsSitesReport struct {
	Calls  []staticcall.Info
	Sites  map[string][]staticcall.Site
	RWX    []string
	Status quietpatch.State
}

// callsEmitted is what the compiler makes of the callers in prog/calls.go.
var callsEmitted = map[string]string{
	"prog.work main.callOnce": "call", "prog.work main.callThrice": "call call call", "prog.work main.callDeferred.func1": "call",
	"prog.work main.callLoop": "call", "prog.note main.callNote": "call", "prog.note main.callNoteMethod": "call",
	"prog.note main.callNoteDeferred.func1.deferwrap1": "call", "prog.note main.(*marks).Note": "jump",
}

// TestCallsVariants hammers the calls in builds of every kind. In all of them the same
// sites are found.
func TestCallsVariants(t *testing.T) {
	if testing.Short() {
		t.Skip("short: compiles the standard library several times")
	}
	for _, v := range []variant{
		{name: "default"},
		{name: "pie", flags: []string{"-buildmode=pie"}},
		{name: "retpolines", flags: []string{"-gcflags=all=-spectre=ret"}},
		{name: "pie stripped retpolines", flags: []string{"-buildmode=pie", "-ldflags=-s -w", "-gcflags=all=-spectre=ret"}},
		{name: "external cgo", env: []string{"CGO_ENABLED=1"}, flags: []string{"-tags=withcgo", "-ldflags=-linkmode=external"}},
		{
			name: "external cgo pie", env: []string{"CGO_ENABLED=1"},
			flags: []string{"-tags=withcgo", "-buildmode=pie", "-ldflags=-linkmode=external"},
		},
		{name: "GOAMD64=v3", env: []string{"GOAMD64=v3"}},
		{name: "no optimization", flags: []string{"-gcflags=all=-N -l"}, slow: true},
		{name: "race", env: []string{"CGO_ENABLED=1"}, flags: []string{"-race"}, memory: true},
	} {
		t.Run(v.name, func(t *testing.T) { tryCalls(t, v) })
	}
}

// TestCallsVersions does the same for the other Go versions.
func TestCallsVersions(t *testing.T) {
	if !*long {
		t.Skip("needs -long: downloads the toolchains ", strings.Join(toolchains, ", "))
	}
	for _, tc := range toolchains {
		env := []string{"GOTOOLCHAIN=" + tc}
		for _, v := range []variant{
			{name: "default"},
			{name: "pie stripped", flags: []string{"-buildmode=pie", "-ldflags=-s -w"}},
			{name: "retpolines", flags: []string{"-gcflags=all=-spectre=ret"}},
		} {
			v.env = env
			t.Run(tc+" "+v.name, func(t *testing.T) { tryCalls(t, v) })
		}
	}
}

func tryCalls(t *testing.T, v variant) {
	bin := build(t, v.env, v.flags...)
	var s callsSitesReport
	run(t, &s, bin, "callsites")
	if v.memory {
		if s.Status.Mode != "memory" {
			t.Errorf("mode %s, expected memory", s.Status.Mode)
		}
	} else {
		live(t, s.Status)
		if len(s.RWX) != 0 {
			t.Errorf("writable and executable: %q", s.RWX)
		}
	}
	if !v.memory && !v.slow {
		checkCallsEmitted(t, &s)
	}
	for _, strategy := range []string{"store", "int3"} {
		var r callsReport
		run(t, &r, bin, "calls", "-strategy", strategy, "-updates", "200", "-limit", "5m")
		if r.Wrong != 0 || r.Updates != 200 {
			t.Errorf("%s: %d updates, %d wrong: %s", strategy, r.Updates, r.Wrong, r.First)
		}
	}
	out, err := exec.Command(bin, "callspanic").CombinedOutput()
	for _, want := range []string{"panic: in the callee", "main.panicInCallee(", "main.callsPanic.func1(", "main.callOnce(", "main.callsPanic(", "main.main()"} {
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("a panic in a callee: %v; the traceback lacks %q:\n%s", err, want, out)
		}
	}
}

func checkCallsEmitted(t *testing.T, s *callsSitesReport) {
	t.Helper()
	found := map[string][]string{}
	for name, sites := range s.Sites {
		for _, site := range sites {
			if site.State != "armed" {
				t.Errorf("%s:%d %s (%s) is not armed: %s", site.File, site.Line, site.Func, site.Form, site.Why)
			}
			where := name + " " + site.Func
			found[where] = append(found[where], site.Form)
		}
	}
	for _, where := range slices.Sorted(maps.Keys(callsEmitted)) {
		if got := strings.Join(found[where], " "); got != callsEmitted[where] {
			t.Errorf("%s: sites %q, expected %q", where, got, callsEmitted[where])
		}
	}
	if len(s.Calls) != 2 || s.Calls[0].Target == "" || s.Calls[0].Sites != s.Calls[0].Armed {
		t.Errorf("calls %+v", s.Calls)
	}
}
