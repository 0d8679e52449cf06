package isolate_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/staticcall"
	"github.com/quietpatch/quietpatch/statickey"
)

func init() { scenarios["hammer"] = scenarioHammer }

// TestHammer: what was set before Kernel began is seen in Kernel, by store and by int3, with
// the counter as wide as can be, and as narrow.
func TestHammer(t *testing.T) {
	for _, strategy := range []string{"store", "int3"} {
		for _, signals := range []string{"open", "blocked"} {
			if testing.Short() && (strategy == "store") != (signals == "open") {
				continue
			}
			bits := map[string]string{"open": "", "blocked": "2"}[signals]
			limit := map[bool]string{true: "300ms", false: "1s"}[testing.Short()]
			t.Run(strategy+", signals "+signals, func(t *testing.T) {
				env := []string(nil) // what the suite runs with
				if bits != "" {
					env = append(env, "QUIETPATCH_CONTEXT_BITS="+bits)
				}
				scenario(t, env, "hammer", strategy, signals, limit)
			})
		}
	}
}

var (
	hammerBool   statickey.Bool
	hammerNumber = statickey.Of[int32](0)
	hammerCall   = staticcall.New(hammerPlain[0])
)

//go:noinline
func hammered(x uint64) (tag, sum uint64) { return hammerCall.Func()(x) }

var hammerPlain = [...]func(uint64) (uint64, uint64){
	func(x uint64) (uint64, uint64) { return 0, 3 * x },
	func(x uint64) (uint64, uint64) { return 1, 3*x + 1 },
	func(x uint64) (uint64, uint64) { runtime.Gosched(); return 2, 3*x + 2 },
}

// hammerFunc returns what is installed by the nth change: plain functions and closures.
func hammerFunc(n uint64) func(uint64) (uint64, uint64) {
	if n%4 < uint64(len(hammerPlain)) {
		return hammerPlain[n%4]
	}
	return func(x uint64) (uint64, uint64) { return n, 3*x + n }
}

// hammerTag is what it answers with.
func hammerTag(n uint64) uint64 {
	if n%4 < uint64(len(hammerPlain)) {
		return n % 4
	}
	return n
}

// epoch is odd while a change is under way; half of it is the number of changes that are over.
// Code that reads b before and e behind its checks must see what was after one of the
// changes b/2 to (e+1)/2: one alone, if no change overlaps.
type epoch struct{ n atomic.Uint64 }

func (e *epoch) change(f func(n uint64) error) {
	n := e.n.Add(1)
	if err := f((n + 1) / 2); err != nil {
		failAt(1, "change %d: %v", n/2, err)
	}
	e.n.Add(1)
}

type hammer struct {
	*child
	keys, calls epoch
	crossings   atomic.Uint64
	rounds      atomic.Uint64
	exact       atomic.Uint64 // rounds that no change overlapped
	enough      atomic.Bool
	others      sync.WaitGroup
	why         chan string // nobody is spared; "" if somebody is
}

func (h *hammer) over() bool { return h.enough.Load() }

func scenarioHammer(c *child) {
	must(quietpatch.Configure(quietpatch.Options{Strategy: quietpatch.Strategy(c.args[0])}))
	limit, err := time.ParseDuration(c.args[2])
	must(err)
	c.reserve()
	must(quietpatch.Arm())
	h := &hammer{child: c, why: make(chan string, 1)}
	for _, f := range []func(){h.flip, h.retarget, h.bystander, h.isolated} {
		h.others.Go(f)
	}
	why := <-h.why
	time.Sleep(limit)
	until(func() bool { return h.hits(why == "") }) // on a machine with other things to do it takes longer
	h.enough.Store(true)
	h.others.Wait()
	h.report(why)
}

// hits reports whether enough has happened.
func (h *hammer) hits(spared bool) bool {
	const enough = 50
	if min(h.keys.n.Load(), h.calls.n.Load(), h.crossings.Load(), h.exact.Load()) < enough {
		return false
	}
	t := h.thread()
	return !spared || t.Deferred >= enough && t.CatchUps >= enough && (h.args[0] != "int3" || quietpatch.Status().Counters.TrapHits >= enough)
}

// bystander takes traps on a thread that is not isolated.
func (h *hammer) bystander() {
	var s scratch
	for r := uint64(0); !h.over(); r++ {
		h.round(&s, r)
		if r%16 == 0 {
			runtime.Gosched()
		}
	}
}

func (h *hammer) isolated() {
	h.run(isolate.Options{BlockSignals: h.args[1] == "blocked"}, func(t *isolate.Thread) {
		_, why := spares()
		h.why <- why
		h.inAndOut(t)
	})
}

// inAndOut is the isolated thread.
func (h *hammer) inAndOut(t *isolate.Thread) {
	r := rand.New(rand.NewPCG(1, 1))
	var s scratch
	for over := false; !over; h.crossings.Add(1) {
		for range r.IntN(20) {
			spin(r.IntN(400))
			t.Safepoint()
		}
		t.Kernel(func() {
			for range r.IntN(20) {
				h.round(&s, r.Uint64())
			}
			if r.IntN(8) == 0 {
				t.User(func() { spin(r.IntN(400)) })
				h.round(&s, r.Uint64())
			}
			over = h.over()
		})
	}
}

