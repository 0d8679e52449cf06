//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
	"github.com/quietpatch/quietpatch/internal/text"
)

func TestFaultOnce(t *testing.T) {
	for _, strategy := range everyStrategy {
		t.Run(strategy, func(t *testing.T) { faultOnce(t, strategy) })
	}
}

func faultOnce(t *testing.T, strategy string) {
	w := newWorld(t, strategy).armed()
	p, s := w.f.pokes, w.f.syncs
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	pokes, syncs := w.f.pokes-p, w.f.syncs-s
	v := int64(0)
	for i := range pokes + syncs {
		from := w.f.pokes
		if i < pokes {
			w.f.failPoke = func(nth int, _ uintptr) error { return injectIf(nth == from+i) }
		} else {
			from = w.f.syncs
			w.f.failSync = func(nth int) error { return injectIf(nth == from+i-pokes) }
		}
		fallbacks := w.count.Fallbacks
		if err := w.set(w.alpha, v); err != nil {
			t.Fatalf("%s, fault %d: %v", strategy, i, err)
		}
		if w.count.Fallbacks != fallbacks+1 {
			t.Errorf("%s, fault %d: no fallback was needed: the fault hit nothing", strategy, i)
		}
		w.f.heal()
		w.shows(v, 0)
		v = 1 - v
	}
}

func injectIf(yes bool) error {
	if yes {
		return errInjected
	}
	return nil
}

func TestFaultAtSite(t *testing.T) {
	for _, strategy := range everyStrategy {
		for nth := range alphaChecks {
			t.Run(fmt.Sprint(strategy, nth), func(t *testing.T) { faultAtSite(t, strategy, nth) })
		}
	}
}

func faultAtSite(t *testing.T, strategy string, nth int) {
	w := newWorld(t, strategy).armed()
	bad := w.alpha.sites[nth]
	w.f.failPoke = func(_ int, addr uintptr) error {
		return injectIf(addr >= bad.addr && addr < bad.addr+uintptr(bad.n()))
	}
	err := w.Apply([]Change{{Key: w.beta, Value: 1}, {Key: w.alpha, Value: 1}})
	var se *SiteError
	if !errors.As(err, &se) || !errors.Is(err, errInjected) {
		t.Fatalf("%s: error %v, expected a SiteError around the injected one", strategy, err)
	}
	if strategy != "store" {
		w.vectorShows(0)
	}
	if se.Addr != bad.addr || !se.Undone || !strings.Contains(se.Func, "alpha") || se.Line == 0 {
		t.Errorf("%s: the error names %#x in %s:%d, undone %v; expected %#x", strategy, se.Addr, se.Func, se.Line, se.Undone, bad.addr)
	}
	w.shows(0, 0)
	if err := w.set(w.beta, 1); err != nil {
		t.Errorf("%s: the other key: %v", strategy, err)
	}
	w.shows(0, 1)
	w.f.heal()
	if err := w.set(w.alpha, 1); err != nil {
		t.Errorf("%s: after the fault is gone: %v", strategy, err)
	}
	w.shows(1, 1)
}

func (w *world) vectorShows(v int64) {
	w.t.Helper()
	for _, e := range w.f.vectors[len(w.f.vectors)-1] {
		for _, s := range append(w.alpha.sites[:len(w.alpha.sites):len(w.alpha.sites)], w.beta.sites...) {
			if s.addr != e.Addr {
				continue
			}
			em, err := insn.Emulate(s.form, s.orig, v)
			if err != nil || em.FlagsSet != e.FlagsSet || (em.Reg != insn.NoReg && em.Value != e.Value) {
				w.t.Errorf("the vector's entry for %#x is %+v, expected %+v (%v)", e.Addr, e, em, err)
			}
		}
	}
}

func TestCheckFirst(t *testing.T) {
	for _, strategy := range everyStrategy {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(t, strategy).armed()
			last := w.alpha.sites[len(w.alpha.sites)-1]
			head := w.f.machine.Load(last.addr, 1)
			w.breakpoint(last.addr, head, trapByte)
			pokes := w.f.pokes
			err := w.set(w.alpha, 1)
			var mismatch *text.MismatchError
			if !errors.As(err, &mismatch) || w.f.pokes != pokes {
				t.Errorf("error %v, %d pokes", err, w.f.pokes-pokes)
			}
			w.breakpoint(last.addr, trapByte, head)
			w.shows(0, 0)
		})
	}
}

func (w *world) breakpoint(addr uintptr, old, new uint64) {
	w.t.Helper()
	if err := w.f.machine.Poke(addr, 1, old, new); err != nil {
		w.t.Fatal(err)
	}
}

