//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// A static call as package staticcall makes it.

var callVar = func(x int) int { return x }

//go:noinline
func callForward(x int) int { return callVar(x) }

//go:noinline
func callSites(x int) (n int) {
	n = callForward(x)
	n += 10 * callForward(x)
	return n + 100*callForward(x)
}

const callCount = 3

func callOne(int) int { return 1 }
func callTwo(int) int { return 2 }

// closure returns a new closure every time.
//
//go:noinline
func closure(v int) func(int) int { return func(int) int { return v } }

func fn(f func(int) int) Func { return *(*unsafe.Pointer)(unsafe.Pointer(&f)) }

// calls is a world with a static call.
type calls struct {
	*world
	k *Key
}

func newCalls(t testing.TB, strategy string) *calls {
	t.Helper()
	callVar = callOne
	w := newWorld(t, strategy)
	k, err := w.CallAt(unsafe.Pointer(&callVar), nil, false, func() *Key { return nil }, func(*Key) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Register(k, "call", "for tests"); err != nil {
		t.Fatal(err)
	}
	if err := w.Arm(); err != nil {
		t.Fatal(err)
	}
	if k.armed != callCount {
		t.Fatalf("%d of %d calls armed: %s", k.armed, len(k.sites), w.whys(k))
	}
	return &calls{w, k}
}

func (c *calls) update(f func(int) int) error { return c.Apply([]Change{CallChange(c.k, fn(f))}) }

// calls checks that every call, by way of the variable and directly, gives v.
func (c *calls) shows(v int) {
	c.t.Helper()
	if got := callSites(0); got != 111*v {
		c.t.Errorf("the calls give %d, expected %d each", got, v)
	}
	if got := callVar(0); got != v {
		c.t.Errorf("the variable gives %d, expected %d", got, v)
	}
}

// inUse returns how many stubs have memory.
func (c *calls) inUse() int { return c.f.stubs }

func TestCalls(t *testing.T) {
	for _, strategy := range []string{"store", "int3", "one-at-a-time"} {
		t.Run(strategy, func(t *testing.T) { testCalls(t, newCalls(t, strategy)) })
	}
}

func testCalls(t *testing.T, c *calls) {
	c.shows(1)
	for i := range 20 {
		for v, f := range map[int]func(int) int{1: callOne, 2: callTwo, 7: closure(7), i: closure(i)} {
			if err := c.update(f); err != nil {
				t.Fatal(err)
			}
			c.shows(v)
		}
		runtime.GC()
	}
	if n := c.inUse(); n > 8 {
		t.Errorf("%d stubs are in use, with a collection for every three", n)
	}
}

// TestCallFaults fails every poke and every sync of an update once, and for good.
func TestCallFaults(t *testing.T) {
	for _, strategy := range []string{"store", "int3"} {
		for nth := range 30 {
			for _, forGood := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", strategy, nth, forGood), func(t *testing.T) {
					c := newCalls(t, strategy)
					if err := c.update(closure(5)); err != nil {
						t.Fatal(err)
					}
					fails := func(i int) error {
						if i == nth || forGood && i > nth {
							return errInjected
						}
						return nil
					}
					c.f.pokes, c.f.syncs = 0, 0
					if nth%2 == 0 {
						c.f.failPoke = func(i int, _ uintptr) error { return fails(i) }
					} else {
						c.f.failSync = func(i int) error { return fails(i / 2) }
					}
					err := c.update(closure(6))
					c.f.heal()
					if err == nil {
						c.shows(6)
					} else if c.Status().Unsynced || c.stuck != nil {
						if err := c.Sync(); err != nil { // repairs
							t.Fatal(err)
						}
						c.shows(5)
					} else {
						c.shows(5)
					}
					runtime.GC()
					if err := c.update(callTwo); err != nil {
						t.Fatal(err)
					}
					c.shows(2)
				})
			}
		}
	}
}

