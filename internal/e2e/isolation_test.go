//go:build linux && amd64

package e2e

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
)

// twoCPUs skips where no thread can have a CPU for itself.
func twoCPUs(t *testing.T) {
	t.Helper()
	if n := runtime.NumCPU(); n < 2 {
		t.Skipf("needs 2 CPUs that the process may run on, has %d", n)
	}
}

// spared skips what counts syncs that were left to a thread where none can be.
func spared(t *testing.T, s quietpatch.State, why string) {
	t.Helper()
	live(t, s)
	if why != "" {
		t.Skip("nothing was wrong, but nobody can be spared: ", why)
	}
}

// runBits is run with a narrow counter in the context words, or as the suite runs.
func runBits(t *testing.T, bits string, result any, bin string, args ...string) {
	t.Helper()
	if bits != "" {
		t.Setenv("QUIETPATCH_CONTEXT_BITS", bits)
	}
	run(t, result, bin, args...)
}

// isolatedReport is what `prog isolated` prints.
type isolatedReport struct {
	Flips, Updates, Sessions, Rounds, Verified, Wrong, Sealed, Deferred uint64

	CatchUps     uint64 `json:"catch_ups"`
	First        string
	Steps, Noise map[string]int
	Why, Text    string
	Seconds      float64
	Status       quietpatch.State
}

type isolationVariant struct {
	strategy, backend, bits string
	noGC                    bool
}

var isolationVariants = []isolationVariant{
	{"int3", "procmem", "2", false},
	{"store", "alias", "", false},
	{"int3", "alias", "", false},
	{"store", "procmem", "2", false},
	{"store", "alias", "", true},
}

// TestIsolationHammer: a thread goes in and out of isolation at random, by every way there
// is, while others flip keys, update calls, unmap memory, collect garbage, send signals,
// disarm and arm. What it sees outside of isolation is exact, and in the end the text
// is the file's again.
func TestIsolationHammer(t *testing.T) {
	twoCPUs(t)
	limit, variants := 3*time.Second, isolationVariants
	switch {
	case *long:
		limit = time.Minute
	case testing.Short():
		limit, variants = time.Second, variants[:2]
	}
	bin := build(t, nil)
	for i, v := range variants {
		t.Run(fmt.Sprintf("%s %s bits=%s nogc=%v", v.strategy, v.backend, v.bits, v.noGC), func(t *testing.T) {
			var r isolatedReport
			runBits(t, v.bits, &r, bin, "isolated", "-strategy", v.strategy, "-backend", v.backend, "-for", limit.String(), "-seed", fmt.Sprint(i+1),
				fmt.Sprint("-nogc=", v.noGC))
			r.check(t, v)
		})
	}
}

func (r *isolatedReport) check(t *testing.T, v isolationVariant) {
	t.Helper()
	i := r.Status.Isolation
	t.Logf("%d flips and %d updates in %.1f s; %d sessions, %d rounds in KERNEL, %d verified in all; %d syncs were left to the thread, it caught up %d times; "+
		"%d syncs by CPU, %d repeated, %d unspared; unmaps %+v; %d trap hits, %d late, %d looks at all threads, %d stops for stubs; steps %v, noise %v",
		r.Flips, r.Updates, r.Seconds, r.Sessions, r.Rounds, r.Verified, r.Deferred, r.CatchUps,
		i.SyncsByCPU, i.SyncsRepeated, i.SyncsUnspared, i.Unmaps, r.Status.Counters.TrapHits, r.Status.Counters.TrapLate,
		r.Status.Counters.GraceVisits, r.Status.Counters.GraceStops, r.Steps, r.Noise)
	if r.Wrong != 0 || r.Sealed != 0 {
		t.Errorf("%d wrong, the first: %s; %d checks of a sealed key were wrong in isolation", r.Wrong, r.First, r.Sealed)
	}
	if r.Text != "" {
		t.Errorf("text differs from the file after Disarm: %s", r.Text)
	}
	if c := r.Status.Counters; c.TrapForeign != 0 || c.Fallbacks != 0 || i.Violations != 0 || i.Strays != 0 || len(r.Status.Problems) != 0 {
		t.Errorf("status %+v", r.Status)
	}
	if u := i.Unmaps; u.Waiting != 0 || u.WaitingBytes != 0 || u.Failed != 0 || u.Held != u.Released+u.Forced || u.Held == 0 {
		t.Errorf("nobody is isolated any more, and the unmaps are %+v", u)
	}
	if v.bits != "" && fmt.Sprint(i.ContextBits) != v.bits {
		t.Errorf("the counter has %d bits, expected %s", i.ContextBits, v.bits)
	}
	if min(r.Flips, r.Updates, r.Rounds, r.Verified) < 20 || r.Sessions < 2 {
		t.Error("too little happened for a hammer")
	}
	spared(t, r.Status, r.Why)
	if min(r.Deferred, r.CatchUps) < 20 {
		t.Errorf("%d syncs were left to the thread, and it caught up %d times", r.Deferred, r.CatchUps)
	}
	if v.noGC && r.Status.Counters.GraceVisits == 0 {
		t.Error("nobody looked at the threads to free stubs")
	}
}

