package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

func init() { programs["calls"] = callsHammer }

// callsReport is what the hammer of calls prints.
type callsReport struct {
	Updates  int              `json:"updates"`
	Kinds    map[string]int   `json:"kinds"`    // functions that were installed, by kind
	Calls    uint64           `json:"calls"`    // made in all
	Verified uint64           `json:"verified"` // of these, began and ended between two updates
	Overlaps uint64           `json:"overlaps"` // others; they saw one of the functions of that time
	Wrong    uint64           `json:"wrong"`
	First    string           `json:"first"`    // the first wrong one
	Poisoned uint64           `json:"poisoned"` // closures that the collector took
	Sites    int              `json:"sites"`
	Armed    int              `json:"armed"`
	Others   []string         `json:"others"` // functions with sites that are not armed
	Status   quietpatch.State `json:"status"`
	Seconds  float64          `json:"seconds"`
}

// history is how many updates are remembered. It is long: a caller may be without a CPU
// for a while.
const history = 1 << 16

// tags are what the functions of one call answer with, by the number of the update: the
// function after it, and the one that it tried to install.
type tags struct{ done, tried [history]atomic.Uint64 }

// callTally is the state of one hammer.
//
// epoch is odd while an update is under way; epoch/2 is the number of updates done. A
// call that began at epoch b and ended at e may have seen the function after update b/2,
// which was over by then, or those of the updates that it overlapped: none older.
type callTally struct {
	epoch      atomic.Uint64
	seen       atomic.Uint64 // the last epoch that a worker has verified
	work, note tags

	calls, verified, overlaps, wrong atomic.Uint64
	first                            atomic.Pointer[string]
}

func (t *callTally) fail(format string, args ...any) {
	t.wrong.Add(1)
	what := fmt.Sprintf(format, args...)
	t.first.CompareAndSwap(nil, &what)
}

// round makes every call once. It returns the epoch if that was the same all the time.
func (t *callTally) round(c *caller) (uint64, bool) {
	start := t.epoch.Load()
	for i := range callers {
		c.x++
		t.check(callers[i].name, callers[i].note, func() (uint64, string) { return callers[i].f(c) })
	}
	return start, start%2 == 0 && t.epoch.Load() == start
}

func (t *callTally) check(name string, isNote bool, call func() (uint64, string)) {
	b := t.epoch.Load()
	tag, why := call()
	e := t.epoch.Load()
	t.calls.Add(1)
	if tag == badTag || why != "" {
		t.fail("%s at epoch %d to %d: tag %#x %s", name, b, e, tag, why)
		return
	}
	if e/2-b/2 > history/2 {
		return // too long ago to know
	}
	of := &t.work
	if isNote {
		of = &t.note
	}
	if tag == of.done[b/2%history].Load() {
		if b == e && b%2 == 0 {
			t.verified.Add(1)
		} else {
			t.overlaps.Add(1)
		}
		return
	}
	for n := b/2 + 1; n <= (e+1)/2; n++ {
		if tag == of.done[n%history].Load() || tag == of.tried[n%history].Load() {
			t.overlaps.Add(1)
			return
		}
	}
	t.fail("%s at epoch %d to %d saw tag %d, expected %d or a later one", name, b, e, tag, of.done[b/2%history].Load())
}

// start lets n goroutines call; every other one has a thread of its own, and every fourth
// starts over and over on a new stack.
func (t *callTally) start(n int, done <-chan struct{}, wg *sync.WaitGroup) {
	runtime.GOMAXPROCS(2*runtime.NumCPU() + 4)
	for i := range n {
		wg.Go(func() {
			if i%2 == 0 {
				runtime.LockOSThread()
			}
			c := newCaller(uint64(i) << 32)
			for depth := 1; ; depth = depth*3%1021 + 1 {
				select {
				case <-done:
					return
				default:
				}
				if i%4 == 3 {
					t.deep(c, depth)
				} else if at, ok := t.round(c); ok {
					t.seen.Store(at)
				}
			}
		})
	}
}

func (t *callTally) deep(c *caller, depth int) {
	var wg sync.WaitGroup
	wg.Go(func() { t.check("deep", false, func() (uint64, string) { return callDeep(c, depth) }) })
	wg.Wait()
}

// updater makes updates one after the other.
type updater struct {
	t     *callTally
	rnd   *rand.Rand
	tag   uint64
	kinds map[string]int
}

