//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
	"github.com/quietpatch/quietpatch/internal/protocol"
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
	pokes, syncs int
	failPoke     func(nth int, addr uintptr) error
	failRescue   error
	realRescue   bool
	failSync     func(nth int) error
	failPrepare  error
	failReady    error
	vectors      [][]trap.Entry
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

func (f *faulty) Rescue(addr uintptr, n int, old, new uint64) error {
	if f.failRescue != nil {
		return f.failRescue
	}
	if f.realRescue {
		return f.machine.Rescue(addr, n, old, new)
	}
	return f.machine.Poke(addr, n, old, new)
}

func (f *faulty) Sync() error {
	f.syncs++
	if f.failSync != nil {
		if err := f.failSync(f.syncs - 1); err != nil {
			return err
		}
	}
	return f.machine.Sync()
}

func (f *faulty) Prepare(a []uintptr) error {
	if f.failPrepare != nil {
		return f.failPrepare
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

func (f *faulty) heal() {
	f.failPoke, f.failRescue, f.failSync, f.failPrepare, f.failReady = nil, nil, nil, nil, nil
}

// world is an engine with two keys over the faulty machine. Everything is
// disarmed at the end, so that tests do not see each other's text.
type world struct {
	*Engine
	t           *testing.T
	f           *faulty
	alpha, beta *Key
}

func newWorld(t *testing.T, strategy string) *world {
	t.Helper()
	alpha, beta = false, false
	w := &world{Engine: newEngine(), t: t, f: &faulty{}}
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

func (w *world) set(k *Key, v int64) error { return w.Apply([]Change{{k, v}}) }

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
	for _, s := range k.sites {
		fmt.Fprintf(&b, "%#x %s %q; ", s.addr, s.state, s.why)
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
		for _, s := range x.k.sites {
			want := s.orig
			if s.state == Armed {
				want = s.word(x.v)
			}
			if got := text.Load(s.addr, int(s.n)); got != want {
				w.t.Errorf("%s: site %#x (%s) holds %s, expected %s", x.k.label(), s.addr, s.state, text.Hex(got, int(s.n)), text.Hex(want, int(s.n)))
			}
		}
		if want := x.checks * int(x.v); x.on != want {
			w.t.Errorf("%s: %d checks saw it on, expected %d", x.k.label(), x.on, want)
		}
	}
}

// testBackend is procmem, or what [TestOtherBackend] asks for: a process cannot
// go back from alias.
var testBackend = cmp.Or(os.Getenv("ENGINE_TEST_BACKEND"), "procmem")

// TestOtherBackend runs all tests again in a process of their own, on alias,
// and the change of backends in another.
func TestOtherBackend(t *testing.T) {
	if os.Getenv("ENGINE_TEST_BACKEND") != "" {
		t.Skip("this is the other backend")
	}
	for _, c := range [][2]string{{"alias", "."}, {"procmem", "TestConfigure"}, {"procmem", "TestRealRescue"}} {
		cmd := exec.Command(os.Args[0], "-test.run="+c[1])
		cmd.Env = append(os.Environ(), "ENGINE_TEST_BACKEND="+c[0])
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("tests on %s: %v\n%s", c[0], err, out)
		}
	}
}

var everyStrategy = []string{"store", "int3", "one-at-a-time"}

func TestToggle(t *testing.T) {
	for _, strategy := range everyStrategy {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(t, strategy).armed()
			w.shows(0, 0)
			for i := range 20 {
				v := int64(i+1) % 2
				if err := w.set(w.alpha, v); err != nil {
					t.Fatal(err)
				}
				w.shows(v, 0)
			}
			if err := w.Apply([]Change{{w.alpha, 0}, {w.beta, 0}, {w.alpha, 1}, {w.beta, 1}}); err != nil {
				t.Fatal(err)
			}
			w.shows(1, 1)
		})
	}
}

// TestSyncBudget: the syncs of a batch do not depend on how many sites and keys
// it has, and a batch without changes has none.
func TestSyncBudget(t *testing.T) {
	for strategy, want := range map[string]int{"store": 1, "int3": 3} {
		t.Run(strategy, func(t *testing.T) { syncBudget(t, strategy, want) })
	}
}

