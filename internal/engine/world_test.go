//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/text"
	"github.com/quietpatch/quietpatch/internal/trap"
)

// The engine is tested on real text: these bools are keys like any other, and

// the functions below hold their sites. They write through a pointer between

// checks, which might be the key's: else compilers merge the reads.

var (
	alpha, beta bool
	sink        [8]int
)

type boolCell struct{ b *bool }

func (c boolCell) Load() int64 {
	if *c.b {
		return 1
	}
	return 0
}

func (c boolCell) Store(v int64) { *c.b = v != 0 }

//go:noinline

func alphaSites(s *[8]int) (on int) {
	if alpha {
		on++
	}
	s[0]++
	if alpha {
		on++
	}
	s[1]++
	if !alpha {
		on--
	}
	on++
	s[2]++
	if alpha {
		on++
	}
	return on
}

//go:noinline

func alphaValue() bool { return alpha }

//go:noinline

func betaChecked(s *[8]int) (on int) {
	if beta {
		on++
	}
	s[0]++
	if beta {
		on++
	}
	return on
}

const alphaChecks, betaChecks = 5, 2

func betaSites() int { return betaChecked(&sink) }

func alphaOn() int {
	n := alphaSites(&sink)
	if alphaValue() {
		n++
	}
	return n
}

// faulty is the real machine with faults in front.

type faulty struct {
	machine
	pokes, syncs  int
	everyone      []bool // what the syncs were asked for
	failPoke      func(nth int, addr uintptr) error
	failRescue    error
	realRescue    bool
	realWindow    bool
	failSync      func(nth int) error
	failPrepare   error
	failPrepareAt uintptr // if it is among the addresses
	failReady     error
	failStubs     error
	failVisit     error
	stubs, freed  int // in use, and freed so far
	vectors       [][]trap.Entry
}

var errInjected = errors.New("injected")

func (f *faulty) Poke(addr uintptr, n int, old, new uint64) error {
	f.pokes++
	if f.failPoke != nil {
		if err := f.failPoke(f.pokes-1, addr); err != nil {
			return &text.WriteError{Backend: "faulty", Addr: addr, N: n, Err: err}
		}
	}
	return f.machine.Poke(addr, n, old, new)
}

// Window is none, so that every write goes through Poke, where the faults are,
// unless a test wants the real one.
func (f *faulty) Window() *text.Window {
	if f.realWindow {
		return f.machine.Window()
	}
	return nil
}

func (f *faulty) Rescue(addr uintptr, n int, old, new uint64) error {
	if f.failRescue != nil {
		return f.failRescue
	}
	if f.realRescue {
		return f.machine.Rescue(addr, n, old, new)
	}
	return f.machine.Poke(addr, n, old, new)
}

func (f *faulty) Sync(everyone bool) error {
	f.syncs++
	f.everyone = append(f.everyone, everyone)
	if f.failSync != nil {
		if err := f.failSync(f.syncs - 1); err != nil {
			return err
		}
	}
	return f.machine.Sync(everyone)
}

func (f *faulty) Prepare(a []uintptr) error {
	if f.failPrepare != nil {
		return f.failPrepare
	}
	if f.failPrepareAt != 0 && slices.Contains(a, f.failPrepareAt) {
		return errInjected
	}
	return f.machine.Prepare(a)
}

func (f *faulty) Ready(allow bool) error {
	if f.failReady != nil {
		return f.failReady
	}
	return f.machine.Ready(allow)
}

func (f *faulty) Publish(es []trap.Entry) error {
	f.vectors = append(f.vectors, append([]trap.Entry{}, es...))
	return f.machine.Publish(es)
}

func (f *faulty) Visit() error {
	if f.failVisit != nil {
		return f.failVisit
	}
	return f.machine.Visit()
}

// Stubs counts what is in use.
func (f *faulty) Stubs() (stubMemory, error) {
	if f.failStubs != nil {
		return nil, f.failStubs
	}
	mem, err := f.machine.Stubs()
	return countedStubs{mem, f}, err
}

type countedStubs struct {
	stubMemory
	f *faulty
}

func (c countedStubs) Alloc(n int) (uintptr, error) {
	at, err := c.stubMemory.Alloc(n)
	if err == nil {
		c.f.stubs++
	}
	return at, err
}

func (c countedStubs) Free(at uintptr) error {
	err := c.stubMemory.Free(at)
	if err == nil {
		c.f.stubs--
		c.f.freed++
	}
	return err
}

func (f *faulty) heal() {
	f.failPoke, f.failRescue, f.failSync, f.failPrepare, f.failReady, f.failStubs = nil, nil, nil, nil, nil, nil
	f.failPrepareAt = 0
}

// world is an engine with two keys over the faulty machine. Everything is

// disarmed at the end, so that tests do not see each other's text.

type world struct {
	*Engine
	t           testing.TB
	f           *faulty
	alpha, beta *Key
}

