//go:build linux && amd64

package isolated

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/demo/kv"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/progress"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/trace"
	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/statickey"
	"golang.org/x/sys/unix"
)

const (
	settleTime = 50 * time.Millisecond
	clockTime  = 20 * time.Millisecond // to see how fast the counter runs, roughly

	// Nothing that waits to be unmapped may become too old or too much in a phase.
	unmapBytes = 8 << 30
	unmapAge   = time.Hour
)

// Run measures for some seconds, in this process. It returns an error if it could not run;
// what went wrong in a run that did happen is in the Result. A context that is done ends
// the run after the flip under way.
func Run(ctx context.Context, o Options, p progress.Writer) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	allowed, err := affinity.Allowed()
	if err != nil {
		return nil, fmt.Errorf("read the CPUs of this process: %w", err)
	}
	cpu, err := chooseCPU(allowed, o.CPU)
	if err != nil {
		return nil, err
	}
	r := &runner{ctx: ctx, options: o, progress: p, result: newResult(o.Flips, cpu, allowed)}
	if r.key, err = kv.Key(); err != nil {
		return nil, fmt.Errorf("register the key %s: %w", kv.KeyName, err)
	}
	if r.store, err = kv.New(); err != nil {
		return nil, err
	}
	if err := configure(o); err != nil {
		return nil, err
	}
	defer p.Clear()
	r.openOwn()
	defer r.closeOwn()
	// The isolated thread, the one that flips, and those that answer requests: so that they
	// share CPUs by the kernel's rules and not by Go's.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 + servers(len(allowed))))
	defer steadyHeap()()
	if err := r.reserve(cpu); err != nil {
		return nil, err
	}
	return &r.result, nil
}

// configure passes the user's wishes on.
func configure(o Options) error {
	if o.Strategy == "" && o.Backend == "" {
		return nil
	}
	return quietpatch.Configure(quietpatch.Options{
		Strategy: quietpatch.Strategy(o.Strategy), Backend: quietpatch.Backend(o.Backend),
	})
}

// A runner is one run.
type runner struct {
	ctx      context.Context
	options  Options
	progress progress.Writer
	key      *statickey.Bool
	store    *kv.Store
	thread   *thread
	own      *trace.Own // nil: what this process sends is not counted
	start    clock
	rough    float64 // ticks per ns, good enough for limits
	crossing *crossing
	result   Result
}

func (r *runner) note(format string, args ...any) {
	r.result.Notes = append(r.result.Notes, fmt.Sprintf(format, args...))
}

// reserve does everything for which the CPU has to be kept free.
func (r *runner) reserve(cpu int) error {
	if err := isolate.SetUnmapLimits(unmapBytes, unmapAge); err != nil {
		return err
	}
	reserved, err := isolate.Reserve(strconv.Itoa(cpu))
	if err != nil {
		return err
	}
	defer func() {
		if err := reserved.Release(); err != nil {
			r.note("%v", err)
		}
	}()
	if r.thread, err = isolateThread(cpu, r.options.RealTime); err != nil {
		return err
	}
	r.measure()
	if err := r.thread.end(); err != nil {
		return err
	}
	r.finish()
	return nil
}

// A part is what the rest of the process does in a phase. What counts is between record
// and the function that it returns.
type part func(p *Phase, name string, record func() (end func()))

// measure goes through the phases. The noise comes second, since it takes as long as the
// phase that it is compared with.
func (r *runner) measure() {
	r.start = now()
	r.progress.Update("[0/4] arming, and warming up")
	time.Sleep(clockTime)
	r.rough = now().rate(r.start)
	r.warmUp()
	res := &r.result
	user := func(_ *isolate.Thread, f func()) { f() }
	kernel := func(t *isolate.Thread, f func()) { t.Kernel(f) }
	back := r.phase("[1/4] deferred", &res.Deferred, user, r.work(isolate.Unmap))
	if res.Deferred.Readings > 0 {
		res.ReturnNS = int64(float64(back) / r.rough)
	}
	s := isolate.Status()
	res.SyncAssurance, res.Unspared = s.Assurance, s.Why
	r.phase("[2/4] noise", &res.Noise, user, r.rest)
	r.phase("[3/4] not deferred", &res.NotDeferred, kernel, r.work(unix.Munmap))
	r.cross("[4/4] crossings")
}

// phase lets the thread watch its CPU, in isolation or not, while the part is played. It
// returns how many ticks the thread took to come back in the end.
func (r *runner) phase(name string, p *Phase, in func(t *isolate.Thread, f func()), play part) (back uint64) {
	if r.ctx.Err() != nil {
		return 0
	}
	r.progress.Update("%s", name)
	w := newWatch(r.rough)
	r.thread.jobs <- func(t *isolate.Thread) { in(t, func() { w.loop(t) }) }
	play(p, name, func() func() { return r.record(p, w) })
	back = <-r.thread.back
	r.drain(p)
	p.take(w, now().rate(r.start))
	if w.err != nil {
		r.note("%v", w.err)
	}
	r.progress.Line("%s: %s", name, p.summary())
	return back
}

// drain lets the thread come back until all is removed that has waited for it: each time it
// removes a few mappings.
func (r *runner) drain(p *Phase) {
	waiting := func() int { return counters(r.result.IsolatedCPU).waiting }
	for left := waiting(); left > 0; {
		r.thread.jobs <- func(t *isolate.Thread) {
			for range left {
				t.Kernel(nothing)
			}
		}
		<-r.thread.back
		p.UnmapsWaiting = waiting()
		if p.UnmapsWaiting >= left {
			return // no progress
		}
		left = p.UnmapsWaiting
	}
}

// record begins what counts, and the function that it returns ends it.
func (r *runner) record(p *Phase, w *watch) (end func()) {
	time.Sleep(settleTime)
	cpu := r.result.IsolatedCPU
	before := counters(cpu)
	w.tell(recording)
	start := time.Now()
	from, errFrom := r.tally()
	return func() {
		took := time.Since(start)
		to, errTo := r.tally()
		w.tell(stopped)
		p.DurationMS = took.Milliseconds()
		if err := errors.Join(errFrom, errTo); err != nil {
			r.note("%v", err)
		} else {
			r.interrupts(p, from, to)
		}
		p.count(before, counters(cpu))
	}
}

// rest is a phase without work, as long as the deferred one.
func (r *runner) rest(_ *Phase, _ string, record func() (end func())) {
	defer record()()
	select {
	case <-r.ctx.Done():
	case <-time.After(time.Duration(r.result.Deferred.DurationMS) * time.Millisecond):
	}
}

// cross measures crossings.
func (r *runner) cross(name string) {
	if r.ctx.Err() != nil {
		return
	}
	r.progress.Update("%s", name)
	cpu := r.result.IsolatedCPU
	c := newCrossing()
	r.crossing = c
	r.thread.jobs <- c.idle
	<-r.thread.back
	before := counters(cpu).catchUps
	r.thread.jobs <- c.isolated
	err := c.flips(r.key)
	<-r.thread.back
	if err != nil {
		r.note("flips before crossings: %v", err)
	}
	c.owed = c.owed[min(1, len(c.owed)):] // the first was before any flip
	if counters(cpu).catchUps-before < uint64(len(c.owed)) {
		c.owed = nil // not all of them owed something
	}
	r.progress.Line("%s: %d ns", name, median(c.plain, r.rough))
}