func syncBudget(t *testing.T, strategy string, want int) {
	w := newWorld(t, strategy).armed()
	before := w.f.syncs
	if err := w.Apply([]Change{{w.alpha, 1}, {w.beta, 1}}); err != nil {
		t.Fatal(err)
	}
	if got := w.f.syncs - before; got != want {
		t.Errorf("%s: %d syncs for a batch of two keys, expected %d", strategy, got, want)
	}
	before = w.f.syncs
	if err := w.Apply([]Change{{w.alpha, 0}, {w.alpha, 1}, {w.beta, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Apply(nil); err != nil {
		t.Fatal(err)
	}
	if got := w.f.syncs - before; got != 0 {
		t.Errorf("%s: %d syncs for batches that change nothing", strategy, got)
	}
}

// TestVectorSorted: the handler searches the vector, so it must be sorted over
// all keys of a batch.
func TestVectorSorted(t *testing.T) {
	w := newWorld(t, "int3").armed()
	if err := w.Apply([]Change{{w.beta, 1}, {w.alpha, 1}}); err != nil {
		t.Fatal(err)
	}
	v := w.f.vectors[len(w.f.vectors)-1]
	if len(v) != len(w.alpha.sites)+len(w.beta.sites) {
		t.Fatalf("%d entries for %d sites", len(v), len(w.alpha.sites)+len(w.beta.sites))
	}
	for i := 1; i < len(v); i++ {
		if v[i-1].Addr >= v[i].Addr {
			t.Fatalf("entry %d at %#x, entry %d at %#x", i-1, v[i-1].Addr, i, v[i].Addr)
		}
	}
	if err := w.Apply([]Change{{w.beta, 0}, {w.alpha, 0}}); err != nil {
		t.Fatal(err)
	}
}

// TestFaultOnce fails every poke and every sync of a flip once: the batch is
// undone, tried again one site at a time, and that works.
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

// TestFaultAtSite: one site can never be written. The call fails, names it, and
// everything shows the old value; other keys go on.
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
		return injectIf(addr >= bad.addr && addr < bad.addr+uintptr(bad.n))
	}
	err := w.Apply([]Change{{w.beta, 1}, {w.alpha, 1}})
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

// vectorShows checks that the last vector makes trapped threads see v.
func (w *world) vectorShows(v int64) {
	w.t.Helper()
	for _, e := range w.f.vectors[len(w.f.vectors)-1] {
		for _, s := range append(w.alpha.sites[:len(w.alpha.sites):len(w.alpha.sites)], w.beta.sites...) {
			if s.addr != e.Addr {
				continue
			}
			em, err := insn.Emulate(s.form, code(s.orig, s.n), v)
			if err != nil || em.FlagsSet != e.FlagsSet || (em.Reg != insn.NoReg && em.Value != e.Value) {
				w.t.Errorf("the vector's entry for %#x is %+v, expected %+v (%v)", e.Addr, e, em, err)
			}
		}
	}
}

// TestCheckFirst: a foreign byte in the last site is found before anything is
// written to the first.
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

// breakpoint pokes past the engine.
func (w *world) breakpoint(addr uintptr, old, new uint64) {
	w.t.Helper()
	if err := w.f.machine.Poke(addr, 1, old, new); err != nil {
		w.t.Fatal(err)
	}
}

// TestForeignOnTheWayBack: somebody writes to a site in the middle of a batch
// that fails. Their byte is not overwritten; once it is gone, the next call
// repairs.
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
	w.breakpoint(first.addr+off, foreign, w.alpha.sites[0].word(0)>>(8*off)&0xFF)
	w.f.heal()
	if err := w.set(w.beta, 1); err != nil {
		t.Fatal(err)
	}
	w.shows(0, 1)
}

// TestWritesStop: from some write on nothing can be written any more. The
// rescue backend must bring the old bytes back; without it, trapped sites must
// work through the vector, and the next call must repair.
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

// TestStuckWhileArming: a batch gets stuck while it arms one of its keys. The
// rest of it must not run: its vector would replace the one that the trapped
// sites live by.
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
			err := w.Apply([]Change{{w.alpha, 1}, {w.beta, 1}})
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
			if err := w.Apply([]Change{{w.alpha, 1}, {w.beta, 1}}); err != nil {
				t.Fatal(err)
			}
			w.shows(1, 1)
		})
	}
}

// TestOldValueAfterStuck: setting the old value again is a call like any other:
// it repairs, or says that it cannot.
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

// TestRealRescue: procmem fails half way and the other backend brings the old
// bytes back, by moving the page. From then on that page is written there.
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
		if err := w.Apply([]Change{{w.alpha, (i + 1) % 2}, {w.beta, (i + 1) % 2}}); err != nil {
			t.Fatal(err)
		}
		w.shows((i+1)%2, (i+1)%2)
	}
}