func TestForeignOnTheWayBack(t *testing.T) {
	w := newWorld(t, "int3").armed()
	first, last := w.alpha.sites[0], w.alpha.sites[len(w.alpha.sites)-1]
	off := uintptr(first.off)
	const foreign = 0x42
	hit := false
	w.f.failPoke = func(_ int, addr uintptr) error {
		if addr != last.addr+1 { // the last tail
			return nil
		}
		if !hit {
			hit = true
			w.breakpoint(first.addr+off, w.f.machine.Load(first.addr+off, 1), foreign)
		}
		return errInjected
	}
	err := w.set(w.alpha, 1)
	if !hit || err == nil || w.stuck == nil {
		t.Fatalf("hit %v, stuck %v, error %v", hit, w.stuck, err)
	}
	if got := w.f.machine.Load(first.addr+off, 1); got != foreign {
		t.Errorf("the foreign byte became %#x", got)
	}
	w.breakpoint(first.addr+off, foreign, word(first.code(0))>>(8*off)&0xFF)
	w.f.heal()
	if err := w.set(w.beta, 1); err != nil {
		t.Fatal(err)
	}
	w.shows(0, 1)
}

func TestWritesStop(t *testing.T) {
	stuck := 0
	for _, rescue := range []bool{true, false} {
		for from := range 3 * alphaChecks {
			t.Run(fmt.Sprint("rescue ", rescue, from), func(t *testing.T) {
				if writesStop(t, rescue, from) {
					stuck++
				}
			})
		}
	}
	if stuck == 0 {
		t.Error("no case got stuck: the test tries nothing")
	}
}

func writesStop(t *testing.T, rescue bool, from int) (stuck bool) {
	w := newWorld(t, "int3").armed()
	base := w.f.pokes
	w.f.failPoke = func(nth int, _ uintptr) error { return injectIf(nth >= base+from) }
	if !rescue {
		w.f.failRescue = errInjected
	}
	err := w.set(w.alpha, 1)
	if err == nil {
		w.shows(1, 0) // the flip needed fewer writes
		return false
	}
	if w.stuck == nil {
		w.shows(0, 0)
		return false
	}
	if rescue {
		t.Errorf("stuck at write %d although the rescue works: %v", from, err)
	}
	if got := w.Status().Reason; !strings.Contains(got, "could not be put back") {
		t.Errorf("Status says %q", got)
	}
	alphaOn() // must not crash, whatever it sees
	if err := w.set(w.beta, 1); err == nil {
		t.Error("another batch went ahead over a stuck one")
	}
	w.f.heal()
	if err := w.set(w.beta, 1); err != nil {
		t.Errorf("after the fault is gone: %v", err)
	}
	w.shows(0, 1)
	return true
}

func TestStuckWhileArming(t *testing.T) {
	for _, strategy := range everyStrategy {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(t, strategy)
			if err := errors.Join(w.set(w.alpha, 1), w.set(w.alpha, 0)); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Sites(w.beta); err != nil {
				t.Fatal(err)
			}
			bad := w.beta.sites[1]
			w.f.failRescue = errInjected
			first := w.beta.sites[0]
			stop := false
			w.f.failPoke = func(_ int, addr uintptr) error {
				stop = stop || addr == bad.addr+1 // all heads are trapped by then
				return injectIf(stop)
			}
			err := w.Apply([]Change{{Key: w.alpha, Value: 1}, {Key: w.beta, Value: 1}})
			if err == nil || w.stuck == nil {
				t.Fatalf("error %v, stuck %v", err, w.stuck)
			}
			if got := w.f.machine.Load(first.addr, 1); got != trapByte {
				t.Fatalf("the head is %#x: nothing is trapped, the test tries nothing", got)
			}
			if on := betaSites(); on != 0 || beta || alphaOn() != 0 {
				t.Errorf("beta: %d checks on, byte %v; alpha: %d on; expected all off", on, beta, alphaOn())
			}
			if err := w.set(w.alpha, 1); err == nil {
				t.Error("another batch went ahead")
			}
			w.f.heal()
			if err := w.Apply([]Change{{Key: w.alpha, Value: 1}, {Key: w.beta, Value: 1}}); err != nil {
				t.Fatal(err)
			}
			w.shows(1, 1)
		})
	}
}