// TestCallDebt: while a sync is owed no stub is freed, however many grace periods pass.
func TestCallDebt(t *testing.T) {
	c := newCalls(t, "int3")
	if err := c.update(closure(5)); err != nil {
		t.Fatal(err)
	}
	c.f.syncs = 0
	// The sync behind the new stub and those of the batch: none works, so the last of the undo is owed.
	c.f.failSync = func(i int) error {
		if i > 1 {
			return errInjected
		}
		return nil
	}
	if err := c.update(closure(6)); err == nil {
		t.Fatal("updated without syncs")
	}
	before := c.inUse()
	runtime.GC()
	for range 3 {
		_ = c.update(closure(8)) // first tries to make the sync, in vain
		runtime.GC()
	}
	if c.f.freed > 0 || c.inUse() < before {
		t.Errorf("%d stubs were freed while a sync was owed", c.f.freed)
	}
	c.f.heal()
	for range 3 {
		if err := c.update(closure(9)); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
	}
	c.shows(9)
	if c.f.freed == 0 {
		t.Error("nothing is freed after the sync was made up for")
	}
}

// TestCallNoStub: a closure that gets no stub is called by way of the forwarder.
func TestCallNoStub(t *testing.T) {
	c := newCalls(t, "int3")
	c.f.failStubs = errInjected
	if err := c.update(closure(5)); err != nil {
		t.Fatal(err)
	}
	c.shows(5)
	if why := c.whyOf(c.k, &c.k.sites[0]); !strings.Contains(why, "forwarder") {
		t.Errorf("why = %q", why)
	}
	if p := c.Status().Problems; len(p) != 1 || !strings.Contains(p[0], "injected") {
		t.Errorf("problems: %q", p)
	}
	c.f.failStubs = nil
	if err := c.update(callTwo); err != nil {
		t.Fatal(err)
	}
	c.shows(2)
}

// TestCallBackendNone: stubs are freed although the machine that had them made is gone.
func TestCallBackendNone(t *testing.T) {
	c := newCalls(t, "int3")
	for v := range 3 {
		if err := c.update(closure(v)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Configure(Options{Strategy: "int3", Backend: BackendNone}); err != nil {
		t.Fatal(err)
	}
	for v := range 3 {
		runtime.GC()
		if err := c.update(closure(v)); err != nil {
			t.Fatal(err)
		}
		c.shows(v)
	}
	if c.inUse() != 0 {
		t.Errorf("%d stubs are still in use", c.inUse())
	}
}

// TestCallSearch: what users see of a static call.
func TestCallSearch(t *testing.T) {
	c := newCalls(t, "int3")
	infos, err := c.Sites(c.k)
	if err != nil {
		t.Fatal(err)
	}
	armed := 0
	for _, i := range infos {
		if i.Form == "mov-quad" { // the tests read the variable, too
			if !strings.Contains(i.Why, "not a forwarder") {
				t.Errorf("%+v", i)
			}
			continue
		}
		armed++
		if i.Form != "call" || i.State != "armed" || !strings.HasSuffix(i.Func, "callSites") || !strings.HasSuffix(i.File, "callee_test.go") {
			t.Errorf("%+v", i)
		}
	}
	if armed != callCount {
		t.Errorf("%d calls, expected %d: %+v", armed, callCount, infos)
	}
	if got := c.Calls(); len(got) != 1 || got[0].Name != "call" || !strings.HasSuffix(got[0].Target, "callOne") || got[0].Armed != callCount {
		t.Errorf("%+v", got)
	}
	if _, err := c.SetSelected("call", "on"); err != nil {
		t.Errorf("a static call is among the keys that are selected: %v", err)
	}
	if len(c.Keys()) != 2 {
		t.Errorf("%+v", c.Keys())
	}
	if err := c.update(nil); err != nil {
		t.Fatal(err)
	}
	defer func() {
		var e runtime.Error
		if err, _ := recover().(error); !errors.As(err, &e) {
			t.Error("a call of nil did not panic")
		}
	}()
	callSites(0)
}

// TestReap: a closure that was left is let go although nobody calls the engine again.
func TestReap(t *testing.T) {
	c := newCalls(t, "int3")
	if err := c.update(closure(5)); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.reaping = false
	c.mu.Unlock()
	if err := c.update(callOne); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		c.mu.Lock()
		freed, left := c.f.freed, c.leaving
		c.mu.Unlock()
		if freed == 1 && left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d stubs freed, %d left after a minute", freed, left)
		}
	}
	c.shows(1)
}

