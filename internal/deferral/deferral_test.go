package deferral

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/internal/tracking"
)

// withBits runs f with the full counter and with the narrowest.
func withBits(t *testing.T, f func(t *testing.T)) {
	before := layout
	t.Cleanup(func() { layout = before })
	for _, bits := range []uint8{0, tracking.CounterBitsMin, 3} {
		layout = tracking.Layout{CounterBits: bits}
		t.Run(fmt.Sprint(bits, "bits"), f)
	}
}

// register makes a context that belongs to the calling goroutine.
func register(t testing.TB, cpu int) *Context {
	t.Helper()
	c, err := Register(cpu, 1000+cpu, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRegister(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if Any() || Current() != nil {
		t.Fatal("a thread is isolated before any was registered")
	}
	c := register(t, 7)
	if !Any() || Current() != c || !c.Mine() || c.CPU() != 7 || c.TID() != 1007 {
		t.Errorf("registered %+v, current is %p", c, Current())
	}
	if _, err := Register(7, 1, false); !errors.Is(err, ErrCPU) || !strings.Contains(err.Error(), "1007") {
		t.Errorf("a second thread on CPU 7: %v", err)
	}
	for _, cpu := range []int{-1, CPUsMax} {
		if _, err := Register(cpu, 1, false); !errors.Is(err, ErrCPU) {
			t.Errorf("CPU %d: %v", cpu, err)
		}
	}
	done := make(chan bool)
	go func() { done <- Current() == nil && !c.Mine() }()
	if !<-done {
		t.Error("another goroutine takes the context for its own")
	}
	c.Unregister()
	if Any() || Current() != nil {
		t.Error("still there after Unregister")
	}
}

// TestAdmit: a context is told of since its thread was isolated, and for good.
func TestAdmit(t *testing.T) {
	told := func() bool {
		return slices.ContainsFunc(Reports(), func(r Report) bool { return r.CPU == CPUsMax-1 })
	}
	c := register(t, CPUsMax-1)
	if told() {
		t.Error("nobody was isolated, and it is told of")
	}
	c.Unregister()
	if told() {
		t.Error("its thread was never isolated, and it is told of")
	}
	register(t, CPUsMax-1).Admit()
	if !told() {
		t.Error("not told of")
	}
	c.Unregister()
	if !told() {
		t.Error("forgotten")
	}
	used = slices.DeleteFunc(used, func(cpu int) bool { return cpu == CPUsMax-1 })
}

// TestUnregisterGoexit: releases that end the goroutine do not keep those behind them waiting.
func TestUnregisterGoexit(t *testing.T) {
	called, failed := 0, make(chan error, 3)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c := register(t, 7)
		c.Switch(tracking.User)
		for i := range 2*perReturn + 1 {
			if err := Hold(0, 1, func() error {
				if called++; i%4 == 1 {
					runtime.Goexit()
				}
				return nil
			}, func(err error) { failed <- err }); err != nil {
				t.Error(err)
			}
		}
		defer c.Unregister()
		c.Switch(tracking.Kernel)
	}()
	<-ended
	if n := UnmapCounts().Waiting; called != 2*perReturn+1 || len(failed) != 2 || n != 0 || Any() {
		t.Errorf("%d called, %d failed, %d wait; isolated: %v", called, len(failed), n, Any())
	}
}

func TestSwitch(t *testing.T) {
	withBits(t, func(t *testing.T) {
		c := register(t, 3)
		defer c.Unregister()
		for range 100 {
			if got := Defer(tracking.Sync, nil); len(got) != 0 {
				t.Fatalf("a thread in KERNEL is spared: %v", got)
			}
			before := c.catchUps.Load()
			if from := c.Switch(tracking.User); from != tracking.Kernel {
				t.Fatalf("came from %v", from)
			}
			if from := c.Switch(tracking.Guest); from != tracking.User || c.State() != tracking.Guest {
				t.Fatalf("came from %v, is in %v", from, c.State())
			}
			if got := Defer(tracking.Sync, nil); !slices.Equal(got, []int{3}) {
				t.Fatalf("spared %v", got)
			}
			c.Switch(tracking.User)
			if got := Defer(tracking.Sync|tracking.Unmap, []int{99}); !slices.Equal(got, []int{99, 3}) {
				t.Fatalf("spared %v", got)
			}
			if c.load().Work() != tracking.Sync|tracking.Unmap || c.catchUps.Load() != before {
				t.Fatalf("the word is %#x, caught up %d times", c.load(), c.catchUps.Load()-before)
			}
			c.Switch(tracking.Kernel)
			if c.load().Work() != 0 || c.catchUps.Load() != before+1 {
				t.Fatalf("back with the word %#x, caught up %d times", c.load(), c.catchUps.Load()-before)
			}
			c.CatchUp()
			if c.catchUps.Load() != before+1 {
				t.Fatal("caught up with nothing owed")
			}
		}
	})
}

// TestCatchUpInHandler: a signal handler that comes between the way back and the catch-up
// finds the work in the word.
func TestCatchUpInHandler(t *testing.T) {
	c := register(t, 3)
	defer c.Unregister()
	c.Switch(tracking.User)
	Defer(tracking.Sync, nil)
	c.word.Add(uint64(layout.Step(tracking.User, tracking.Kernel))) // the first half of Switch
	before := c.catchUps.Load()
	c.CatchUp() // the handler
	if c.catchUps.Load() != before+1 || c.load().Work() != 0 {
		t.Errorf("the handler caught up %d times, the word is %#x", c.catchUps.Load()-before, c.load())
	}
}

// TestIdleIsAnOption, and a CPU that is shared is not spared.
func TestIdleIsAnOption(t *testing.T) {
	for _, idle := range []bool{false, true} {
		c, err := Register(5, 1, idle)
		if err != nil {
			t.Fatal(err)
		}
		c.Switch(tracking.Idle)
		if got := len(Defer(tracking.Sync, nil)) == 1; got != idle {
			t.Errorf("with the option %v an idle thread is spared: %v", idle, got)
		}
		c.Switch(tracking.User)
		SetShared(5, true)
		if got := Defer(tracking.Sync, nil); len(got) != 0 {
			t.Errorf("a shared CPU is spared: %v", got)
		}
		SetShared(5, false)
		if got := Defer(tracking.Sync, nil); len(got) != 1 {
			t.Error("a CPU that is not shared any more is not spared")
		}
		c.Switch(tracking.Kernel)
		c.Unregister()
	}
}

// TestSetAsksByACompareAndSwap: work that is set on a thread that has gone out since its
// word was read must not be refused for the old reading. The reading cannot be held here, so
// the test does what set does with a word that is one step behind.
func TestSetRaces(t *testing.T) {
	withBits(t, func(t *testing.T) {
		c := make(chan *Context)
		var stop atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			runtime.LockOSThread()
			ctx := register(t, 3)
			c <- ctx
			for !stop.Load() {
				ctx.Switch(tracking.User)
				ctx.Switch(tracking.Kernel)
			}
			ctx.Unregister()
		})
		ctx := <-c
		accepted := 0
		for end := time.Now().Add(300 * time.Millisecond); accepted < 20_000 && time.Now().Before(end) || accepted < 10; {
			before := ctx.catchUps.Load()
			if len(Defer(tracking.Sync, nil)) == 0 {
				continue
			}
			accepted++
			// It was outside when it took the work, so once it has caught up with
			// something, that was it: nothing is lost.
			for n := 0; ctx.catchUps.Load() == before; n++ {
				if n > 1_000_000_000 {
					t.Fatalf("work was accepted and never done: word %#x", ctx.load())
				}
				if n%100 == 99 {
					time.Sleep(time.Microsecond) // the other one may need this CPU
				}
			}
		}
		stop.Store(true)
		wg.Wait()
	})
}

