//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/grace"
	"github.com/quietpatch/quietpatch/internal/tracking"
	"github.com/quietpatch/quietpatch/internal/visit"
)

// isolated makes an isolated thread that runs Go code, until the test ends. It does what
// it is told.
func isolated(t testing.TB) (tell func(func(*deferral.Context))) {
	t.Helper()
	ready, orders, done := make(chan error), make(chan func(*deferral.Context)), make(chan bool)
	go func() {
		runtime.LockOSThread()
		c, err := deferral.Register(deferral.CPUsMax-1, unix.Gettid(), false)
		if err != nil {
			ready <- err
			return
		}
		c.Switch(tracking.User)
		ready <- nil
		for f := range orders {
			f(c)
			done <- true
		}
		c.Switch(tracking.Kernel)
		c.Unregister()
		close(done)
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(orders); <-done })
	return func(f func(*deferral.Context)) { orders <- f; <-done }
}

// cross has it come back and go out again.
func cross(c *deferral.Context) {
	c.Switch(tracking.Kernel)
	c.Switch(tracking.User)
}

// pretend has that many more stubs wait.
func (c *calls) pretend(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving += n
}

// retarget updates to a new closure that gives v.
func (c *calls) retarget(v int) {
	c.t.Helper()
	if err := c.update(closure(v)); err != nil {
		c.t.Fatal(err)
	}
	c.shows(v)
}

// TestVisit: with an isolated thread that runs Go code, stubs are freed by a look at all
// threads, once it has come back; what that did not help is tried again by the timer.
func TestVisit(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	c := newCalls(t, "int3")
	tell := isolated(t)
	c.retarget(5)
	const many = leavingMax + 100
	c.pretend(many)
	c.f.failVisit = visit.ErrUnseen
	c.retarget(6)
	if n := c.count; n.GraceVisits != 0 || c.f.freed != 0 {
		t.Errorf("a look that cannot help: %+v, %d stubs freed", n, c.f.freed)
	}
	tell(cross)
	c.retarget(7)
	if n := c.count; n.GraceVisits != 1 || n.GraceStops != 0 || c.f.freed != 0 {
		t.Errorf("a look that did not see everybody: %+v, %d stubs freed", n, c.f.freed)
	}
	c.f.failVisit = nil
	c.retarget(8)
	if n := c.count; n.GraceVisits != 1 || c.f.freed != 0 {
		t.Errorf("looked again at once: %+v, %d stubs freed", n, c.f.freed)
	}
	tell(cross)
	c.mu.Lock()
	c.reap()
	c.mu.Unlock()
	if n := c.count; n.GraceVisits != 2 || n.GraceStops != 0 || c.f.freed != 3 || c.inUse() != 1 {
		t.Errorf("after the timer: %+v, %d stubs freed, %d in use", n, c.f.freed, c.inUse())
	}
	if len(c.problems) != 0 {
		t.Errorf("problems: %q", c.problems)
	}
	c.pretend(-many)
}

