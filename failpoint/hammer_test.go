package failpoint

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch"
)

var (
	hammerA, hammerB, sitePoint Point

	_ = Register(&hammerA, "test/hammer.a", "of hammer_test.go")
	_ = Register(&hammerB, "test/hammer.b", "of hammer_test.go")
	_ = Register(&sitePoint, "test/site", "of hammer_test.go")
)

//go:noinline
func evalHammer() (a, b int) {
	if v, ok := hammerA.Eval(); ok {
		a, _ = v.Int()
	}
	if v, ok := hammerB.Eval(); ok {
		b, _ = v.Int()
	}
	return a, b
}

// TestHammer flips two points under evaluations. What a reader does after a
// change returned, by the clock, follows it: readers publish that they began
// after a phase was announced, and check what they saw.
func TestHammer(t *testing.T) {
	if err := Allow(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(2 * time.Second)
	if testing.Short() {
		deadline = time.Now().Add(300 * time.Millisecond)
	}
	// phase: odd while a change is under way; (phase/2)%3 says which values hold.
	var phase atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	var evals atomic.Int64
	want := [3]int{0, 1, 2}
	for range 3 {
		wg.Go(func() {
			for !stop.Load() {
				before := phase.Load()
				a, b := evalHammer()
				if after := phase.Load(); before == after && before%2 == 0 {
					evals.Add(1)
					if w := want[before/2%3]; a != w || b != w {
						t.Errorf("phase %d: got %d, %d, expected %d", before, a, b, w)
						return
					}
				}
			}
		})
	}
	step := []func() error{
		func() error { return errors.Join(Disable("test/hammer.a"), Disable("test/hammer.b")) },
		func() error { return Set("test/hammer.a=return(1);test/hammer.b=return(1)") },
		func() error { return Set("test/hammer.a=return(2);test/hammer.b=100%return(2)") },
	}
	for n := int64(1); time.Now().Before(deadline); n++ {
		phase.Add(1)
		if err := step[n%3](); err != nil {
			t.Error(err)
			break
		}
		phase.Add(1)
		// A reader needs a moment that is long enough for a whole evaluation.
		checked, start := evals.Load(), time.Now()
		for evals.Load() == checked && time.Since(start) < time.Millisecond {
			runtime.Gosched()
		}
	}
	stop.Store(true)
	wg.Wait()
	if err := Forbid(); err != nil {
		t.Error(err)
	}
	t.Logf("%d changes, %d checked evaluations", phase.Load()/2, evals.Load())
	if evals.Load() == 0 {
		t.Error("nothing was checked")
	}
}

// atSite holds the only check of sitePoint: Eval must be inlined into it.
//
//go:noinline
func atSite() int {
	if v, ok := sitePoint.Eval(); ok {
		i, _ := v.Int()
		return i
	}
	return 0
}

//go:noinline
func atSiteContext(ctx context.Context) int {
	if v, ok := sitePoint.EvalContext(ctx); ok {
		i, _ := v.Int()
		return i
	}
	return 0
}

// TestSite: a check is a site of the function that calls Eval, and it is armed.
func TestSite(t *testing.T) {
	if err := Allow(); err != nil {
		t.Fatal(err)
	}
	if err := Enable("test/site", "return(3)"); err != nil {
		t.Fatal(err)
	}
	if got := atSite() + atSiteContext(t.Context()); got != 6 {
		t.Errorf("on: got %d", got)
	}
	s := quietpatch.Status()
	if s.Mode != "live" {
		t.Skipf("keys are read from memory: %s", s.Reason)
	}
	sites, err := sitePoint.on.Sites()
	if err != nil {
		t.Fatal(err)
	}
	const pkg = "github.com/quietpatch/quietpatch/failpoint."
	want := map[string]bool{pkg + "atSite": true, pkg + "atSiteContext": true}
	for _, s := range sites {
		// Of an inlined function, Entry is that of the one around it.
		inlined := runtime.FuncForPC(uintptr(s.Addr))
		fn := runtime.FuncForPC(inlined.Entry()).Name()
		if !want[fn] || s.State != "armed" {
			t.Errorf("site in %s, %s %s", fn, s.State, s.Why)
		}
		delete(want, fn)
	}
	if len(want) != 0 {
		t.Errorf("no site in %v", want)
	}
	if err := Disable("test/site"); err != nil || atSite() != 0 {
		t.Errorf("off: %v", err)
	}
}