// TestArmFault: a site that cannot be armed stays a memory read; the others are
// armed and the key works.
func TestArmFault(t *testing.T) {
	w := newWorld(t, "store")
	if err := errors.Join(w.set(w.beta, 1), w.set(w.beta, 0)); err != nil {
		t.Fatal(err) // beta is armed: only alpha's bookkeeping can bring alpha back
	}
	if _, err := w.Sites(w.alpha); err != nil {
		t.Fatal(err)
	}
	bad := w.alpha.sites[1]
	w.f.failPoke = func(_ int, addr uintptr) error {
		return injectIf(addr >= bad.addr && addr < bad.addr+uintptr(bad.n))
	}
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	if bad.state != Refused || !strings.Contains(bad.why, "injected") || w.alpha.armed != len(w.alpha.sites)-1 {
		t.Errorf("states: %s", w.whys(w.alpha))
	}
	w.shows(1, 0)
	w.f.heal()
	w.armed() // Arm tries again
	w.shows(1, 0)
}

// TestNotArmable: pages cannot be prepared, or the handler is not ours or a tracer sits there; a handler that is not ours: the key works from memory.
func TestNotArmable(t *testing.T) {
	w := newWorld(t, "store")
	w.f.failReady = errInjected
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	if w.alpha.armed != 0 || !strings.Contains(w.Status().Reason, "injected") || w.Status().Mode != ModeMemory {
		t.Errorf("armed %d, status %+v", w.alpha.armed, w.Status())
	}
	w.shows(1, 0)
	w.f.heal()
	if err := w.set(w.alpha, 0); err != nil { // tried again by itself
		t.Fatal(err)
	}
	if w.alpha.armed != len(w.alpha.sites) || w.Status().Mode != ModeLive {
		t.Errorf("armed %d, status %+v", w.alpha.armed, w.Status())
	}
	w.shows(0, 0)
	w.f.failReady = errInjected
	if err := w.set(w.beta, 1); err != nil {
		t.Fatal(err)
	}
	if s := w.Status(); s.Mode != ModeLive || s.Reason != "" || !strings.Contains(s.NotArmed, "injected") {
		t.Errorf("alpha is live and beta was put off: status %+v", s)
	}
	if err := w.set(w.beta, 0); err == nil {
		w.f.heal()
	}
	w.f.failPrepare = errInjected
	if err := w.set(w.beta, 1); err != nil {
		t.Fatal(err)
	}
	if w.beta.armed != 0 || !strings.Contains(w.whys(w.beta), "injected") {
		t.Errorf("states: %s", w.whys(w.beta))
	}
	w.shows(0, 1)
}

// TestInt3WhileTraced: an armed key cannot be flipped by int3 when traps are
// not possible. The call fails and nothing changes; store goes on.
func TestInt3WhileTraced(t *testing.T) {
	w := newWorld(t, "int3").armed()
	w.f.failReady = errInjected
	err := w.set(w.alpha, 1)
	if err == nil || !errors.Is(err, errInjected) || !strings.Contains(err.Error(), "old value") {
		t.Errorf("error %v", err)
	}
	w.shows(0, 0)
	w.strategy = protocol.Store
	if err := w.set(w.alpha, 1); err != nil {
		t.Error(err)
	}
	w.shows(1, 0)
}

// TestUnsynced: the bytes are back, but no sync works any more. The error must
// not say that every CPU shows the old value.
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

// TestDisarmOverwritten: disarming changes no value, also where the byte was
// overwritten behind the sites' back.
func TestDisarmOverwritten(t *testing.T) {
	w := newWorld(t, "store").armed()
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	alpha = false
	if err := w.Disarm(); err != nil {
		t.Fatal(err)
	}
	w.shows(1, 0)
}

// TestStatusAfterRepair: a batch that got stuck while arming is forgotten once
// it is repaired, whoever repairs it.
func TestStatusAfterRepair(t *testing.T) {
	w := newWorld(t, "store")
	w.f.failPoke = func(nth int, _ uintptr) error { return injectIf(nth > 2) }
	w.f.failRescue = errInjected
	if err := w.Arm(); err == nil || w.stuck == nil {
		t.Fatalf("error %v", err)
	}
	if s := w.Status(); s.Mode != ModeMemory || !strings.Contains(s.Reason, "could not be put back") {
		t.Errorf("status %+v", s)
	}
	w.f.heal()
	if err := w.set(w.alpha, 0); err != nil { // the value it has
		t.Fatal(err)
	}
	if s := w.Status(); s.Mode != ModeLive || s.NotArmed != "" {
		t.Errorf("status %+v", s)
	}
	w.armed()
	w.shows(0, 0)
}