// update changes one of the calls, or both in one batch, and returns the error of that.
func (u *updater) update() error {
	t := u.t
	u.tag++
	kind := u.rnd.IntN(callKindCount)
	last := t.epoch.Load() / 2
	next := (last + 1) % history
	last %= history
	oldWork, oldNote := t.work.done[last].Load(), t.note.done[last].Load()
	w, workTag := newWork(kind, plainTags+u.tag)
	f, noteTag := newNote(kind, plainTags+u.tag)
	which := u.rnd.IntN(3)
	switch which {
	case 0:
		noteTag = oldNote
	case 1:
		workTag = oldWork
	}
	t.work.set(next, workTag, workTag)
	t.note.set(next, noteTag, noteTag)
	u.kinds[callKinds[kind]]++
	t.epoch.Add(1)
	err := install(which, w, f)
	if err != nil { // nothing has changed
		t.work.set(next, oldWork, workTag)
		t.note.set(next, oldNote, noteTag)
	}
	t.epoch.Add(1)
	return err
}

func (s *tags) set(n, done, tried uint64) {
	s.tried[n].Store(tried)
	s.done[n].Store(done)
}

func install(which int, w workFunc, f noteFunc) error {
	switch which {
	case 0:
		return work.Update(w)
	case 1:
		return note.Update(f)
	}
	var b statickey.Batch
	work.UpdateIn(&b, w)
	note.UpdateIn(&b, f)
	return b.Apply()
}

// many updates n times. After each it makes all calls itself, and now and then it waits
// until another thread has seen the new functions.
func (u *updater) many(n int, limit time.Duration) (int, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	deadline := time.Now().Add(limit)
	c := newCaller(1 << 62)
	for i := range n {
		if err := u.update(); err != nil {
			return i, fmt.Errorf("update %d: %w", i, err)
		}
		if i%256 == 255 {
			runtime.GC() // stubs and closures are freed while others come
		}
		now := u.t.epoch.Load()
		u.t.round(c)
		for spins := 0; i%16 == 0 && u.t.seen.Load() != now; spins++ {
			runtime.Gosched()
			if spins%64 == 63 && time.Now().After(deadline) {
				return i + 1, nil
			}
		}
	}
	return n, nil
}

func callsHammer(args []string) (any, error) {
	fs := flags("calls")
	strategy := fs.String("strategy", "", "store, int3 or one-at-a-time")
	backend := fs.String("backend", "", "procmem, alias or none")
	updates := fs.Int("updates", 1000, "how often to update")
	limit := fs.Duration("limit", time.Minute, "stop after this time")
	workers := fs.Int("workers", 8, "goroutines that call")
	profile := fs.Bool("profile", false, "take a CPU profile meanwhile")
	storm := fs.Bool("storm", false, "collect garbage in a loop: preemptions all the time")
	seed := fs.Uint64("seed", 1, "of the choices")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := configure(*strategy, *backend); err != nil {
		return nil, err
	}
	if *profile {
		runtime.SetCPUProfileRate(1000)
		if err := pprof.StartCPUProfile(io.Discard); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	var t callTally
	u := updater{t: &t, rnd: rand.New(rand.NewPCG(*seed, 0)), kinds: map[string]int{}}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { collect(done, *storm) })
	t.start(*workers, done, &wg)
	start := time.Now()
	n, err := u.many(*updates, *limit)
	r := callsReport{Updates: n, Kinds: u.kinds, Seconds: time.Since(start).Seconds()}
	close(done)
	wg.Wait()
	t.report(&r)
	return r, err
}

// collect makes garbage, and collects it, all the time or now and then.
func collect(done <-chan struct{}, storm bool) {
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		default:
		}
		for range 64 {
			runtime.KeepAlive(make([]byte, 64<<n%8))
		}
		if storm || n%16 == 0 {
			runtime.GC()
		}
		if !storm {
			time.Sleep(time.Millisecond)
		}
	}
}

func (t *callTally) report(r *callsReport) {
	r.Calls, r.Verified, r.Overlaps, r.Wrong = t.calls.Load(), t.verified.Load(), t.overlaps.Load(), t.wrong.Load()
	for i := 0; i < 100 && poisoned.Load() == 0; i++ {
		runtime.GC()
		time.Sleep(10 * time.Millisecond) // finalizers have had no CPU
	}
	r.Poisoned = poisoned.Load()
	if p := t.first.Load(); p != nil {
		r.First = *p
	}
	for _, sites := range callSites() {
		for _, s := range sites {
			r.Sites++
			if s.State == "armed" {
				r.Armed++
			} else {
				r.Others = append(r.Others, s.Func)
			}
		}
	}
	r.Status = quietpatch.Status()
}