func newWorld(t testing.TB, strategy string) *world {
	t.Helper()
	alpha, beta = false, false
	w := &world{Engine: newEngine(), t: t, f: &faulty{}}
	w.reaping = true // no timers: the engines of these tests share one arena
	w.openM = func(img image, o Options, ours func(uintptr, byte) bool) (machine, error) {
		m, err := openMachine(img, o, ours)
		if err != nil {
			return nil, err
		}
		w.f.machine = m
		return w.f, nil
	}
	w.alpha = NewKey(unsafe.Pointer(&alpha), 1, boolCell{&alpha})
	w.beta = NewKey(unsafe.Pointer(&beta), 1, boolCell{&beta})
	if err := errors.Join(w.Register(w.alpha, "alpha", "the first"), w.Register(w.beta, "beta", "the second"),
		w.Configure(Options{Strategy: strategy, Backend: testBackend})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.f.heal()
		if err := w.Disarm(); err != nil {
			t.Error("disarm at the end:", err)
		}
	})
	return w
}

func (w *world) set(k *Key, v int64) error { return w.Apply([]Change{{Key: k, Value: v}}) }

// armed arms both keys and fails the test if a site is left out.

func (w *world) armed() *world {
	w.t.Helper()
	if err := w.Arm(); err != nil {
		w.t.Fatal(err)
	}
	for _, k := range []*Key{w.alpha, w.beta} {
		if len(k.sites) == 0 || k.armed != len(k.sites) {
			w.t.Fatalf("%s: %d of %d sites armed: %s", k.label(), k.armed, len(k.sites), w.whys(k))
		}
	}
	return w
}

func (w *world) whys(k *Key) string {
	var b strings.Builder
	for i := range k.sites {
		s := &k.sites[i]
		fmt.Fprintf(&b, "%#x %s %q; ", s.addr, s.state, w.whyOf(k, s))
	}
	return b.String()
}

// shows checks that byte, bytes of sites and executed checks agree on values.

func (w *world) shows(a, b int64) {
	w.t.Helper()
	for _, x := range []struct {
		k      *Key
		v      int64
		on     int
		checks int
	}{{w.alpha, a, alphaOn(), alphaChecks}, {w.beta, b, betaSites(), betaChecks}} {
		if got := x.k.cell.Load(); got != x.v {
			w.t.Errorf("%s: the byte is %d, expected %d", x.k.label(), got, x.v)
		}
		for i := range x.k.sites {
			s := &x.k.sites[i]
			want := word(s.orig)
			if s.state == Armed {
				want = word(s.code(x.v))
			}
			if got := text.Load(s.addr, s.n()); got != want {
				w.t.Errorf("%s: site %#x (%s) holds %s, expected %s", x.k.label(), s.addr, s.state, text.Hex(got, s.n()), text.Hex(want, s.n()))
			}
		}
		if want := x.checks * int(x.v); x.on != want {
			w.t.Errorf("%s: %d checks saw it on, expected %d", x.k.label(), x.on, want)
		}
	}
}

// testBackend is procmem, or what [TestOtherBackend] asks for: a process cannot

// go back from alias.

// TestOtherBackend runs all tests again in a process of their own, on alias,

// and the change of backends in another.

// TestSyncBudget: the syncs of a batch do not depend on how many sites and keys

// it has, and a batch without changes has none.

// TestVectorSorted: the handler searches the vector, so it must be sorted over

// all keys of a batch.

// TestFaultOnce fails every poke and every sync of a flip once: the batch is

// undone, tried again one site at a time, and that works.

// TestFaultAtSite: one site can never be written. The call fails, names it, and

// everything shows the old value; other keys go on.

// vectorShows checks that the last vector makes trapped threads see v.

// TestCheckFirst: a foreign byte in the last site is found before anything is

// written to the first.

// breakpoint pokes past the engine.

// TestForeignOnTheWayBack: somebody writes to a site in the middle of a batch

// that fails. Their byte is not overwritten; once it is gone, the next call

// repairs.

// TestWritesStop: from some write on nothing can be written any more. The

// rescue backend must bring the old bytes back; without it, trapped sites must

// work through the vector, and the next call must repair.

// TestStuckWhileArming: a batch gets stuck while it arms one of its keys. The

// rest of it must not run: its vector would replace the one that the trapped

// sites live by.

// TestOldValueAfterStuck: setting the old value again is a call like any other:

// it repairs, or says that it cannot.

// TestRealRescue: procmem fails half way and the other backend brings the old

// bytes back, by moving the page. From then on that page is written there.

// TestArmFault: a site that cannot be armed stays a memory read; the others are

// armed and the key works.

// TestNotArmable: pages cannot be prepared, or the handler is not ours or a tracer sits there; a handler that is not ours: the key works from memory.

// TestInt3WhileTraced: an armed key cannot be flipped by int3 when traps are

// not possible. The call fails and nothing changes; store goes on.

// TestUnsynced: the bytes are back, but no sync works any more. The error must

// not say that every CPU shows the old value.

// TestDisarmOverwritten: disarming changes no value, also where the byte was

// overwritten behind the sites' back.

// TestStatusAfterRepair: a batch that got stuck while arming is forgotten once

// it is repaired, whoever repairs it.

// TestSearchFails: a text that cannot be read now is searched the next time.

// deafImage cannot read its text while err is set.
