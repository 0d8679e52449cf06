//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"errors"
	"reflect"
	"runtime"
	"testing"

	"github.com/quietpatch/quietpatch/internal/site"
	"github.com/quietpatch/quietpatch/internal/stub"
)

// The calls of indirectThunk stand for those of a retpoline: this package is tested in
// builds that have none. What they are led to jumps to functions of the same type.

//go:noinline
func indirectThunk(x int) int { return x + callOne(0) }

//go:noinline
func indirectCalls(x int) (n int) {
	n = indirectThunk(x)
	n += 10 * indirectThunk(x)
	return n + 100*indirectThunk(x)
}

// indirects is a world with three such calls.
type indirects struct {
	*world
	calls []*Indirect
}

func newIndirects(t *testing.T, strategy string) *indirects {
	t.Helper()
	w := newWorld(t, strategy)
	if err := w.loadImage(); err != nil {
		t.Fatal(err)
	}
	if err := w.img.Read(); err != nil {
		t.Fatal(err)
	}
	defer w.img.Release()
	x := &indirects{world: w}
	thunk := uint64(reflect.ValueOf(indirectThunk).Pointer())
	for _, s := range site.FindCalls(w.img, []uint64{thunk}, nil) {
		x.calls = append(x.calls, &Indirect{site: w.newSite(&s), fn: s.Func, thunk: thunk})
	}
	if len(x.calls) != 3 {
		t.Fatalf("%d calls, expected 3", len(x.calls))
	}
	w.indirects = x.calls
	return x
}

// to describes stubs that jump to f, for the calls of these numbers.
func (x *indirects) to(f func(int) int, calls ...int) (list []Redirect) {
	for _, i := range calls {
		list = append(list, Redirect{Call: x.calls[i], Size: stub.ClosureMax, Code: func(at uint64) ([]byte, error) {
			return stub.Closure(at, 0, uint64(reflect.ValueOf(f).Pointer()))
		}})
	}
	return list
}

func (x *indirects) back(calls ...int) (list []Redirect) {
	for _, i := range calls {
		list = append(list, Redirect{Call: x.calls[i]})
	}
	return list
}

func (x *indirects) gives(want int) {
	x.t.Helper()
	if got := indirectCalls(0); got != want {
		x.t.Errorf("the calls give %d, expected %d", got, want)
	}
}

func (x *indirects) redirect(list []Redirect) Redirected {
	x.t.Helper()
	out, err := x.Redirect(list, x.Restores())
	if err != nil {
		x.t.Fatal(err)
	}
	return out
}

func TestRedirect(t *testing.T) {
	for _, strategy := range []string{"store", "int3", "one-at-a-time"} {
		t.Run(strategy, func(t *testing.T) {
			x := newIndirects(t, strategy)
			x.gives(111)
			x.redirect(x.to(callTwo, 0, 1, 2))
			x.gives(222)
			x.redirect(append(x.to(callTwo, 2), x.back(0)...))
			x.gives(221)
			if s := x.Status().Stubs; s.Redirected != 2 {
				t.Errorf("%+v", s)
			}
			x.redirect(x.back(0, 1, 2))
			x.gives(111)
			runtime.GC()
			x.redirect(x.back(0))
			if x.f.stubs != 0 || x.leaving != 0 {
				t.Errorf("%d stubs in use, %d wait", x.f.stubs, x.leaving)
			}
			x.redirect(x.to(callTwo, 1))
			if err := x.Disarm(); err != nil {
				t.Fatal(err)
			}
			x.gives(111)
		})
	}
}

// TestRedirectSyncs: one sync behind new stubs, before anything leads there.
func TestRedirectSyncs(t *testing.T) {
	x := newIndirects(t, "int3")
	x.redirect(x.to(callTwo, 0))
	before := x.f.syncs
	x.redirect(x.to(callTwo, 1, 2))
	if n := x.f.syncs - before; n != 4 {
		t.Errorf("%d syncs with new stubs, expected 4", n)
	}
	before = x.f.syncs
	x.redirect(x.back(1, 2))
	if n := x.f.syncs - before; n != 3 {
		t.Errorf("%d syncs without, expected 3", n)
	}
	before, pokes := x.f.syncs, x.f.pokes
	x.f.failSync = func(int) error { return errInjected }
	if _, err := x.Redirect(x.to(callTwo, 1), x.Restores()); !errors.Is(err, errInjected) || x.f.pokes != pokes || x.f.syncs != before+1 {
		t.Errorf("%v, %d pokes behind a sync that failed", err, x.f.pokes-pokes)
	}
}