// overs are ways to end a grace period.
var overs = map[string]func(t *testing.T, c *world){
	"a stop of the world": func(*testing.T, *world) { runtime.GC() },
	"a look": func(t *testing.T, c *world) {
		if err := grace.Look(func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	},
}

// TestHeld: an isolated thread may make a call that it should not make, and follow the old one
// for as long as it owes the sync. Neither a stop of the world nor a look frees a stub before it
// has come back, whatever state it was in.
func TestHeld(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for name, over := range overs {
		t.Run(name, func(t *testing.T) {
			c := newCalls(t, "int3")
			tell := isolated(t)
			c.retarget(5)
			c.retarget(6) // 5 is left
			over(t, c.world)
			c.retarget(7)
			tell(func(c *deferral.Context) { c.Switch(tracking.Guest); c.Switch(tracking.User) })
			over(t, c.world)
			c.retarget(8)
			if c.f.freed != 0 {
				t.Errorf("%d stubs freed, the thread was isolated all the time", c.f.freed)
			}
			tell(cross)
			over(t, c.world)
			c.retarget(9) // 8 is left
			if c.f.freed != 3 || c.leaving != 1 || len(c.k.callees.left) != 1 {
				t.Errorf("the thread was back: %d stubs freed, %d wait, of %d closures", c.f.freed, c.leaving, len(c.k.callees.left))
			}
			tell(func(c *deferral.Context) { c.Switch(tracking.Kernel) })
			c.retarget(10) // 9 is left, with the thread in KERNEL
			tell(func(c *deferral.Context) { c.Switch(tracking.User) })
			over(t, c.world)
			c.retarget(11)
			if c.f.freed != 5 {
				t.Errorf("%d stubs freed, the thread was in KERNEL when the last was left", c.f.freed)
			}
		})
	}
}

// TestHeldRedirect is the same for indirect calls, with a thread that ends.
func TestHeldRedirect(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	x := newIndirects(t, "int3")
	t.Run("", func(t *testing.T) {
		isolated(t)
		x.redirect(x.to(callTwo, 0))
		x.redirect(x.back(0))
		runtime.GC()
		x.redirect(x.to(callTwo, 1))
		if x.f.freed != 0 {
			t.Errorf("%d stubs freed, the thread was isolated all the time", x.f.freed)
		}
		x.mu.Lock()
		x.leaving += heldMax
		x.mu.Unlock()
		if out := x.redirect(x.to(callTwo, 2)); len(out.Unmade) != 1 || !strings.Contains(out.Why.Error(), "Thread.Kernel") {
			t.Errorf("beyond the bound: %+v", out)
		}
		x.gives(111 + 10*callTwo(0) - 10)
		x.leaving -= heldMax
	})
	runtime.GC()
	x.redirect(x.back(1))
	if x.f.freed != 1 {
		t.Errorf("%d stubs freed, the thread has ended", x.f.freed)
	}
}

// TestHeldBound: a thread that does not come back is named, once, and calls go by way of the
// forwarder until it does.
func TestHeldBound(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	c := newCalls(t, "int3")
	tell := isolated(t)
	c.retarget(5)
	c.retarget(6)
	c.pretend(heldMax)
	for v := 7; v < 10; v++ {
		c.retarget(v)
	}
	if c.f.stubs != 2 || c.count.GraceVisits != 0 {
		t.Errorf("%d stubs in use, %d looks", c.f.stubs, c.count.GraceVisits)
	}
	tid := 0
	tell(func(c *deferral.Context) { tid = c.TID() })
	if len(c.problems) != 1 || !strings.Contains(c.problems[0], fmt.Sprintf("thread %d on CPU %d", tid, deferral.CPUsMax-1)) ||
		!strings.Contains(c.problems[0], "Thread.Kernel") {
		t.Errorf("problems: %q", c.problems)
	}
	tell(cross)
	runtime.GC()
	c.retarget(10)
	if c.f.freed != 2 || c.f.stubs != 1 {
		t.Errorf("the thread was back: %d stubs freed, %d in use", c.f.freed, c.f.stubs)
	}
	c.pretend(-heldMax)
}

// TestHeldLook: at the bound a look is made before a stub is refused, if it can help.
func TestHeldLook(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	c := newCalls(t, "int3")
	tell := isolated(t)
	c.retarget(5)
	c.retarget(6)
	c.pretend(heldMax)
	tell(cross)
	c.retarget(7)
	if c.count.GraceVisits != 1 || c.f.freed != 1 || c.inUse() != 2 || len(c.problems) != 0 {
		t.Errorf("%d looks, %d stubs freed, %d in use, problems %q", c.count.GraceVisits, c.f.freed, c.inUse(), c.problems)
	}
	c.retarget(8) // 6 and 7 are left, and the thread is out
	tell(cross)
	if c.retarget(9); c.f.freed != 3 {
		t.Errorf("a look that has helped is the last: %d stubs freed", c.f.freed)
	}
	c.pretend(-heldMax)
}

// TestHeldAgain: a closure that is called again waits no more, however often.
func TestHeldAgain(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	c := newCalls(t, "int3")
	tell := isolated(t)
	a, b := closure(5), closure(6)
	for range 10 {
		for v, f := range map[int]func(int) int{5: a, 6: b} {
			if err := c.update(f); err != nil {
				t.Fatal(err)
			}
			c.shows(v)
		}
	}
	if err := c.update(a); err != nil {
		t.Fatal(err)
	}
	if len(c.left) != 1 || c.leaving != 1 || c.f.stubs != 2 {
		t.Errorf("%d and %d wait, %d stubs in use", len(c.left), c.leaving, c.f.stubs)
	}
	tell(cross)
	runtime.GC()
	if c.retarget(7); c.f.freed != 1 { // b; a is left only now
		t.Errorf("%d stubs freed", c.f.freed)
	}
}

// TestVisitHeld: where looks do not help, there is an end to new stubs, and a problem if they never will.
func TestVisitHeld(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	c := newCalls(t, "int3")
	isolated(t)
	c.f.failVisit = visit.ErrUnable
	c.pretend(heldMax + 1)
	for v := 5; v < 7; v++ {
		if err := c.update(closure(v)); err != nil {
			t.Fatal(err)
		}
		c.shows(v)
	}
	if c.f.stubs != 0 {
		t.Errorf("%d stubs in use", c.f.stubs)
	}
	text := strings.Join(c.problems, "\n")
	for _, want := range []string{"stubs wait to be freed", "only when the world is stopped for something else", visit.ErrUnable.Error()} {
		if !strings.Contains(text, want) {
			t.Errorf("problems without %q: %s", want, text)
		}
	}
	if !errors.Is(c.unseen, visit.ErrUnable) {
		t.Error(c.unseen)
	}
	c.pretend(-heldMax - 1)
}

// BenchmarkUpdateWaiting: what an update costs while many stubs wait, beside none.
func BenchmarkUpdateWaiting(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	none := map[string]float64{}
	for _, waiting := range []int{0, leavingMax} {
		for _, what := range []string{"functions", "closures"} {
			b.Run(fmt.Sprintf("%s/waiting=%d", what, waiting), func(b *testing.B) {
				c := newCalls(b, "int3")
				isolated(b)
				fs := []func(int) int{callOne, callTwo}
				if what == "closures" { // each leaves the other
					fs = []func(int) int{closure(1), closure(2)}
				}
				for v := range waiting {
					c.retarget(v)
				}
				n := 0
				for b.Loop() {
					if err := c.update(fs[n%2]); err != nil {
						b.Fatal(err)
					}
					n++
				}
				if c.leaving < waiting-1 {
					b.Fatalf("%d stubs wait, expected %d", c.leaving, waiting)
				}
				op := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
				if waiting == 0 {
					none[what] = op
				}
				b.ReportMetric(op/none[what], "to-none")
			})
		}
	}
}