func TestOldValueAfterStuck(t *testing.T) {
	w := newWorld(t, "store").armed()
	last := w.alpha.sites[len(w.alpha.sites)-1]
	stop := false
	w.f.failPoke = func(_ int, addr uintptr) error {
		stop = stop || addr == last.addr+uintptr(last.off)
		return injectIf(stop)
	}
	w.f.failRescue = errInjected
	if err := w.set(w.alpha, 1); err == nil || w.stuck == nil {
		t.Fatalf("error %v, stuck %v", err, w.stuck)
	}
	if err := w.set(w.alpha, 0); err == nil {
		t.Error("Set(0) says that all is well")
	}
	w.f.heal()
	if err := w.set(w.alpha, 0); err != nil {
		t.Error(err)
	}
	w.shows(0, 0)
}

func TestRealRescue(t *testing.T) {
	if os.Getenv("ENGINE_TEST_BACKEND") != "procmem" {
		t.Skip("runs in a process of its own: TestOtherBackend")
	}
	w := newWorld(t, "int3").armed()
	w.f.realRescue = true
	base := w.f.pokes
	w.f.failPoke = func(nth int, _ uintptr) error { return injectIf(nth >= base+len(w.alpha.sites)) }
	if err := w.set(w.alpha, 1); err == nil || w.stuck != nil {
		t.Fatalf("error %v, stuck %v", err, w.stuck)
	}
	w.shows(0, 0)
	w.f.heal()
	for i := range int64(4) {
		if err := w.Apply([]Change{{Key: w.alpha, Value: (i + 1) % 2}, {Key: w.beta, Value: (i + 1) % 2}}); err != nil {
			t.Fatal(err)
		}
		w.shows((i+1)%2, (i+1)%2)
	}
}

func TestArmFault(t *testing.T) {
	w := newWorld(t, "store")
	if err := errors.Join(w.set(w.beta, 1), w.set(w.beta, 0)); err != nil {
		t.Fatal(err) // beta is armed: only alpha's bookkeeping can bring alpha back
	}
	if _, err := w.Sites(w.alpha); err != nil {
		t.Fatal(err)
	}
	bad := &w.alpha.sites[1]
	w.f.failPoke = func(_ int, addr uintptr) error {
		return injectIf(addr >= bad.addr && addr < bad.addr+uintptr(bad.n()))
	}
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	if bad.state != Refused || !strings.Contains(w.whyOf(w.alpha, bad), "injected") || w.alpha.armed != len(w.alpha.sites)-1 {
		t.Errorf("states: %s", w.whys(w.alpha))
	}
	w.shows(1, 0)
	w.f.heal()
	w.armed() // Arm tries again
	w.shows(1, 0)
}

func TestUnsynced(t *testing.T) {
	w := newWorld(t, "store").armed()
	w.f.failSync = func(int) error { return errInjected }
	err := w.set(w.alpha, 1)
	var se *SiteError
	if !errors.As(err, &se) || se.Undone || !se.Unsynced || !strings.Contains(err.Error(), "for a while") {
		t.Errorf("error %+v", err)
	}
	w.f.heal()
	w.shows(0, 0)
}

// TestDebt: a sync that could not be made behind an undo is made before any other
// call returns nil, also before one that has nothing to change.
func TestDebt(t *testing.T) {
	for name, stuck := range map[string]bool{"undone": false, "stuck": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "store").armed()
			w.f.failSync = func(int) error { return errInjected }
			if stuck {
				w.f.failRescue = errInjected
				base := w.f.pokes
				w.f.failPoke = func(nth int, _ uintptr) error { return injectIf(nth > base) }
			}
			if err := w.set(w.alpha, 1); err == nil || (w.stuck != nil) != stuck {
				t.Fatalf("error %v, stuck %v", err, w.stuck)
			}
			w.f.failPoke, w.f.failRescue = nil, nil
			var se *SiteError
			if err := w.set(w.alpha, 0); !errors.As(err, &se) || se.Undone || !se.Unsynced {
				t.Errorf("Set to the old value, with the sync still failing: %v", err)
			}
			if !w.Status().Unsynced {
				t.Error("Status does not say that a sync is owed")
			}
			w.f.heal()
			before := w.f.syncs
			if err := w.set(w.alpha, 0); err != nil || w.f.syncs != before+1 || w.Status().Unsynced {
				t.Errorf("Set to the old value: %v, %d syncs", err, w.f.syncs-before)
			}
			if err := w.set(w.alpha, 0); err != nil || w.f.syncs != before+1 {
				t.Errorf("once more: %v, %d syncs", err, w.f.syncs-before)
			}
			w.shows(0, 0)
		})
	}
}