// TestRedirectRestored: a list that was made before Disarm is not carried out.
func TestRedirectRestored(t *testing.T) {
	x := newIndirects(t, "int3")
	known := x.Restores()
	x.redirect(x.to(callTwo, 0))
	if err := x.Disarm(); err != nil {
		t.Fatal(err)
	}
	if err := x.Arm(); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Redirect(x.to(callTwo, 1), known); !errors.Is(err, ErrRestored) {
		t.Error(err)
	}
	x.gives(111)
}

// TestRedirectPartly: what cannot be made, written, or is somebody else's does not
// keep the others from being led.
func TestRedirectPartly(t *testing.T) {
	for _, strategy := range []string{"store", "int3"} {
		for _, c := range []struct {
			name            string
			fault           func(x *indirects, list []Redirect)
			refused, unmade int
		}{
			{"no stub", func(_ *indirects, list []Redirect) {
				list[1].Code = func(uint64) ([]byte, error) { return nil, errInjected }
			}, 0, 1},
			{"one page cannot be prepared", func(x *indirects, _ []Redirect) { x.f.failPrepareAt = x.calls[1].site.addr }, 0, 1},
			{"no write", func(x *indirects, _ []Redirect) {
				x.f.failPoke = func(_ int, addr uintptr) error {
					if x.calls[1].site.covers(addr) {
						return errInjected
					}
					return nil
				}
			}, 0, 1},
			{"a breakpoint", func(x *indirects, _ []Redirect) {
				x.breakpoint(x.calls[1].site.addr, 0xE8, trapByte)
				x.t.Cleanup(func() { x.breakpoint(x.calls[1].site.addr, trapByte, 0xE8) })
			}, 1, 0},
		} {
			t.Run(strategy+"/"+c.name, func(t *testing.T) {
				x := newIndirects(t, strategy)
				x.redirect(x.to(callTwo, 0)) // the pages are prepared
				x.redirect(x.back(0))
				list := x.to(callTwo, 0, 1, 2)
				c.fault(x, list)
				out := x.redirect(list)
				x.f.heal()
				if len(out.Refused) != c.refused || len(out.Unmade) != c.unmade || (out.Why != nil) != (c.unmade > 0) {
					t.Errorf("%+v", out)
				}
				if c.refused > 0 {
					x.calls[1].site.state = Memory // it traps: do not call it
					if x.calls[0].stub == 0 || x.calls[1].stub != 0 || x.calls[2].stub == 0 {
						t.Errorf("stubs %#x %#x %#x", x.calls[0].stub, x.calls[1].stub, x.calls[2].stub)
					}
					return
				}
				x.gives(212)
			})
		}
	}
}

// TestRedirectDebt: no stub is freed while a sync is owed.
func TestRedirectDebt(t *testing.T) {
	x := newIndirects(t, "int3")
	x.redirect(x.to(callTwo, 0))
	x.f.syncs = 0
	x.f.failSync = func(i int) error {
		if i > 1 {
			return errInjected
		}
		return nil
	}
	_, _ = x.Redirect(x.to(callTwo, 0, 1), x.Restores())
	x.f.freed = 0
	if len(x.left) == 0 {
		t.Fatal("no stub was left")
	}
	for _, l := range x.left {
		if l.since != nil {
			t.Errorf("the grace period of %#x has begun, and a CPU may still lead there", l.at)
		}
	}
	for range 3 {
		runtime.GC()
		_, _ = x.Redirect(x.back(0), x.Restores())
	}
	if x.owed == nil && x.stuck == nil || x.f.freed > 0 {
		t.Errorf("owed %v, stuck %v, %d freed", x.owed, x.stuck, x.f.freed)
	}
	x.f.heal()
	for range 3 {
		x.redirect(x.back(0, 1, 2))
		runtime.GC()
	}
	if x.f.stubs != 0 {
		t.Errorf("%d stubs are left", x.f.stubs)
	}
	x.gives(111)
}