// TestIsolationRace does it in a build with the race detector: nothing is patched there, the
// rest is as ever.
func TestIsolationRace(t *testing.T) {
	twoCPUs(t)
	if testing.Short() {
		t.Skip("short: compiles the standard library")
	}
	bin := build(t, []string{"CGO_ENABLED=1"}, "-race")
	var r isolatedReport
	run(t, &r, bin, "isolated", "-for", "2s") // fails if there is a data race
	if r.Wrong != 0 || r.Sealed != 0 || r.Status.Mode != "memory" || r.Why == "" || r.Sessions < 2 || r.Rounds < 20 {
		t.Errorf("%d wrong, the first: %s; %d checks of a sealed key were wrong; mode %s, %q; %d sessions, %d rounds",
			r.Wrong, r.First, r.Sealed, r.Status.Mode, r.Why, r.Sessions, r.Rounds)
	}
	if u := r.Status.Isolation.Unmaps; u.Held == 0 || u.Held != u.Released+u.Forced || u.Failed != 0 || len(r.Status.Problems) != 0 {
		t.Errorf("unmaps %+v, problems %q", u, r.Status.Problems)
	}
}

// TestViolation: a thread that breaks the contract makes checks and calls in isolation while
// they change. It sees what was set at some time, takes traps, is named, and never breaks.
func TestViolation(t *testing.T) {
	twoCPUs(t)
	limit := 2 * time.Second
	switch {
	case *long:
		limit = 30 * time.Second
	case testing.Short():
		limit = 500 * time.Millisecond
	}
	bin := build(t, nil)
	for _, args := range []string{
		"-strategy int3 -backend procmem",
		"-strategy int3 -backend alias -block",
		"-strategy int3 -arm",
		"-strategy store -backend alias",
	} {
		t.Run(args, func(t *testing.T) {
			var r struct {
				Flips, Updates, Arms, Rounds, Wrong uint64

				First, Why string
				Sites      int
				Places     map[string]uint64
				Thread     isolate.ThreadState
				Status     quietpatch.State
				Seconds    float64
				Overtime   bool
			}
			run(t, &r, bin, append(strings.Fields("violate "+args), "-for", limit.String())...)
			t.Logf("%d flips, %d updates, %d times armed in %.1f s; %d rounds in isolation, %+v; %d trap hits, %d late; places %v",
				r.Flips, r.Updates, r.Arms, r.Seconds, r.Rounds, r.Thread, r.Status.Counters.TrapHits, r.Status.Counters.TrapLate, r.Places)
			if r.Wrong != 0 {
				t.Errorf("%d wrong, the first: %s", r.Wrong, r.First)
			}
			if r.Flips == 0 || r.Updates == 0 || r.Rounds == 0 || (r.Arms == 0) == strings.Contains(args, "-arm") || r.Sites != 8 || r.Overtime {
				t.Errorf("%d flips, %d updates, %d rounds, armed %d times, %d sites; overtime %v", r.Flips, r.Updates, r.Rounds, r.Arms, r.Sites, r.Overtime)
			}
			if c := r.Status.Counters; c.TrapForeign != 0 || c.Fallbacks != 0 || len(r.Status.Problems) != 0 {
				t.Errorf("status %+v", r.Status)
			}
			for place := range r.Places {
				if !strings.HasPrefix(place, "main.violate") && !strings.HasPrefix(place, "main.call") && !strings.HasPrefix(place, "main.(*marks).Note") {
					t.Errorf("the thread does not run a site in %q", place)
				}
			}
			spared(t, r.Status, r.Why)
			// Nobody else runs the sites.
			c := r.Status.Counters
			if n := r.Thread.Violations; strings.Contains(args, "int3") && (n == 0 || 10*n < 9*c.TrapHits || n > c.TrapHits) ||
				(n > 0) != (r.Thread.Violated != "") || n != r.Status.Isolation.Violations {
				t.Errorf("%+v, %d violations in all", r.Thread, r.Status.Isolation.Violations)
			}
		})
	}
}

