//go:build withcgo

package main

// #include "guest.h"
import "C"

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
)

func init() { programs["guest"] = runGuest }

// guestReport is what `prog guest` prints.
type guestReport struct {
	Flips       uint64              `json:"flips"`
	Updates     uint64              `json:"updates"`
	Callbacks   uint64              `json:"callbacks"`
	Signals     uint64              `json:"signals"` // that Go code has handled
	Nested      uint64              `json:"nested"`  // of these, within another
	Collections uint64              `json:"collections"`
	Grants      uint64              `json:"grants"` // times the C loop waited for a collection
	Verified    uint64              `json:"verified"`
	Wrong       uint64              `json:"wrong"`
	First       string              `json:"first"`
	Thread      isolate.ThreadState `json:"thread"`
	Why         string              `json:"why"`
	Status      quietpatch.State    `json:"status"`
}

// guest is a thread that polls in C, in isolation. Go functions that it calls back, and a C
// signal handler that calls Go, come out of isolation by isolate.Kernel.
type guest struct {
	cpu    int
	tid    atomic.Int32
	t      tally
	calls  callTally
	up     updater
	s      scratch
	c      *caller
	done   atomic.Bool
	others sync.WaitGroup

	flips, updates, callbacks, signals, nested, collections, grants atomic.Uint64

	errs [3]error // of those who change, and of Run
}

// theGuest is the one that the exported functions belong to.
var theGuest atomic.Pointer[guest]

func runGuest(args []string) (any, error) {
	g := &guest{c: newCaller(7)}
	fs := flags("guest")
	strategy := fs.String("strategy", "int3", "store or int3")
	block := fs.Bool("block", false, "block signals on the thread, but the one that C handles")
	limit := fs.Duration("for", time.Second, "how long, at least")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	g.up = updater{t: &g.calls, rnd: rand.New(rand.NewPCG(1, 1)), kinds: map[string]int{}}
	if err := errors.Join(configure(*strategy, ""), armAll()); err != nil {
		return nil, err
	}
	if n := C.quietpatch_handle(); n != 0 {
		return nil, errors.New("sigaction failed")
	}
	var err error
	if g.cpu, err = reserveLast(); err != nil {
		return nil, err
	}
	theGuest.Store(g)
	ended := make(chan struct{})
	began := make(chan string, 1)
	go func() {
		defer close(ended)
		err := isolate.Run(isolate.Options{CPU: g.cpu, BlockSignals: *block}, func(t *isolate.Thread) {
			began <- isolate.Status().Why
			if g.errs[2] = blockGuestSignal(); g.errs[2] != nil {
				return
			}
			g.tid.Store(int32(unix.Gettid()))
			t.Guest(func() { C.quietpatch_poll() })
			g.expect("after the C loop", "USER")
			g.tid.Store(0)
		})
		g.errs[2] = errors.Join(g.errs[2], err)
	}()
	var r guestReport
	select {
	case r.Why = <-began:
		g.run(*limit, r.Why == "")
	case <-ended:
	}
	<-ended
	g.report(&r)
	return r, errors.Join(g.errs[:]...)
}

// blockGuestSignal keeps the signal away from the calling thread until C opens it: its handler
// has no SA_ONSTACK, so it must not run on the stack of a goroutine.
func blockGuestSignal() error {
	var set unix.Sigset_t
	set.Val[0] = 1 << (unix.SIGUSR2 - 1)
	return unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
}

// run changes everything until there was enough of it.
func (g *guest) run(limit time.Duration, spared bool) {
	for _, f := range []func(){g.flip, g.update, g.collect, g.storm} {
		g.others.Go(f)
	}
	start := time.Now()
	for {
		time.Sleep(5 * time.Millisecond)
		const enough = 10
		t := threadOn(g.cpu)
		hit := min(g.flips.Load(), g.updates.Load(), g.callbacks.Load(), g.signals.Load(), g.nested.Load(), g.grants.Load(), g.t.verified.Load()) >= enough &&
			(!spared || min(t.Deferred, t.CatchUps) >= enough)
		wrong := g.t.wrong.Load()+g.calls.wrong.Load() > 0
		took := time.Since(start)
		if took > limit && hit || wrong || took > limit+isolatedPatience || g.done.Load() {
			break
		}
	}
	g.done.Store(true)
	g.others.Wait()
	shared(&C.quietpatch_guest.stop).Store(1)
}

