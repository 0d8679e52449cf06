package protocol

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// A world is the bytes of some sites, two bytes each (head, tail), and a rule
// for which effects fail. It checks, at every write, what the protocol
// promises: no tail is written over a live head, no write without a vector.
type world struct {
	t         *testing.T
	old, new  [2]byte
	sites     [][2]byte
	published bool
	dir       Dir
	synced    bool // no trap byte was written since the last sync
	tails     bool // a tail was written since the last sync
	syncs     int
	effects   []Effect
	// fault is asked for each effect and each site of it.
	fault func(nth int, e Effect, site int) error
	mid   bool // a failed write arrives all the same
}

const trap = 0xCC

var errFault = errors.New("injected")

func newWorld(t *testing.T, n int, headsOnly bool) *world {
	w := &world{t: t, old: [2]byte{0x10, 0x11}, new: [2]byte{0x20, 0x21}, synced: true}
	if headsOnly {
		w.new[1] = w.old[1]
	}
	for range n {
		w.sites = append(w.sites, w.old)
	}
	return w
}

func (w *world) perform(e Effect) Result {
	nth := len(w.effects)
	w.effects = append(w.effects, e)
	fault := func(site int) error {
		if w.fault == nil {
			return nil
		}
		return w.fault(nth, e, site)
	}
	switch {
	case e.Step == StepPublish:
		if err := fault(-1); err != nil {
			return Result{Err: err}
		}
		w.published, w.dir = true, e.Dir
	case e.Step == StepRetire:
		w.published = false
		for i := range w.sites {
			if w.sites[i][0] == trap {
				w.t.Errorf("vector retired while site %d is trapped", i)
			}
		}
	case e.Step.Sync():
		if err := fault(-1); err != nil {
			return Result{Err: err}
		}
		w.syncs++
		w.synced, w.tails = true, false
	default:
		for i := e.From; i < e.To; i++ {
			if err := fault(i); err != nil {
				if w.mid && e.Step.Writes() && e.Dir == Forward {
					w.write(e, i)
				}
				return Result{Done: i - e.From, Err: err, Touched: e.Step.Writes()}
			}
			w.write(e, i)
		}
	}
	return Result{}
}

func (w *world) target(d Dir) [2]byte {
	if d == Back {
		return w.old
	}
	return w.new
}

func (w *world) write(e Effect, i int) {
	want := w.target(e.Dir)
	if (e.Step == StepTrap || e.Step == StepTail || e.Step == StepHead) && (!w.published || w.dir != e.Dir) {
		w.t.Errorf("%v %v of site %d without a vector for that direction", e.Step, e.Dir, i)
	}
	switch e.Step {
	case StepTrap:
		w.sites[i][0] = trap
		w.synced = false
	case StepTail:
		if w.sites[i][0] != trap || !w.synced {
			w.t.Errorf("tail of site %d written: head %#x, synced %v", i, w.sites[i][0], w.synced)
		}
		w.sites[i][1] = want[1]
		w.tails = true
	case StepHead:
		if w.tails {
			w.t.Errorf("head of site %d written %v without a sync behind the tails", i, e.Dir)
		}
		if w.sites[i][1] != want[1] {
			w.t.Errorf("head of site %d written before its tail", i)
		}
		if h := w.sites[i][0]; h != trap && h != want[0] {
			w.t.Errorf("head of site %d written %v over the other value: no trap byte in between", i, e.Dir)
		}
		w.sites[i][0] = want[0]
	case StepStore:
		w.sites[i] = want
	}
}

func run(t *testing.T, m *Machine, w *world) {
	t.Helper()
	for range 10_000 {
		if m.Done() {
			return
		}
		m.Next(w.perform(m.Effect()))
	}
	t.Fatalf("machine does not end; last effect %+v", m.Effect())
}

func (w *world) all(b [2]byte) bool {
	return !slices.ContainsFunc(w.sites, func(s [2]byte) bool { return s != b })
}

// plans are the small worlds: every strategy, with one chunk and several.
func plans() []Plan {
	var ps []Plan
	for _, s := range []Strategy{Store, Int3, OneAtATime} {
		for n := range 6 {
			for vec := 1; vec <= 3; vec++ {
				ps = append(ps, Plan{Strategy: s, Sites: n, VectorMax: vec})
				if s == Store {
					ps = append(ps, Plan{Strategy: s, Sites: n, VectorMax: vec, NoSync: true})
					ps = append(ps, Plan{Strategy: s, Sites: n, VectorMax: vec, NoCheck: true})
				} else {
					ps = append(ps, Plan{Strategy: s, Sites: n, VectorMax: vec, HeadsOnly: true})
				}
			}
		}
	}
	return ps
}

func TestForward(t *testing.T) {
	for _, p := range plans() {
		t.Run(fmt.Sprintf("%+v", p), func(t *testing.T) {
			w := newWorld(t, p.Sites, p.HeadsOnly)
			m, err := New(p)
			if err != nil {
				t.Fatal(err)
			}
			run(t, &m, w)
			if out := m.Outcome(); out.Err != nil || !w.all(w.new) {
				t.Errorf("outcome %+v, sites %x", out, w.sites)
			}
			if w.published {
				t.Error("vector left published")
			}
			if want := Syncs(p); w.syncs != want {
				t.Errorf("%d syncs, the budget is %d", w.syncs, want)
			}
		})
	}
}

