package deferral

import (
	"runtime"
	"sync/atomic"
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

// TestCrossed: who was out has to come back, whatever state it is in meanwhile.
func TestCrossed(t *testing.T) {
	withBits(t, func(t *testing.T) {
		c, other := register(t, 33), register(t, 34)
		defer other.Unregister()
		in := Snap()
		if len(Outside()) != 0 {
			t.Errorf("all are in KERNEL, outside: %+v", Outside())
		}
		c.Switch(tracking.User)
		s := Outside()
		if cpu, tid := s.First(); cpu != 33 || tid != 1033 || len(s) != 1 {
			t.Errorf("outside: %+v", s)
		}
		for _, state := range []tracking.State{tracking.Guest, tracking.Idle, tracking.User} {
			if c.Switch(state); s.Crossed() {
				t.Errorf("has crossed by going to %v", state)
			}
		}
		Defer(tracking.Sync, nil)
		if s.Crossed() {
			t.Error("has crossed by owing a sync")
		}
		c.Switch(tracking.Kernel)
		if !s.Crossed() || len(s) != 0 {
			t.Error("is back, and has not crossed")
		}
		c.Switch(tracking.User)
		if !s.Crossed() {
			t.Error("out again, it has not crossed any more")
		}
		s = Outside()
		c.Switch(tracking.Kernel)
		c.Unregister()
		if !s.Crossed() {
			t.Error("a thread that has ended is waited for")
		}
		if _, tid := s.First(); tid != 0 || in.Crossed() {
			t.Errorf("thread %d is named; the one that was in KERNEL all the time has crossed: %v", tid, in.Crossed())
		}
	})
}

// TestSnapEnded: a thread that ends while its word is read is nobody's to wait for.
func TestSnapEnded(t *testing.T) {
	c := register(t, 3)
	list := active.Load()
	c.Unregister()
	defer active.Store(active.Load())
	active.Store(list) // as Snap had read it before
	if s := Snap(); len(s) != 0 {
		t.Errorf("found %+v, nobody is registered; passed: %v", s, s.Passed())
	}
}

// TestSnapEnding is the same with threads that come and go.
func TestSnapEnding(t *testing.T) {
	var stop atomic.Bool
	ended := make(chan error)
	go func() {
		runtime.LockOSThread()
		for !stop.Load() {
			c, err := Register(3, 1003, false)
			if err != nil {
				ended <- err
				return
			}
			c.Switch(tracking.User)
			c.Switch(tracking.Kernel)
			c.Unregister()
		}
		ended <- nil
	}()
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		for _, r := range Snap() {
			if r.tid == 0 {
				t.Errorf("a snapshot has %+v: no thread has that number", r)
				end = time.Now()
			}
		}
	}
	stop.Store(true)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	Synchronize() // nobody is left to wait for
}