func mustWait(t *testing.T, want int) {
	t.Helper()
	if got := UnmapCounts().Waiting; got != want {
		t.Fatalf("%d wait, expected %d", got, want)
	}
}

func TestHold(t *testing.T) {
	c := register(t, 3)
	defer c.Unregister()
	var released []int
	hold := func(n int) error {
		return Hold(0, 1<<10, func() error { released = append(released, n); return nil }, nil)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(hold(1))
	mustWait(t, 0)
	c.Switch(tracking.User)
	must(hold(2))
	must(hold(3))
	mustWait(t, 2)
	c.Switch(tracking.Guest)
	mustWait(t, 2)
	c.Switch(tracking.Kernel)
	mustWait(t, 0)
	if !slices.Equal(released, []int{1, 2, 3}) {
		t.Errorf("released %v", released)
	}
	before := UnmapCounts()
	c.Switch(tracking.User)
	SetLimits(Limits{Bytes: 2 << 10, Age: time.Hour})
	defer SetLimits(Limits{Bytes: 64 << 20, Age: 10 * time.Second})
	must(hold(4))
	must(hold(5))
	mustWait(t, 2)
	must(hold(6)) // beyond the bytes
	mustWait(t, 0)
	SetLimits(Limits{Bytes: 1 << 20, Age: time.Millisecond})
	must(hold(7))
	for UnmapCounts().Forced-before.Forced < 4 { // the timer
		time.Sleep(time.Millisecond)
	}
	SetLimits(Limits{Bytes: 1 << 20, Age: time.Hour})
	must(hold(8))
	SetLimits(Limits{}) // nothing may wait
	mustWait(t, 0)
	c.Switch(tracking.Kernel)
	now := UnmapCounts()
	if now.Forced-before.Forced != 5 || now.Interrupts-before.Interrupts != 5 || len(released) != 8 {
		t.Errorf("counts went from %+v to %+v, released %v", before, now, released)
	}
}

// TestDoor: who goes out while a release is under way waits for its end, but not for long.
func TestDoor(t *testing.T) {
	c := register(t, 3)
	defer c.Unregister()
	before := UnmapCounts().Met
	releasing.Add(1)
	c.Switch(tracking.User) // returns
	releasing.Add(-1)
	c.Switch(tracking.Kernel)
	if got := UnmapCounts().Met - before; got != 1 {
		t.Errorf("met %d releases, expected 1", got)
	}
	c.Switch(tracking.User)
	c.Switch(tracking.Kernel)
	if got := UnmapCounts().Met - before; got != 1 {
		t.Errorf("met %d releases, and there was none", got)
	}
}

// TestReturnIsShort: a thread that comes back releases a few, and the rest the next times;
// nothing is left when it ends. (Now and then somebody else has the list, and it releases
// fewer.)
func TestReturnIsShort(t *testing.T) {
	c := register(t, 3)
	const all = 3*perReturn + 1
	n := 0
	hold := func() {
		c.Switch(tracking.User)
		for range all {
			if err := Hold(0, 1, func() error { n++; return nil }, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	hold()
	for returns := 1; n < all; returns++ {
		before := n
		c.Switch(tracking.Kernel)
		if n-before > perReturn || n < all && c.load().Work() != tracking.Unmap || returns > 1000 {
			t.Fatalf("return %d released %d, %d in all, the word is %#x", returns, n-before, n, c.load())
		}
		c.Switch(tracking.User)
	}
	c.Switch(tracking.Kernel)
	hold()
	c.Switch(tracking.Kernel)
	c.Unregister()
	if n != 2*all || c.load().Work() != 0 {
		t.Errorf("in the end %d are released, the word is %#x", n, c.load())
	}
}

// TestHoldPanic: the program's function must not harm the thread that calls it, nor be called
// twice.
func TestHoldPanic(t *testing.T) {
	c := register(t, 3)
	defer c.Unregister()
	calls := 0
	var told error
	c.Switch(tracking.User)
	_ = Hold(0, 1, func() error { calls++; panic("bad") }, func(err error) { told = err })
	_ = Hold(0, 1, func() error { calls++; return nil }, nil)
	c.Switch(tracking.Kernel)
	if calls != 2 || told == nil || c.State() != tracking.Kernel || UnmapCounts().Waiting != 0 {
		t.Errorf("%d calls, told %v, in %v, %d wait", calls, told, c.State(), UnmapCounts().Waiting)
	}
}

// TestReleaseComesBack: a release that goes out of Kernel and comes back, as the program's
// functions may, does not make more releases within itself.
func TestReleaseComesBack(t *testing.T) {
	c := register(t, 3)
	defer c.Unregister()
	depth, deepest, n := 0, 0, 0
	c.Switch(tracking.User)
	for range 3 * perReturn {
		_ = Hold(0, 1, func() error {
			depth++
			deepest = max(deepest, depth)
			n++
			c.Switch(tracking.User)
			c.Switch(tracking.Kernel)
			c.CatchUp()
			depth--
			return nil
		}, nil)
	}
	c.Switch(tracking.Kernel)
	if deepest != 1 || n > perReturn {
		t.Errorf("%d releases at one return, %d deep", n, deepest)
	}
}

// TestReleaseEndsGoroutine: of those that are forced none is lost when one calls Goexit.
func TestReleaseEndsGoroutine(t *testing.T) {
	defer SetLimits(list.limits)
	var n atomic.Int64
	var told atomic.Int64
	c := register(t, 3)
	c.Switch(tracking.User)
	for i := range 10 {
		_ = Hold(0, 1, func() error {
			n.Add(1)
			if i == 3 {
				runtime.Goexit()
			}
			return nil
		}, func(error) { told.Add(1) })
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		SetLimits(Limits{})
	}()
	<-done
	c.Switch(tracking.Kernel)
	c.Unregister()
	for end := time.Now().Add(10 * time.Second); n.Load() < 10 && time.Now().Before(end); {
		runtime.Gosched() // what was given back is released by the timer
	}
	if n.Load() != 10 || told.Load() != 1 || UnmapCounts().Waiting != 0 {
		t.Errorf("%d of 10 called, %d told, %d wait", n.Load(), told.Load(), UnmapCounts().Waiting)
	}
}

func TestHoldErrors(t *testing.T) {
	c := register(t, 3)
	defer c.Unregister()
	bad := errors.New("refused")
	if err := Hold(0, 1, func() error { return bad }, nil); err != bad {
		t.Errorf("at once: %v", err)
	}
	before := UnmapCounts().Failed
	c.Switch(tracking.User)
	var told error
	tell := func(err error) { told = err }
	if err := Hold(16, 1, func() error { return bad }, tell); err != nil {
		t.Errorf("held: %v", err)
	}
	if err := Hold(16, 1, func() error { return nil }, tell); !errors.Is(err, ErrTwice) {
		t.Errorf("the same mapping again: %v", err)
	}
	c.Switch(tracking.Kernel)
	if got := UnmapCounts().Failed - before; got != 1 || told != bad {
		t.Errorf("%d failed, expected 1; told %v", got, told)
	}
}

// TestHoldHammer: threads go in and out, others release. Nothing is released while a
// thread's isolation has begun, and in the end nothing waits. (With a door that is waited at
// for as long as it takes.)
func TestHoldHammer(t *testing.T) {
	defer func(d time.Duration) { doorMax = d }(doorMax)
	doorMax = time.Hour
	withBits(t, func(t *testing.T) {
		var inside [2]atomic.Bool
		var stop atomic.Bool
		var threads, releasers, started sync.WaitGroup
		started.Add(len(inside))
		var trips atomic.Int64
		for i := range inside {
			threads.Go(func() {
				runtime.LockOSThread()
				c := register(t, 10+i)
				started.Done()
				for n := 0; !stop.Load(); n++ {
					c.Switch(tracking.User)
					inside[i].Store(true)
					trips.Add(1)
					if n%8 == i {
						runtime.Gosched()
					}
					inside[i].Store(false)
					c.Switch(tracking.Kernel)
					runtime.Gosched()
				}
				c.Unregister()
			})
		}
		started.Wait()
		before := UnmapCounts()
		var wrong, calls, asked atomic.Int64
		end := time.Now().Add(300 * time.Millisecond)
		for range 2 {
			releasers.Go(func() {
				for time.Now().Before(end) {
					asked.Add(1)
					_ = Hold(0, 1, func() error {
						calls.Add(1)
						for i := range inside {
							if inside[i].Load() {
								wrong.Add(1)
							}
						}
						return nil
					}, nil)
				}
			})
		}
		releasers.Wait()
		stop.Store(true)
		threads.Wait()
		now := UnmapCounts()
		if wrong.Load() > 0 || calls.Load() != asked.Load() || now.Waiting != 0 {
			t.Errorf("%d of %d releases disturbed a thread, %d wait", wrong.Load(), calls.Load(), now.Waiting)
		}
		if held := now.Held - before.Held; held < 100 || trips.Load() < 100 || now.Released-before.Released != held {
			t.Errorf("%d of %d were held, %d released in %d trips: too few for a hammer", held, asked.Load(), now.Released-before.Released, trips.Load())
		}
	})
}

// TestSynchronizeTorture is rcutorture's idea (TREE04 with RCU_DYNTICKS_BITS=2): readers in
// KERNEL use what a pointer shows, an updater changes the pointer, waits for a grace
// period and spoils what was there before. The counter wraps thousands of times.
func TestSynchronizeTorture(t *testing.T) {
	withBits(t, func(t *testing.T) {
		type element struct{ spoilt atomic.Bool }
		var current atomic.Pointer[element]
		current.Store(new(element))
		var stop atomic.Bool
		var wrong, sections atomic.Int64
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				runtime.LockOSThread()
				c := register(t, 20+i)
				for n := 0; !stop.Load(); n++ {
					e := current.Load()
					for range n % 64 {
						if e.spoilt.Load() {
							wrong.Add(1)
						}
					}
					if n%31 == 0 {
						runtime.Gosched() // within the section
					}
					if e.spoilt.Load() {
						wrong.Add(1)
					}
					sections.Add(1)
					c.Switch(tracking.User)
					c.Switch(tracking.Kernel)
				}
				c.Unregister()
			})
		}
		periods := 0
		for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); periods++ {
			old := current.Swap(new(element))
			Synchronize()
			old.spoilt.Store(true)
		}
		stop.Store(true)
		wg.Wait()
		if wrong.Load() > 0 {
			t.Errorf("%d reads of what was freed in %d sections, %d grace periods", wrong.Load(), sections.Load(), periods)
		}
		if sections.Load() < 10_000 || periods < 10 {
			t.Errorf("%d sections and %d grace periods are too few for a torture", sections.Load(), periods)
		}
	})
}

