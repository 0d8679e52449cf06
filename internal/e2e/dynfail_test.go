//go:build linux && amd64

package e2e

import (
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/dyncall"
)

// dynFailReport is what `prog dynfail` prints.
type dynFailReport struct {
	Start, Stop, Again     string
	Before, Stats, Stopped dyncall.Statistics
	Places                 struct{ Thunk, Stub, Else int }
	Wrong                  uint64
	First                  string
	Stubs                  []stubUse
	Status                 quietpatch.State
}

// TestDynFail takes away what patching needs, before anything is learned or later. Every
// call goes to its retpoline or to a whole stub, and where it should; the errors say why.
func TestDynFail(t *testing.T) {
	if testing.Short() {
		t.Skip("short: compiles the standard library")
	}
	for _, c := range []struct {
		args string
		mode string // of the learning: "live", "none", or "denied" in the middle
		why  string // in Stats
		stop string // in the error of Stop
	}{
		{"-calls pwrite64", "live", "", ""}, // by alias
		{"-calls memfd_create", "live", "", ""},
		{"-calls pwrite64,memfd_create", "none", "operation not permitted", ""},
		{"-calls membarrier", "none", "membarrier", ""},
		{"-calls rt_sigaction", "none", "rt_sigaction", ""},
		{"-backend none", "none", "backend none was chosen", ""},
		{"-disarm", "none", "quietpatch.Disarm was called", ""},
		{"-after -disarm", "none", "quietpatch.Disarm was called", ""},
		{"-after -calls pwrite64", "denied", "operation not permitted", "operation not permitted"},
		{"-after -calls membarrier", "denied", "operation not permitted", "operation not permitted"},
		{"-after -calls membarrier -backend alias", "denied", "operation not permitted", "operation not permitted"},
		{"-after -calls membarrier -strategy int3", "denied", "operation not permitted", "operation not permitted"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var r dynFailReport
			run(t, &r, build(t, nil, retpolines, "-buildmode=exe"), append([]string{"dynfail"}, strings.Fields(c.args)...)...)
			t.Logf("%+v", r)
			if r.Start != "" || r.Wrong != 0 || r.Places.Else != 0 {
				t.Errorf("Start: %q; %d wrong (%s); places %+v", r.Start, r.Wrong, r.First, r.Places)
			}
			if !r.Stats.Running || !strings.Contains(r.Stats.Error, c.why) || (c.why == "") != (r.Stats.Error == "") {
				t.Errorf("stats %+v, expected the error %q", r.Stats, c.why)
			}
			if (r.Stop == "") != (c.stop == "") || !strings.Contains(r.Stop, c.stop) || r.Stopped.Running != (r.Stop != "") {
				t.Errorf("Stop: %q, expected %q; then %+v", r.Stop, c.stop, r.Stopped)
			}
			switch {
			case c.mode == "none" && r.Stats.Promoted+r.Stats.Counting+r.Places.Stub != 0,
				c.mode == "live" && (r.Stats.Relearnings == 0 || r.Places.Stub != 0),
				c.mode == "denied" && (r.Places.Stub == 0 || r.Stats.Promoted == 0 || !strings.Contains(r.Again, "Stop first")):
				t.Errorf("%s: stats %+v, places %+v, again %q", c.mode, r.Stats, r.Places, r.Again)
			}
		})
	}
}

// TestDynForeign: a debugger's breakpoint on a call. That one is left alone; all others
// are learned.
func TestDynForeign(t *testing.T) {
	if testing.Short() {
		t.Skip("short: compiles the standard library")
	}
	for _, c := range []string{
		"-backend procmem", "-backend procmem -late", "-backend procmem -late -strategy int3",
		"-backend alias", // late the kernel lets nobody write there
	} {
		t.Run(c, func(t *testing.T) {
			var r struct {
				Promoted           bool
				State              string
				Stats              dyncall.Statistics
				Intact             bool
				Stop, Stands, Gone string
				Wrong              uint64
				First, Text        string
				Status             quietpatch.State
			}
			run(t, &r, build(t, nil, retpolines, "-buildmode=exe"), append([]string{"dynforeign"}, strings.Fields(c)...)...)
			t.Logf("%+v", r)
			late := strings.Contains(c, "-late")
			// On alias it is the page that may not move: its calls are tried again, all others are learned.
			refused := r.State == "refused" && r.Stats.Refused == 1 && r.Stats.Error == "" ||
				c == "-backend alias" && r.Stats.Refused == 0
			if !refused || r.Stats.Relearnings < 50 || r.Promoted != late {
				t.Errorf("state %q, promoted %v, stats %+v", r.State, r.Promoted, r.Stats)
			}
			if !r.Intact || r.Wrong != 0 || r.Stop != "" {
				t.Errorf("intact %v, %d wrong (%s), Stop: %q", r.Intact, r.Wrong, r.First, r.Stop)
			}
			if r.Gone != "" || r.Text != "" || (r.Stands != "") != late || (late && !strings.Contains(r.Stands, "found cc")) {
				t.Errorf("Disarm with the breakpoint: %q, without: %q; text: %q", r.Stands, r.Gone, r.Text)
			}
		})
	}
}

// TestDynUndo: batches that fail in the middle, when threads have entered the new stubs
// already. Those must not go away under the threads.
func TestDynUndo(t *testing.T) {
	if testing.Short() {
		t.Skip("short: hammers")
	}
	var r struct {
		Rounds, Failed int
		Message        string
		Places         struct{ Thunk, Stub, Else int }
		Calls, Before  int
		Wrong          uint64
		First          string
		Status         quietpatch.State
	}
	run(t, &r, build(t, nil, retpolines, "-buildmode=exe"), "dynundo", "-rounds", "50")
	live(t, r.Status)
	t.Logf("%+v", r)
	if r.Failed != r.Rounds || !strings.Contains(r.Message, "every site shows the old value") || r.Before < 300 {
		t.Errorf("%d of %d batches failed (%s), behind %d of %d calls", r.Failed, r.Rounds, r.Message, r.Before, r.Calls)
	}
	if r.Wrong != 0 || r.Places.Stub != 0 || r.Places.Else != 0 {
		t.Errorf("%d wrong (%s), places %+v", r.Wrong, r.First, r.Places)
	}
	if r.Status.Counters.TrapHits == 0 || r.Status.Counters.TrapForeign != 0 || r.Status.Stubs.Redirected != 0 || r.Status.Stubs.Stubs > stubsMax {
		t.Errorf("status %+v", r.Status)
	}
}
