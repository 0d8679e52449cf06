//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"errors"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/tracking"
	"github.com/quietpatch/quietpatch/internal/visit"
)

// isolated makes an isolated thread that runs Go code, until the test ends.
func isolated(t *testing.T) {
	t.Helper()
	ready, end, ended := make(chan error), make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		c, err := deferral.Register(deferral.CPUsMax-1, unix.Gettid(), false)
		if err != nil {
			ready <- err
			return
		}
		c.Switch(tracking.User)
		ready <- nil
		<-end
		c.Switch(tracking.Kernel)
		c.Unregister()
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(end); <-ended })
}

// pretend has that many more stubs wait.
func (c *calls) pretend(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving += n
}

// TestVisit: with an isolated thread that runs Go code, stubs are freed by a look at all
// threads; what that did not help is tried again by the timer.
func TestVisit(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	c := newCalls(t, "int3")
	isolated(t)
	update := func(v int) {
		t.Helper()
		if err := c.update(closure(v)); err != nil {
			t.Fatal(err)
		}
		c.shows(v)
	}
	update(5)
	const many = leavingMax + 100
	c.pretend(many)
	c.f.failVisit = visit.ErrUnseen
	update(6)
	if n := c.count; n.GraceVisits != 1 || n.GraceStops != 0 || c.f.freed != 0 {
		t.Errorf("a look that did not see everybody: %+v, %d stubs freed", n, c.f.freed)
	}
	c.f.failVisit = nil
	update(7)
	if n := c.count; n.GraceVisits != 1 || c.f.freed != 0 {
		t.Errorf("looked again at once: %+v, %d stubs freed", n, c.f.freed)
	}
	c.mu.Lock()
	c.reap()
	c.mu.Unlock()
	if n := c.count; n.GraceVisits != 2 || n.GraceStops != 0 || c.f.freed != 2 || c.inUse() != 1 {
		t.Errorf("after the timer: %+v, %d stubs freed, %d in use", n, c.f.freed, c.inUse())
	}
	if len(c.problems) != 0 {
		t.Errorf("problems: %q", c.problems)
	}
	c.pretend(-many)
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
