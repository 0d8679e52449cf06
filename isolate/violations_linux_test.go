package isolate_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/statickey"
)

func init() { scenarios["violations"] = scenarioViolations }

// TestViolations: the traps of an isolated thread are counted, and nobody else's, on whatever CPU.
func TestViolations(t *testing.T) {
	for _, who := range []string{"isolated", "ordinary"} {
		t.Run(who, func(t *testing.T) { scenario(t, []string{"QUIETPATCH_STRATEGY=int3"}, "violations", who) })
	}
}

var violatedKey statickey.Bool

//go:noinline
func violatedCheck() {
	if violatedKey.Enabled() {
		spun.Add(1)
	}
}

// scenarioViolations: a thread checks a key that changes all the time, on the CPU of an isolated
// one, which is released: that one itself, or an ordinary one.
func scenarioViolations(c *child) {
	r := c.reserve()
	must(violatedKey.Set(true))
	if mode := quietpatch.Status().Mode; mode != "live" {
		skip("needs patched text, mode is " + mode)
	}
	own := c.args[0] == "isolated"
	var stop atomic.Bool
	isolated := c.apart(isolate.Options{}, func(*isolate.Thread) {
		for !stop.Load() {
			if own {
				violatedCheck()
			}
		}
	})
	must(r.Release())
	ordinary := make(chan struct{})
	if own {
		close(ordinary)
	} else {
		c.checkBeside(&stop, ordinary)
	}
	const enough = 20
	before := quietpatch.Status().Counters.TrapHits // of the thread that checks, from here on
	hits := func() uint64 { return quietpatch.Status().Counters.TrapHits - before }
	for on := false; hits() < enough; on = !on {
		must(violatedKey.Set(on))
	}
	state := c.thread().State
	stop.Store(true)
	<-isolated
	<-ordinary
	t, n := c.thread(), hits()
	fmt.Printf("%d traps, %+v\n", n, t)
	if own && (t.Violations < enough || !strings.Contains(t.Violated, "violatedCheck")) {
		fail("the isolated thread took %d traps: %+v", n, t)
	}
	if !own && (state != "USER" || t.Violations+isolate.Status().Violations != 0) {
		fail("the isolated thread, in %s, ran no check: %+v after %d traps of another thread", state, t, n)
	}
}

// checkBeside checks on the isolated thread's CPU, on a thread of its own, which ends then.
func (c *child) checkBeside(stop *atomic.Bool, ended chan<- struct{}) {
	there := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // for good
		var set unix.CPUSet
		set.Set(c.cpu)
		must(unix.SchedSetaffinity(0, &set))
		close(there)
		for !stop.Load() {
			violatedCheck()
		}
	}()
	<-there
}
