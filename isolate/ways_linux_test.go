package isolate_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/statickey"
)

func init() {
	scenarios["ways"] = scenarioWays
	scenarios["owed"] = scenarioOwed
	scenarios["unlocked"] = scenarioUnlocked
}

func TestWays(t *testing.T)      { scenario(t, nil, "ways") }
func TestWays2Bits(t *testing.T) { scenario(t, []string{"QUIETPATCH_CONTEXT_BITS=2"}, "ways") }
func TestOwed(t *testing.T)      { scenario(t, nil, "owed") }
func TestUnlocked(t *testing.T)  { scenario(t, nil, "unlocked") }

var states = []string{"KERNEL", "IDLE", "USER", "GUEST"}

// call calls f in a state.
func call(t *isolate.Thread, state string, f func()) {
	switch state {
	case "KERNEL":
		t.Kernel(f)
	case "IDLE":
		t.Idle(f)
	case "USER":
		t.User(f)
	case "GUEST":
		t.Guest(f)
	}
}

// exits are the ways out of a function.
var exits = []string{"return", "panic that Run's caller sees", "panic", "Goexit", "error of the runtime"}

var errExit = errors.New("on purpose")

func leave(how string) {
	switch how {
	case "panic", "panic that Run's caller sees":
		panic(errExit)
	case "Goexit":
		runtime.Goexit()
	case "error of the runtime":
		var p *int
		*p = 1 // SIGSEGV, which BlockSignals leaves open
	}
}

// scenarioWays goes from each state to each other one and leaves that by each way.
func scenarioWays(c *child) {
	c.reserve()
	n := 0
	for _, o := range []isolate.Options{{}, {BlockSignals: true}, {BlockSignals: true, DeferIdle: true}} {
		for _, from := range states {
			for _, to := range states {
				for _, how := range exits {
					c.tryWay(o, from, to, how)
					n++
				}
			}
		}
	}
	if left := c.thread(); left.TID != 0 || left.State != "KERNEL" || len(problems()) > 0 {
		fail("after %d ways: %+v, problems %q", n, left, problems())
	}
}

func (c *child) tryWay(o isolate.Options, from, to, how string) {
	what := fmt.Sprintf("%+v: from %s to %s and out by %s", o, from, to, how)
	shown := func(state string) string {
		if state == "IDLE" && !o.DeferIdle {
			return "KERNEL"
		}
		return state
	}
	var saw []string
	c.outside(what, how, func() {
		see := func() { saw = append(saw, c.thread().State) }
		c.run(o, func(t *isolate.Thread) {
			see()
			defer see() // also when the runtime ends the goroutine
			call(t, from, func() {
				defer see()
				if how == "panic" || how == "error of the runtime" {
					defer func() {
						if recover() == nil {
							fail("%s: no panic", what)
						}
					}()
				}
				call(t, to, func() {
					defer see()
					leave(how)
				})
			})
		})
	})
	want := []string{"USER", shown(to), shown(from), "USER"}
	if !slices.Equal(saw, want) {
		fail("%s: saw the states %v, expected %v", what, saw, want)
	}
}

// outside runs f, which isolates its goroutine and leaves by the way that how says, on
// a thread, and expects the thread to be as it was.
func (c *child) outside(what, how string, f func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		before := ownMasks()
		defer func() {
			if after := ownMasks(); after != before {
				fail("%s: the thread had %+v, and has %+v now", what, before, after)
			}
			if tid := c.thread().TID; tid != 0 {
				fail("%s: thread %d is still registered", what, tid)
			}
		}()
		if how == "panic that Run's caller sees" {
			defer func() {
				if r := recover(); r != errExit {
					fail("%s: the caller of Run recovers %v", what, r)
				}
			}()
		}
		f()
		if how == "Goexit" || how == "panic that Run's caller sees" {
			fail("%s: it returned", what)
		}
	}()
	<-ended
}

// owedKey is for its sync alone.
var owedKey statickey.Bool

//go:noinline
func owedCheck() bool { return owedKey.Enabled() }

// debtor is an isolated thread that others leave work for.
type debtor struct {
	*child
	asked, changed chan struct{}
	keys           bool // flips of keys are left to it; unmapping always is
}

// changer flips the key whenever it is asked.
func (d *debtor) changer() {
	for on := false; ; on = !on {
		<-d.asked
		must(owedKey.Set(on))
		d.changed <- struct{}{}
	}
}

func (d *debtor) flip() {
	d.asked <- struct{}{}
	<-d.changed
}

func (d *debtor) catchUps() uint64 { return d.thread().CatchUps }

// borrow, in isolation, lets others leave both kinds of work, and returns how often the thread
// has caught up so far.
func (d *debtor) borrow() uint64 {
	before := d.thread()
	waiting := isolate.Status().Unmaps.Waiting
	d.flip()
	must(isolate.Unmap(mapping(1)))
	after := d.thread()
	if got := isolate.Status().Unmaps.Waiting - waiting; got != 1 || d.keys && after.Deferred == before.Deferred {
		fail("in %s: %d unmaps wait, expected 1; syncs left to the thread went from %d to %d", after.State, got, before.Deferred, after.Deferred)
	}
	if after.CatchUps != before.CatchUps {
		fail("in isolation: caught up %d times", after.CatchUps-before.CatchUps)
	}
	return after.CatchUps
}