// TestSearchFails: a text that cannot be read now is searched the next time.
func TestSearchFails(t *testing.T) {
	w := newWorld(t, "store")
	open := w.openImg
	var img *deafImage
	w.openImg = func() (image, error) {
		i, err := open()
		img = &deafImage{image: i, err: errInjected}
		return img, err
	}
	w.openM = func(_ image, o Options, ours func(uintptr, byte) bool) (machine, error) {
		m, err := openMachine(img.image, o, ours)
		w.f.machine = m
		return w.f, err
	}
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	if s := w.Status(); s.Mode != ModeMemory || !strings.Contains(s.Reason, "injected") || w.alpha.searched {
		t.Errorf("searched %v, status %+v", w.alpha.searched, s)
	}
	img.err = nil
	w.armed()
	w.shows(1, 0)
}

// deafImage cannot read its text while err is set.
type deafImage struct {
	image
	err error
}

func (d *deafImage) Read() error {
	if d.err != nil {
		return d.err
	}
	return d.image.Read()
}

func TestDisarm(t *testing.T) {
	w := newWorld(t, "store").armed()
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	if err := w.Disarm(); err != nil {
		t.Fatal(err)
	}
	w.shows(1, 0)
	if n := w.alpha.armed + w.beta.armed; n != 0 {
		t.Errorf("%d sites armed after Disarm", n)
	}
	if s := w.Status(); s.Mode != ModeMemory || !strings.Contains(s.Reason, "Disarm") {
		t.Errorf("status %+v", s)
	}
	pokes := w.f.pokes
	if err := w.set(w.beta, 1); err != nil {
		t.Fatal(err)
	}
	if w.f.pokes != pokes {
		t.Error("text was written after Disarm")
	}
	w.shows(1, 1)
	w.armed()
	w.shows(1, 1)
}

func TestNames(t *testing.T) {
	e := newEngine()
	key := func() *Key { b := new(bool); return NewKey(unsafe.Pointer(b), 1, boolCell{b}) }
	k := key()
	if err := e.Register(k, "net.trace-sends_2", "x"); err != nil {
		t.Error(err)
	}
	if err := e.Register(k, "other", "x"); !errors.Is(err, ErrName) {
		t.Errorf("second name: %v", err)
	}
	for _, name := range []string{"", "net.trace-sends_2", "a b", "a=b", "a*", "ä", "a,b"} {
		if err := e.Register(key(), name, "y"); !errors.Is(err, ErrName) {
			t.Errorf("Register(%q) = %v, expected ErrName", name, err)
		}
	}
	if n := len(e.Status().Problems); n != 8 {
		t.Errorf("%d problems kept, expected 8: %q", n, e.Status().Problems)
	}
}

func TestHeapKey(t *testing.T) {
	w := newWorld(t, "store")
	b := new(bool)
	k := NewKey(unsafe.Pointer(b), 1, boolCell{b})
	if err := w.set(k, 1); err != nil || !*b {
		t.Errorf("set: %v, value %v", err, *b)
	}
	if _, err := w.Sites(k); !errors.Is(err, ErrPlain) {
		t.Errorf("Sites: %v, expected ErrPlain", err)
	}
	if p := w.Status().Problems; len(p) != 1 || !strings.Contains(p[0], "heap") {
		t.Errorf("problems %q", p)
	}
}

func TestConfigure(t *testing.T) {
	if os.Getenv("ENGINE_TEST_BACKEND") != "procmem" {
		t.Skip("runs in a process of its own: TestOtherBackend")
	}
	w := newWorld(t, "store").armed()
	for _, o := range []Options{{Strategy: "fast"}, {Backend: "magic"}} {
		if err := w.Configure(o); err == nil {
			t.Errorf("Configure(%+v) accepted", o)
		}
	}
	if err := w.set(w.alpha, 1); err != nil {
		t.Fatal(err)
	}
	if err := w.Configure(Options{Backend: "alias", Strategy: "int3"}); err != nil {
		t.Fatal(err)
	}
	w.shows(1, 0)
	if err := w.set(w.alpha, 0); err != nil {
		t.Fatal(err)
	}
	w.shows(0, 0)
	if s := w.Status(); s.Backend != "alias" || s.Strategy != "int3" || w.alpha.armed != len(w.alpha.sites) {
		t.Errorf("status %+v", s)
	}
	if err := w.Configure(Options{Backend: "procmem"}); !errors.Is(err, ErrBackendChange) {
		t.Errorf("alias to procmem: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv(envStrategy, "one-at-a-time")
	t.Setenv(envBackend, "nonsense")
	t.Setenv(envTracer, "maybe")
	o, problems := Options{}.withEnv()
	if o.Strategy != "one-at-a-time" || o.Backend != "" || o.AllowTracer || len(problems) != 2 {
		t.Errorf("options %+v, problems %q", o, problems)
	}
	if o, _ := (Options{Strategy: "int3"}).withEnv(); o.Strategy != "int3" {
		t.Errorf("the environment overruled the option: %+v", o)
	}
}