// TestCallNoWait: a new closure is refused, what has its place is not.
func TestCallNoWait(t *testing.T) {
	if testBackend != BackendAlias {
		t.Skip("needs alias, where a call is changed by one store")
	}
	c := newCalls(t, "store")
	syncs := c.f.syncs
	err := c.ApplyNoWait([]Change{CallChange(c.k, fn(closure(5)))})
	if !errors.Is(err, ErrNoWait) || c.f.syncs != syncs {
		t.Errorf("%v, %d syncs", err, c.f.syncs-syncs)
	}
	c.shows(1)
}

// TestCallLateStub: what is shown keeps its place, also when another would be possible
// now.
func TestCallLateStub(t *testing.T) {
	c := newCalls(t, "int3")
	if err := c.Disarm(); err != nil {
		t.Fatal(err)
	}
	at := c.k.sites[0].addr
	const call = 0xE8
	c.breakpoint(at, call, trapByte)
	if err := c.Arm(); err != nil {
		t.Fatal(err)
	}
	c.f.failStubs = errInjected
	if err := c.update(closure(5)); err != nil {
		t.Fatal(err)
	}
	c.breakpoint(at, trapByte, call)
	c.shows(5)
	c.f.failStubs = nil
	if err := c.Arm(); err != nil {
		t.Fatal(err)
	}
	for v := range 3 {
		if err := c.update(closure(v)); err != nil {
			t.Fatal(err)
		}
		c.shows(v)
	}
}

// TestCallNoWaitUnarmed: calls that are known and wait to be armed read the variable; a
// change without waiting makes no stub for them, and so no sync.
func TestCallNoWaitUnarmed(t *testing.T) {
	callVar = callOne
	w := newWorld(t, "store")
	k, err := w.CallAt(unsafe.Pointer(&callVar), nil, false, func() *Key { return nil }, func(*Key) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.set(w.alpha, 1); err != nil { // the machine is up
		t.Fatal(err)
	}
	if _, err := w.Sites(k); err != nil || k.unarmed != callCount {
		t.Fatalf("%d calls wait to be armed: %v", k.unarmed, err)
	}
	syncs := w.f.syncs
	if err := w.ApplyNoWait([]Change{CallChange(k, fn(closure(5)))}); err != nil {
		t.Fatal(err)
	}
	if w.f.syncs != syncs || w.f.stubs != 0 {
		t.Errorf("%d syncs, %d stubs", w.f.syncs-syncs, w.f.stubs)
	}
	if got := callSites(0); got != 555 {
		t.Errorf("the calls give %d", got)
	}
}

// TestCallPutOff: what a sweep had to leave, since a CPU might still lead there, is swept
// once that is over.
func TestCallPutOff(t *testing.T) {
	c := newCalls(t, "int3")
	if err := c.update(closure(5)); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.soon = true
	c.k.callees.sweep(0) // as if nothing led to it
	if !c.unswept || c.leaving != 0 {
		t.Errorf("unswept %v, %d leave while a CPU may lead there", c.unswept, c.leaving)
	}
	c.mu.Unlock()
	if err := c.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := c.update(callOne); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	c.mu.Lock()
	c.sweepAll()
	if c.unswept || c.f.stubs != 0 {
		t.Errorf("unswept %v, %d stubs", c.unswept, c.f.stubs)
	}
	c.mu.Unlock()
}