// paid is called first thing on the way back.
func (d *debtor) paid(what string, before uint64) {
	if got := d.catchUps() - before; got != 1 {
		fail("%s: ordinary code runs, and the thread has caught up %d times, expected once", what, got)
	}
	if n := isolate.Status().Unmaps.Waiting; n != 0 {
		fail("%s: ordinary code runs, and %d mappings wait to be unmapped", what, n)
	}
}

// scenarioOwed: what is owed has been done before ordinary code runs, by every way back.
func scenarioOwed(c *child) {
	c.reserve()
	must(owedKey.Set(true))
	d := &debtor{child: c, asked: make(chan struct{}), changed: make(chan struct{})}
	go d.changer()
	c.run(isolate.Options{}, func(*isolate.Thread) {
		var why string
		if d.keys, why = spares(); !d.keys {
			fmt.Println("flips are not left to isolated threads: " + why)
		}
	})
	for _, state := range []string{"USER", "GUEST", "IDLE"} {
		d.tryWaysBack(state)
	}
	for _, how := range []string{"return", "panic that Run's caller sees", "Goexit"} {
		var before uint64
		d.outside("owed", how, func() {
			defer func() { d.paid("the caller of Run after "+how, before) }()
			d.run(isolate.Options{}, func(*isolate.Thread) {
				before = d.borrow()
				leave(how)
			})
		})
	}
	if t := c.thread(); t.Violations > 0 || len(problems()) > 0 {
		fail("%+v, problems %q", t, problems())
	}
	_ = owedCheck()
}

// tryWaysBack goes from a state of isolation to KERNEL.
func (d *debtor) tryWaysBack(state string) {
	d.run(isolate.Options{DeferIdle: true}, func(t *isolate.Thread) {
		ways := map[string]func(f func()){
			"t.Kernel": t.Kernel, "isolate.Kernel": isolate.Kernel,
			"Kernel of Kernel": func(f func()) { t.Kernel(func() { t.Kernel(f) }) },
		}
		for name, way := range ways {
			call(t, state, func() {
				before := d.borrow()
				way(func() { d.paid(name+" in "+state, before) })
				if again := d.catchUps(); again != before+1 {
					fail("%s in %s: caught up %d times", name, state, again-before)
				}
			})
		}
		for _, how := range exits[:3] { // back by leaving the state
			t.Kernel(func() {
				var before uint64
				defer func() { d.paid("back from "+state+" by "+how, before) }()
				defer func() { _ = recover() }()
				call(t, state, func() {
					before = d.borrow()
					leave(how)
				})
			})
		}
		t.Kernel(func() { // KERNEL is not spared
			before := d.thread()
			d.flip()
			if after := d.thread(); after.Deferred != before.Deferred || after.CatchUps != before.CatchUps {
				fail("in KERNEL: %+v became %+v by a flip", before, after)
			}
		})
	})
}

// locked reports whether the goroutine is locked to its thread.
func locked() bool {
	b := make([]byte, 1<<10)
	header, _, _ := strings.Cut(string(b[:runtime.Stack(b, false)]), "\n")
	return strings.Contains(header, "locked to thread")
}

// scenarioUnlocked: Run locks the goroutine, and unlocks it again.
func scenarioUnlocked(c *child) {
	c.reserve()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.run(isolate.Options{}, func(t *isolate.Thread) {
			if !locked() || t.CPU() != c.cpu {
				fail("locked to its thread: %v, CPU %d", locked(), t.CPU())
			}
			var set unix.CPUSet
			must(unix.SchedGetaffinity(0, &set))
			if set.Count() != 1 || !set.IsSet(c.cpu) {
				fail("the thread's CPUs are %+v", set)
			}
		})
		if locked() {
			fail("still locked to its thread")
		}
		func() {
			defer func() { _ = recover() }()
			c.run(isolate.Options{}, func(*isolate.Thread) { panic(errExit) })
		}()
		if locked() {
			fail("still locked to its thread after a panic")
		}
	}()
	<-ended
	// Threads that ran isolated goroutines that ended go back to the runtime.
	for range 8 {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.run(isolate.Options{BlockSignals: true}, func(*isolate.Thread) { runtime.Goexit() })
		}()
		<-ended
	}
	c.wantNobodyOn("after Goexit")
}

// wantNobodyOn expects that no thread may run on the CPU.
func (c *child) wantNobodyOn(what string) {
	tasks, err := os.ReadDir("/proc/self/task")
	must(err)
	for _, task := range tasks {
		var tid int
		_, err := fmt.Sscan(task.Name(), &tid)
		must(err)
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(tid, &set); err == nil && set.IsSet(c.cpu) {
			failAt(1, "%s: thread %d may run on CPU %d", what, tid, c.cpu)
		}
	}
}
