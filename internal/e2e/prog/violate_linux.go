package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/statickey"
)

func init() { programs["violate"] = violate }

// violateReport is what `prog violate` prints.
type violateReport struct {
	Flips    uint64              `json:"flips"`
	Updates  uint64              `json:"updates"`
	Arms     uint64              `json:"arms"`
	Rounds   uint64              `json:"rounds"` // in isolation
	Wrong    uint64              `json:"wrong"`
	First    string              `json:"first"`
	Thread   isolate.ThreadState `json:"thread"`
	Why      string              `json:"why"`
	Status   quietpatch.State    `json:"status"`
	Sites    int                 `json:"sites"`
	Seconds  float64             `json:"seconds"`
	Places   map[string]uint64   `json:"places"` // samples of the last place that was named
	Overtime bool                `json:"overtime"`
}

// violated are the keys of this program. They have no names, so that nobody else lists them.
var violated struct {
	number statickey.Int32
	on     statickey.Bool
}

// violator breaks the contract of package isolate: an isolated thread makes checks and static
// calls while others change them.
type violator struct {
	cpu    int
	t      callTally
	up     updater
	done   atomic.Bool // for those who change
	left   atomic.Bool // for the thread
	last   atomic.Int64
	rounds atomic.Uint64
	r      violateReport
	errs   [3]error
}

// violateValue is the nth number: both halves are the same, so one that is put together of two
// is found out.
func violateValue(n int64) int32 {
	half := int32(n % 0x7FFF)
	return half<<16 | half
}

func violate(args []string) (any, error) {
	v := &violator{}
	fs := flags("violate")
	strategy := fs.String("strategy", "int3", "store or int3")
	backend := fs.String("backend", "", "procmem or alias")
	arm := fs.Bool("arm", false, "disarm and arm all the time")
	block := fs.Bool("block", false, "block signals on the thread")
	limit := fs.Duration("for", time.Second, "how long, at least")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	v.up = updater{t: &v.t, rnd: rand.New(rand.NewPCG(1, 1)), kinds: map[string]int{}}
	if err := errors.Join(configure(*strategy, *backend), violated.on.Enable(), armAll()); err != nil {
		return nil, err
	}
	var err error
	if v.cpu, err = reserveLast(); err != nil {
		return nil, err
	}
	start := time.Now()
	var others, thread sync.WaitGroup
	began := make(chan struct{})
	thread.Go(func() {
		v.errs[0] = isolate.Run(isolate.Options{CPU: v.cpu, BlockSignals: *block}, func(t *isolate.Thread) { v.isolated(t, began) })
	})
	<-began
	others.Go(v.flip)
	others.Go(func() { v.update(*arm) })
	v.watch(start.Add(*limit), *strategy == "int3")
	v.done.Store(true)
	others.Wait()
	v.left.Store(true)
	thread.Wait()
	v.r.Seconds = time.Since(start).Seconds()
	v.r.Rounds, v.r.Wrong, v.r.Thread, v.r.Status = v.rounds.Load(), v.t.wrong.Load(), threadOn(v.cpu), quietpatch.Status()
	if p := v.t.first.Load(); p != nil {
		v.r.First = *p
	}
	return v.r, errors.Join(v.errs[:]...)
}

// watch waits, on a machine with other things to do until something is hit.
func (v *violator) watch(end time.Time, traps bool) {
	v.r.Places = map[string]uint64{}
	v.r.Why = isolate.Status().Why
	if s, err := violated.number.Sites(); err == nil {
		v.r.Sites = len(s)
	}
	for {
		time.Sleep(5 * time.Millisecond)
		t := threadOn(v.cpu)
		if t.Violated != "" {
			v.r.Places[t.Violated]++
		}
		hit := v.t.wrong.Load() > 0 || v.rounds.Load() > 100 && (!traps || v.r.Why != "" || t.Violations > 0)
		now := time.Now()
		v.r.Overtime = now.After(end.Add(isolatedPatience))
		if now.After(end) && hit || v.r.Overtime || v.done.Load() {
			return
		}
	}
}

