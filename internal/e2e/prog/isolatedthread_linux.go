package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/isolate"
)

// The steps of the isolated thread, and what the others do besides.
var (
	isolatedSteps = []string{"USER", "GUEST", "IDLE", "KERNEL", "nested", "panic", "sealed", "end by return", "end by panic", "end by Goexit"}
	isolatedNoise = []string{"unmaps", "kept", "synchronize", "collections", "disarms", "signals"}
)

// isolate runs sessions until the end, each on a goroutine of its own.
func (h *isolated) isolate(r *rand.Rand) {
	for !h.stopped.Load() && h.failed() == nil {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer func() {
				if p := recover(); p != nil && p != errOnPurpose {
					h.fail("a session", fmt.Errorf("panic: %v", p))
				}
				h.thread.Store(0)
				if threadOn(h.cpu).TID != 0 {
					h.fail("a session", errors.New("its thread is still registered"))
				}
			}()
			o := isolate.Options{CPU: h.cpu, BlockSignals: r.IntN(2) == 0, DeferIdle: r.IntN(2) == 0}
			h.fail("Run", isolate.Run(o, func(t *isolate.Thread) { h.session(t, r) }))
		}()
		<-ended
		h.sessions.Add(1)
	}
}

var errOnPurpose = errors.New("a panic on purpose")

// session makes random steps, in isolation.
func (h *isolated) session(t *isolate.Thread, r *rand.Rand) {
	h.thread.Store(int32(unix.Gettid()))
	t.Kernel(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.why = isolate.Status().Why
	})
	s := &isolatedStep{isolated: h, t: t, r: r, c: newCaller(r.Uint64())}
	end := time.Now().Add(time.Duration(r.IntN(100)) * time.Millisecond)
	for !h.stopped.Load() && time.Now().Before(end) {
		s.step()
	}
	how := []string{"end by return", "end by panic", "end by Goexit"}[r.IntN(3)]
	h.count(h.steps, how) // a lock and a map are no checks
	switch how {
	case "end by panic":
		if r.IntN(2) == 0 {
			t.Kernel(func() { panic(errOnPurpose) })
		}
		panic(errOnPurpose)
	case "end by Goexit":
		if r.IntN(2) == 0 {
			t.Kernel(runtime.Goexit)
		}
		runtime.Goexit()
	}
}

// isolatedStep is the isolated thread.
type isolatedStep struct {
	*isolated
	t *isolate.Thread
	r *rand.Rand
	c *caller
	s scratch
}

func (s *isolatedStep) step() {
	name := isolatedSteps[s.r.IntN(7)]
	s.count(s.steps, name)
	switch name {
	case "USER":
		s.spin()
	case "GUEST":
		s.t.Guest(s.spin)
	case "IDLE":
		s.t.Idle(func() { time.Sleep(time.Microsecond) })
	case "KERNEL":
		s.t.Kernel(s.check)
	case "nested":
		isolate.Kernel(func() {
			s.check()
			s.t.Kernel(s.check)
			isolate.User(func() {
				s.spin()
				s.t.Kernel(s.check)
			})
			s.t.Guest(s.spin)
			s.check()
		})
	case "panic":
		func() {
			defer func() { _ = recover() }()
			s.t.Kernel(func() {
				s.check()
				panic(errOnPurpose)
			})
		}()
	case "sealed":
		for range 100 {
			if on := sealed(&s.s); on != 2 {
				s.sealedBad.Add(1)
			}
		}
	}
}

// spin lets time pass in isolation.
func (s *isolatedStep) spin() {
	for range s.r.IntN(50) {
		for range s.r.IntN(500) {
			spun.Add(1)
		}
		s.t.Safepoint()
	}
}

var spun atomic.Uint64

// check makes rounds of checks and calls.
func (s *isolatedStep) check() {
	for range 1 + s.r.IntN(4) {
		s.isolated.t.round(&s.s)
		s.calls.round(s.c)
		s.rounds.Add(1)
	}
}