// TestOneFault fails every effect at every site once. The old bytes must be
// back everywhere, and the outcome must name the place.
func TestOneFault(t *testing.T) {
	cases := 0
	for _, p := range plans() {
		clean := newWorld(t, p.Sites, p.HeadsOnly)
		m, _ := New(p)
		run(t, &m, clean)
		for nth, e := range clean.effects {
			sites := []int{-1}
			if !e.Step.Sync() && e.Step != StepPublish {
				sites = nil
				for i := e.From; i < e.To; i++ {
					sites = append(sites, i)
				}
			}
			if e.Step == StepRetire {
				continue // memory of our own: cannot fail
			}
			for _, site := range sites {
				for _, mid := range []bool{false, true} {
					oneFault(t, p, nth, site, mid)
					cases++
				}
			}
		}
	}
	if cases < 500 {
		t.Errorf("only %d cases tried", cases)
	}
}

func oneFault(t *testing.T, p Plan, nth, site int, mid bool) {
	t.Helper()
	w := newWorld(t, p.Sites, p.HeadsOnly)
	w.mid = mid
	w.fault = func(n int, _ Effect, s int) error {
		if n == nth && s == site {
			return errFault
		}
		return nil
	}
	m, _ := New(p)
	run(t, &m, w)
	out := m.Outcome()
	if !errors.Is(out.Err, errFault) || out.Stuck || out.Unsynced {
		t.Errorf("%+v, effect %d, site %d: outcome %+v", p, nth, site, out)
	}
	if out.Site != site || out.Step != w.effects[nth].Step {
		t.Errorf("%+v: outcome names %v site %d, failed was %v site %d", p, out.Step, out.Site, w.effects[nth].Step, site)
	}
	if !w.all(w.old) || w.published {
		t.Errorf("%+v, effect %d (%v), site %d: left %x, published %v", p, nth, w.effects[nth].Step, site, w.sites, w.published)
	}
}

// TestStuckAndResume: writes fail for good from some moment on. Whatever is
// trapped must have its vector, and when writes work again, Resume must bring
// the old bytes back.
func TestStuckAndResume(t *testing.T) {
	stuck := 0
	for _, p := range plans() {
		for nth := range 3*p.Sites + 9 {
			w := newWorld(t, p.Sites, p.HeadsOnly)
			broken := true
			w.fault = func(n int, _ Effect, _ int) error {
				if broken && n >= nth {
					return errFault
				}
				return nil
			}
			m, _ := New(p)
			run(t, &m, w)
			out := m.Outcome()
			if out.Stuck {
				stuck++
				trapped := slices.ContainsFunc(w.sites, func(s [2]byte) bool { return s[0] == trap })
				leadsBack := w.dir == Back || m.Effect().Step == StepPublish
				if trapped && (!w.published || !leadsBack) {
					t.Fatalf("%+v: stuck with traps and no vector that leads back", p)
				}
				broken = false
				m.Resume()
				run(t, &m, w)
				out = m.Outcome()
			}
			if out.Err != nil && (out.Stuck || !w.all(w.old)) {
				t.Errorf("%+v broken from effect %d: outcome %+v, sites %x", p, nth, out, w.sites)
			}
		}
	}
	if stuck == 0 {
		t.Error("no case got stuck: the test tries nothing")
	}
}

// TestUnsynced: the one sync that may be missing is the last.
func TestUnsynced(t *testing.T) {
	w := newWorld(t, 2, false)
	w.fault = func(_ int, e Effect, _ int) error {
		if e.Step == StepStoreSync {
			return errFault
		}
		return nil
	}
	m, _ := New(Plan{Strategy: Store, Sites: 2, VectorMax: 4})
	run(t, &m, w)
	if out := m.Outcome(); !out.Unsynced || out.Stuck || !w.all(w.old) {
		t.Errorf("outcome %+v, sites %x", out, w.sites)
	}
}

func TestBadPlans(t *testing.T) {
	for _, p := range []Plan{
		{},
		{Strategy: 9, Sites: 1, VectorMax: 1},
		{Strategy: Int3, Sites: 1},
		{Strategy: Int3, Sites: -1, VectorMax: 1},
		{Strategy: OneAtATime, Sites: 1},
		{Strategy: Int3, Sites: 1, VectorMax: 1, NoSync: true},
	} {
		if _, err := New(p); !errors.Is(err, ErrPlan) {
			t.Errorf("New(%+v) = %v, want ErrPlan", p, err)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	p := Plan{Strategy: Int3, Sites: 100, VectorMax: 10}
	allocs := testing.AllocsPerRun(10, func() {
		m, _ := New(p)
		for !m.Done() {
			m.Next(Result{})
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for one plan", allocs)
	}
}