func (v *violator) isolated(t *isolate.Thread, began chan<- struct{}) {
	close(began)
	var s scratch
	c := newCaller(1)
	for !v.left.Load() {
		for range 50 {
			v.round(&s)
			v.call(c)
		}
		v.rounds.Add(50)
		t.Safepoint()
	}
	// Nothing changes any more: after the way back all of it is exact.
	t.Kernel(func() {
		want := violateValue(v.last.Load())
		for _, n := range violateNumbers(&s) {
			if n != want {
				v.t.fail("in KERNEL, after all changes, a check sees %#x, expected %#x", n, want)
			}
		}
		if on, want := violateBools(&s), violateChecks*int(v.last.Load()%2); on != want {
			v.t.fail("in KERNEL, after all changes, %d checks are on, expected %d", on, want)
		}
	})
	_, exact := v.t.round(c)
	if !exact {
		v.t.fail("calls change although nobody changes them")
	}
}

// round makes checks: each sees what was set at some time.
func (v *violator) round(s *scratch) {
	_ = violateBools(s)
	for i, n := range violateNumbers(s) {
		if n>>16 != n&0xFFFF {
			v.t.fail("check %d sees %#x, which was never set", i, n)
		}
	}
}

// call makes calls: each goes to a function that was installed at some time.
func (v *violator) call(c *caller) {
	for i := range callers {
		c.x++
		tag, why := callers[i].f(c)
		if newest := plainTags + v.t.epoch.Load()/2 + 1; tag == badTag || tag > newest || why != "" {
			v.t.fail("%s: tag %#x, the newest is %d; %s", callers[i].name, tag, newest, why)
		}
	}
}

func (v *violator) flip() {
	for n := int64(1); !v.done.Load(); n++ {
		var b statickey.Batch
		b.Set(&violated.on, n%2 == 1)
		statickey.SetValue(&b, &violated.number, violateValue(n))
		if v.errs[1] = b.Apply(); v.errs[1] != nil {
			v.done.Store(true)
			return
		}
		v.last.Store(n)
		v.r.Flips++
		if n%16 == 0 {
			runtime.Gosched()
		}
	}
}

func (v *violator) update(arm bool) {
	for n := 0; !v.done.Load(); n++ {
		err := v.up.update()
		v.r.Updates++
		if arm && n%8 == 0 {
			err = errors.Join(err, quietpatch.Disarm(), armAll())
			v.r.Arms++
		}
		if n%256 == 0 {
			runtime.GC()
		}
		if v.errs[2] = err; err != nil {
			v.errs[2] = fmt.Errorf("update %d: %w", n, err)
			v.done.Store(true)
			return
		}
		runtime.Gosched()
	}
}

const violateChecks = 10

//go:noinline
func violateBools(s *scratch) (on int) {
	for i := range 6 {
		if violated.on.Enabled() {
			on++
		}
		s.n[i]++
	}
	a := violated.on.Enabled()
	s.n[6]++
	if !violated.on.Enabled() {
		on--
	}
	on++
	s.n[7]++
	b := violated.on.Enabled()
	s.n[8]++
	return on + count(a) + count(b) + count(violated.on.Enabled())
}

//go:noinline
func violateNumbers(s *scratch) (n [8]int32) {
	n[0] = violated.number.Get()
	s.n[0]++
	n[1] = violated.number.Get()
	s.n[1]++
	n[2] = violated.number.Get()
	s.n[2]++
	n[3] = violated.number.Get()
	s.n[3]++
	n[4] = violated.number.Get()
	s.n[4]++
	n[5] = violated.number.Get()
	s.n[5]++
	n[6] = violated.number.Get()
	s.n[6]++
	n[7] = violated.number.Get()
	return n
}