// TestQuiet lets quietpatch trace count what a program sends to the CPU of its isolated thread:
// flips cause no IPI while the thread is in USER, and one for each sync while it is in KERNEL.
func TestQuiet(t *testing.T) {
	twoCPUs(t)
	flips := 2000
	if testing.Short() {
		flips = 500
	}
	for _, kernel := range []bool{false, true} {
		var r struct {
			CPU, Flips int
			Share      float64
			Violations uint64
			Why        string
			Status     quietpatch.State
		}
		sent := traced(t, &r, build(t, nil), "quiet", "-flips", fmt.Sprint(flips), fmt.Sprint("-kernel=", kernel))
		spared(t, r.Status, r.Why)
		syncs, flushes := sent.to(r.CPU, "ipi_sync_core"), sent.to(r.CPU, "flush_tlb_func")
		t.Logf("in KERNEL %v: %d IPIs of syncs and %d of the TLB in %d flips; the thread had %.0f%% of the CPU", kernel, syncs, flushes, r.Flips, 100*r.Share)
		if r.Violations != 0 || r.Flips != flips || sent.Lost != 0 {
			t.Errorf("%d violations, %d flips, %d events lost", r.Violations, r.Flips, sent.Lost)
		}
		// Arming, before the thread is isolated, is some syncs. A CPU that runs another
		// process gets no IPI for this one.
		few, many := flips/100, int(r.Share*float64(flips)/2)
		switch {
		case !kernel && (syncs > few || flushes > few):
			t.Errorf("flips interrupt a thread in USER: expected %d IPIs of each kind at most, found %+v", few, sent.Rows)
		case kernel && syncs < many:
			t.Errorf("flips do not interrupt a thread in KERNEL: expected %d IPIs of syncs or more, found %+v", many, sent.Rows)
		}
	}
}

// TestGuest: a thread polls in C. What C calls back, and a C signal handler without SA_ONSTACK
// that calls Go, comes out of isolation once, sees exact values, and goes back in;
// collections do not wait for the loop.
func TestGuest(t *testing.T) {
	twoCPUs(t)
	bin := buildC(t)
	limit := 2 * time.Second
	switch {
	case *long:
		limit = 30 * time.Second
	case testing.Short():
		limit = 500 * time.Millisecond
	}
	for _, c := range []struct{ bits, args string }{
		{"2", "-strategy int3"}, {"", "-strategy int3 -block"}, {"", "-strategy store"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var r struct {
				Flips, Updates, Callbacks, Signals, Nested, Collections, Grants, Verified, Wrong uint64

				First, Why string
				Thread     isolate.ThreadState
				Status     quietpatch.State
			}
			runBits(t, c.bits, &r, bin, append(strings.Fields("guest "+c.args), "-for", limit.String())...)
			t.Logf("%d flips, %d updates; %d callbacks, %d signals, %d of them nested; %d collections, %d of them while C called nobody; %d verified; %+v",
				r.Flips, r.Updates, r.Callbacks, r.Signals, r.Nested, r.Collections, r.Grants, r.Verified, r.Thread)
			if r.Wrong != 0 {
				t.Errorf("%d wrong, the first: %s", r.Wrong, r.First)
			}
			if min(r.Flips, r.Updates, r.Callbacks, r.Signals, r.Nested, r.Grants, r.Verified) < 10 {
				t.Error("too little happened")
			}
			if s := r.Status; s.Counters.TrapForeign != 0 || s.Counters.Fallbacks != 0 || s.Isolation.Violations != 0 || len(s.Problems) != 0 {
				t.Errorf("status %+v", s)
			}
			spared(t, r.Status, r.Why)
			if min(r.Thread.Deferred, r.Thread.CatchUps) < 10 {
				t.Errorf("%+v", r.Thread)
			}
		})
	}
}

// buildC builds prog with its C parts.
func buildC(t *testing.T) string {
	t.Helper()
	cc, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(cc))
	if len(words) == 0 {
		t.Fatal("go env CC printed nothing")
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		t.Skip("needs a C compiler: ", err)
	}
	return build(t, []string{"CGO_ENABLED=1"}, "-tags=withcgo")
}