// TestSynchronizeWaits for a thread in KERNEL, and not for one outside.
func TestSynchronizeWaits(t *testing.T) {
	withBits(t, func(t *testing.T) {
		c := register(t, 3)
		s := Snap()
		if s.Passed() {
			t.Error("a thread that stayed in KERNEL has passed")
		}
		c.Switch(tracking.User)
		outside := Snap()
		if !s.Passed() || !outside.Passed() {
			t.Error("a thread outside has not passed")
		}
		c.Switch(tracking.Kernel)
		if !s.Passed() {
			t.Error("back in KERNEL the old snapshot has not passed any more")
		}
		if s = Snap(); s.Passed() {
			t.Error("back in KERNEL a new snapshot has passed")
		}
		c.Unregister()
		if !s.Passed() {
			t.Error("a thread that has ended is waited for")
		}
	})
}

func TestLayoutFrom(t *testing.T) {
	for s, want := range map[string]uint8{"": 0, "2": 2, "56": 56} {
		if l, problem := layoutFrom(s); l.CounterBits != want || problem != "" {
			t.Errorf("%q: %+v, %q", s, l, problem)
		}
	}
	for _, s := range []string{"1", "57", "x", "-2"} {
		if l, problem := layoutFrom(s); l.CounterBits != 0 || !strings.Contains(problem, envBits) {
			t.Errorf("%q: %+v, %q", s, l, problem)
		}
	}
}

func BenchmarkCrossing(b *testing.B) {
	c := register(b, 3)
	defer c.Unregister()
	c.Switch(tracking.User)
	b.Run("nothing owed", func(b *testing.B) {
		for b.Loop() {
			c.Switch(tracking.Kernel)
			c.Switch(tracking.User)
		}
	})
	b.Run("sync owed", func(b *testing.B) {
		for b.Loop() {
			c.set(tracking.Sync)
			c.Switch(tracking.Kernel)
			c.Switch(tracking.User)
		}
	})
	b.Run("set alone", func(b *testing.B) {
		for b.Loop() {
			c.set(tracking.Sync)
		}
	})
	b.Run("unconditional", func(b *testing.B) {
		for b.Loop() {
			c.Switch(tracking.Kernel)
			c.catchUpAlways()
			c.Switch(tracking.User)
		}
	})
	c.Switch(tracking.Kernel)
}