// TestSyncRepairs: Sync makes the sync that an earlier batch owes.
func TestSyncRepairs(t *testing.T) {
	w := newWorld(t, "store").armed()
	w.f.failSync = func(int) error { return errInjected }
	if err := w.set(w.alpha, 1); err == nil {
		t.Fatal("no error")
	}
	if err := w.Sync(); err == nil || !w.Status().Unsynced {
		t.Errorf("Sync: %v", err)
	}
	if err := w.ApplyNoWait([]Change{{Key: w.alpha, Value: 1}}); !errors.Is(err, ErrNoWait) {
		t.Errorf("ApplyNoWait with a sync owed: %v", err)
	}
	w.f.heal()
	if err := w.Sync(); err != nil || w.Status().Unsynced {
		t.Errorf("Sync: %v", err)
	}
	w.shows(0, 0)
}

// TestNoWaitFault: a change without waiting that fails is undone without waiting.
func TestNoWaitFault(t *testing.T) {
	w := newWorld(t, "store").armed()
	base, syncs := w.f.pokes, w.f.syncs
	w.f.failPoke = func(nth int, _ uintptr) error { return injectIf(nth == base+2) }
	var se *SiteError
	if err := w.ApplyNoWait([]Change{{Key: w.alpha, Value: 1}}); !errors.As(err, &se) || se.Undone || !se.Unsynced || w.f.syncs != syncs {
		t.Errorf("%v, %d syncs", err, w.f.syncs-syncs)
	}
	w.heal(0, 0)
	if err := w.set(w.alpha, 0); err != nil || w.f.syncs != syncs+1 {
		t.Errorf("Set to the old value: %v, %d syncs", err, w.f.syncs-syncs)
	}
}

func (w *world) heal(a, b int64) {
	w.f.heal()
	w.shows(a, b)
}

// TestForeignByteByWindow: the short way of alias compares what of a site lies in one
// aligned quadword with the byte that changes. What it finds there, in the middle of a
// batch, is undone; what is elsewhere stays, and does not matter.
func TestForeignByteByWindow(t *testing.T) {
	if testBackend != BackendAlias {
		t.Skip("runs in a process of its own: TestOtherBackend")
	}
	w := newWorld(t, "store").armed()
	w.f.realWindow = true
	var inside, outside int
	for i := range w.alpha.sites {
		s := &w.alpha.sites[i]
		for addr := s.addr; addr < s.addr+uintptr(s.n()); addr++ {
			if addr/8 == (s.addr+uintptr(s.off))/8 {
				inside++
				w.refusesForeign(s, addr)
			} else {
				outside++
				w.ignoresForeign(addr)
			}
		}
	}
	if inside == 0 || outside == 0 {
		t.Errorf("%d bytes in the quadword, %d outside: this build tests half of it", inside, outside)
	}
	syncs, pokes := w.f.syncs, w.count.Pokes
	if err := w.set(w.alpha, 1); err != nil || w.f.syncs != syncs+1 || w.count.Pokes != pokes+uint64(w.alpha.armed) {
		t.Errorf("%v, %d syncs, %d pokes of %d sites", err, w.f.syncs-syncs, w.count.Pokes-pokes, w.alpha.armed)
	}
	w.shows(1, 0)
}

// refusesForeign: a foreign byte makes the flip fail, and nothing has changed.
func (w *world) refusesForeign(s *Site, addr uintptr) {
	w.t.Helper()
	was := w.f.machine.Load(addr, 1)
	w.breakpoint(addr, was, 0xCC)
	err := w.set(w.alpha, 1)
	var se *SiteError
	if !errors.As(err, &se) || !se.Undone || se.Addr != s.addr || !strings.HasPrefix(se.Step, "S") {
		w.t.Errorf("a foreign byte at %#x: %v", addr, err)
	}
	w.breakpoint(addr, 0xCC, was)
	w.shows(0, 0)
}

// ignoresForeign: a foreign byte stays where it is, and the flip is made.
func (w *world) ignoresForeign(addr uintptr) {
	w.t.Helper()
	was := w.f.machine.Load(addr, 1)
	w.breakpoint(addr, was, 0xCC)
	err := w.set(w.alpha, 1)
	w.breakpoint(addr, 0xCC, was)
	if err != nil {
		w.t.Errorf("a foreign byte at %#x: %v", addr, err)
		return
	}
	w.shows(1, 0)
	if err := w.set(w.alpha, 0); err != nil {
		w.t.Errorf("a foreign byte was at %#x: %v", addr, err)
	}
	w.shows(0, 0)
}