// flip changes the keys, one alone or both by one batch.
func (h *hammer) flip() {
	r := rand.New(rand.NewPCG(2, 2))
	for !h.over() {
		h.keys.change(func(n uint64) error {
			var b statickey.Batch
			b.Set(&hammerBool, n%2 == 1)
			statickey.SetValue(&b, &hammerNumber, int32(n))
			return b.Apply()
		})
		pauseAWhile(r)
	}
}

func (h *hammer) retarget() {
	r := rand.New(rand.NewPCG(3, 3))
	for !h.over() {
		h.calls.change(func(n uint64) error { return hammerCall.Update(hammerFunc(n)) })
		pauseAWhile(r)
		if r.IntN(256) == 0 {
			runtime.GC() // closures and their stubs go
		}
	}
}

func pauseAWhile(r *rand.Rand) {
	switch r.IntN(8) {
	case 0:
		time.Sleep(time.Duration(r.IntN(100)) * time.Microsecond)
	case 1:
		runtime.Gosched()
	default:
		spin(r.IntN(2000))
	}
}

// round checks everything once, in KERNEL.
func (h *hammer) round(s *scratch, x uint64) {
	h.rounds.Add(1)
	b := h.keys.n.Load()
	on, numbers := hammerBools(s), hammerNumbers(s)
	e := h.keys.n.Load()
	lo, hi := b/2, (e+1)/2
	if lo == hi {
		h.exact.Add(1)
		if want := int(lo%2) * hammerBoolChecks; on != want {
			fail("at epoch %d: %d of %d checks are on, expected %d", b, on, hammerBoolChecks, want)
		}
	}
	for _, n := range numbers {
		if uint64(n) < lo || uint64(n) > hi {
			fail("at epoch %d to %d: the number is %d, expected %d to %d (%v)", b, e, n, lo, hi, numbers)
		}
	}
	h.roundOfCalls(x)
}

func (h *hammer) roundOfCalls(x uint64) {
	b := h.calls.n.Load()
	tag1, sum1 := hammered(x)
	tag2, sum2 := hammered(x + 1)
	e := h.calls.n.Load()
	if sum1 != 3*x+tag1 || sum2 != 3*(x+1)+tag2 {
		fail("at epoch %d to %d: hammered(%d) answers %d, %d and %d, %d", b, e, x, tag1, sum1, tag2, sum2)
	}
	one, two := false, false
	for n := b / 2; n <= (e+1)/2; n++ {
		one = one || hammerTag(n) == tag1
		two = two || hammerTag(n) == tag2
	}
	if !one || !two {
		fail("at epoch %d to %d: functions %d and %d were called", b, e, tag1, tag2)
	}
}

func (h *hammer) report(why string) {
	s := quietpatch.Status()
	t := h.thread()
	changes := (h.keys.n.Load() + h.calls.n.Load()) / 2
	fmt.Printf("%d changes, %d crossings, %d rounds, %d of them with no change; %d syncs deferred, %d caught up; %d by CPU, %d repeated, %d unspared; %d trap hits, %d late\n",
		changes, h.crossings.Load(), h.rounds.Load(), h.exact.Load(), t.Deferred, t.CatchUps,
		s.Isolation.SyncsByCPU, s.Isolation.SyncsRepeated, s.Isolation.SyncsUnspared, s.Counters.TrapHits, s.Counters.TrapLate)
	if s.Isolation.Violations > 0 || len(s.Problems) > 0 || s.Counters.TrapForeign > 0 || s.Counters.Fallbacks > 0 {
		fail("%+v", s)
	}
	if why != "" && s.Mode == "live" {
		skip("nothing wrong, but: " + why)
	}
	if why != "" {
		fmt.Println("nothing is deferred: " + why)
	}
}

const hammerBoolChecks = 12

// scratch keeps the compiler from making one check of several.
type scratch [16]uint64

//go:noinline
func hammerBools(s *scratch) (on int) {
	count := func(yes bool, i int) {
		if yes {
			on++
		}
		s[i]++
	}
	count(hammerBool.Enabled(), 0)
	count(hammerBool.Enabled(), 1)
	count(hammerBool.Enabled(), 2)
	count(hammerBool.Enabled(), 3)
	for i := range 4 {
		if hammerBool.Enabled() {
			on++
		}
		s[i]++
	}
	if !hammerBool.Enabled() {
		on--
	}
	s[4]++
	if hammerBool.Enabled() {
		on += 2
	} else {
		on++
	}
	s[5]++
	return on + hammerMore(s)
}

//go:noinline
func hammerMore(s *scratch) int {
	yes := hammerBool.Enabled()
	s[6]++
	if yes && hammerBool.Enabled() {
		return 2
	}
	return 0
}

//go:noinline
func hammerNumbers(s *scratch) (n [4]int32) {
	n[0] = hammerNumber.Get()
	s[7]++
	n[1] = hammerNumber.Get()
	s[8]++
	n[2] = hammerNumber.Get()
	s[9]++
	n[3] = hammerNumber.Get()
	return n
}