// shared is an int of C for sync/atomic.
func shared(p *C.int) *atomic.Int32 { return (*atomic.Int32)(unsafe.Pointer(p)) }

func (g *guest) report(r *guestReport) {
	r.Flips, r.Updates, r.Callbacks, r.Signals, r.Nested = g.flips.Load(), g.updates.Load(), g.callbacks.Load(), g.signals.Load(), g.nested.Load()
	r.Collections, r.Grants = g.collections.Load(), g.grants.Load()
	r.Verified, r.Wrong = g.t.verified.Load()+g.calls.verified.Load(), g.t.wrong.Load()+g.calls.wrong.Load()
	for _, p := range []*string{g.t.first.Load(), g.calls.first.Load()} {
		if p != nil {
			r.First = *p
		}
	}
	r.Thread, r.Status = threadOn(g.cpu), quietpatch.Status()
}

// expect is a round of its own that is wrong if the thread is in another state.
func (g *guest) expect(where, state string) {
	if now := threadOn(g.cpu); now.State != state {
		g.calls.fail("%s: the thread is in %s, expected %s", where, now.State, state)
	}
}

// enter is Go code that C calls, on the isolated thread.
func (g *guest) enter(where, from string, then func()) {
	g.expect(where, from)
	before := threadOn(g.cpu).CatchUps
	isolate.Kernel(func() {
		g.expect(where+", in Kernel", "KERNEL")
		if after := threadOn(g.cpu).CatchUps; after > before+1 || from == "KERNEL" && after > before {
			g.calls.fail("%s: caught up %d times", where, after-before)
		}
		g.t.round(&g.s)
		g.calls.round(g.c)
		isolate.Kernel(func() { g.t.round(&g.s) })
		then()
		g.t.round(&g.s)
		g.expect(where+", at the end of Kernel", "KERNEL")
	})
	g.expect(where+", after Kernel", from)
}

//export guestCallback
func guestCallback() {
	g := theGuest.Load()
	g.callbacks.Add(1)
	g.enter("a callback", "GUEST", func() {})
}

// guestSignal is called by a signal handler, in the middle of the C loop, or of itself.
//
//export guestSignal
func guestSignal(depth C.int) {
	g := theGuest.Load()
	g.signals.Add(1)
	if depth > 1 {
		g.nested.Add(1)
		g.enter("a signal within a signal", "KERNEL", func() {})
		return
	}
	g.enter("a signal", "GUEST", func() {
		if g.signals.Load()%4 == 0 {
			if errno := C.quietpatch_again(); errno != 0 {
				g.calls.fail("pthread_kill: %v", syscall.Errno(errno))
			}
		}
	})
}

// The others.

func (g *guest) flip() {
	for n := 0; !g.done.Load(); n++ {
		epoch.Add(1)
		err := hammerKey.Set(epoch.Load()/2%2 == 0)
		epoch.Add(1)
		g.flips.Add(1)
		if err != nil {
			g.errs[0] = fmt.Errorf("flip %d: %w", n, err)
			g.done.Store(true)
		}
		time.Sleep(time.Duration(n%8) * 50 * time.Microsecond)
	}
}

func (g *guest) update() {
	for n := 0; !g.done.Load(); n++ {
		err := g.up.update()
		g.updates.Add(1)
		if err != nil {
			g.errs[1] = fmt.Errorf("update %d: %w", n, err)
			g.done.Store(true)
		}
		time.Sleep(time.Duration(n%8) * 50 * time.Microsecond)
	}
}

// collect collects garbage while the C loop spins and calls nobody: if a collection waited
// for it, neither would end.
func (g *guest) collect() {
	wants, granted := shared(&C.quietpatch_guest.wants), shared(&C.quietpatch_guest.granted)
	for !g.done.Load() {
		want := wants.Load()
		runtime.KeepAlive(make([]byte, 1<<18))
		runtime.GC()
		g.collections.Add(1)
		if granted.Swap(want) != want {
			g.grants.Add(1)
		}
		time.Sleep(time.Millisecond)
	}
}

// storm sends the signal that C handles.
func (g *guest) storm() {
	for n := 0; !g.done.Load(); n++ {
		if tid := int(g.tid.Load()); tid != 0 {
			_ = unix.Tgkill(unix.Getpid(), tid, unix.SIGUSR2)
		}
		time.Sleep(time.Duration(n%16) * 30 * time.Microsecond)
	}
}
