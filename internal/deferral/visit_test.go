package deferral

import (
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/internal/tracking"
)

// TestOf: what a snapshot knows of one thread, in the order in which it happens.
func TestOf(t *testing.T) {
	withBits(t, func(t *testing.T) {
		c, other := register(t, 3), register(t, 4)
		defer other.Unregister()
		s := Snap()
		check := func(what string, s Snapshot, wantIsolated, wantPassed bool) {
			t.Helper()
			if isolated, passed := s.Of(1003); isolated != wantIsolated || passed != wantPassed {
				t.Errorf("%s: isolated %v, passed %v", what, isolated, passed)
			}
		}
		if isolated, passed := s.Of(77); isolated || passed {
			t.Error("a thread that has no context")
		}
		check("in Kernel all the time", s, true, false)
		other.Switch(tracking.User)
		check("another one is out", s, true, false)
		c.Switch(tracking.User)
		check("outside", s, true, true)
		check("outside, without a snapshot", nil, true, true)
		out := Snap()
		c.Switch(tracking.Kernel)
		check("has been outside", s, true, true)
		check("was outside at the snapshot", out, true, true)
		check("without a snapshot", nil, true, false)
		s = Snap()
		c.Unregister()
		check("not isolated any more, in Kernel all the time", s, false, false)
		check("not isolated any more, was outside", out, false, true)
		c, err := Register(3, 2003, false)
		if err != nil {
			t.Fatal(err)
		}
		c.Switch(tracking.User)
		check("its CPU is another's, who is out", s, false, false)
		c.Switch(tracking.Kernel)
		c.Unregister()
	})
}

// TestOrdinary: no thread becomes isolated while something is done to it as an ordinary
// one.
func TestOrdinary(t *testing.T) {
	c := register(t, 3)
	Ordinary(1003, func() { t.Error("called for an isolated thread") })
	c.Unregister()
	done := make(chan bool)
	called := false
	Ordinary(1003, func() {
		called = true
		go func() {
			register(t, 3).Unregister()
			close(done)
		}()
		select {
		case <-done:
			t.Error("registered meanwhile")
		case <-time.After(20 * time.Millisecond):
		}
	})
	<-done
	if !called {
		t.Error("not called for an ordinary thread")
	}
}
