//go:build linux && amd64

package isolated

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/isolate"
	"github.com/quietpatch/quietpatch/statickey"
	"golang.org/x/sys/unix"
)

// How much there is of each kind of work. Without deferral, each of these interrupts a CPU
// once at least.
const (
	retargetEvery = 50   // flips
	unmapEvery    = 50   // flips
	collectEvery  = 1000 // flips
	unmapPages    = 16

	// warmUpFlips arm the sites, write to every page of text, let threads begin and the heap grow.
	warmUpFlips   = 200
	progressSteps = 10

	// A phase ends early if a flip takes so long: the thread or the flips do not get their CPU.
	flipTimeMax  = 2 * time.Millisecond
	phaseTimeMin = 20 * time.Second
)

// A worker does what interrupts other CPUs.
type worker struct {
	key     *statickey.Bool
	unmap   func([]byte) error
	collect func()
	made    struct{ flips, retargets, unmaps int }
	flipNS  []int64
}

// run makes flips, and the other work between them. Progress is called now and then.
func (w *worker) run(ctx context.Context, flips int, progress func(done int)) error {
	for i := 1; i <= flips && ctx.Err() == nil; i++ {
		start := time.Now()
		if err := w.key.Set(!w.key.Enabled()); err != nil {
			return fmt.Errorf("flip the key: %w", err)
		}
		w.flipNS = append(w.flipNS, time.Since(start).Nanoseconds())
		w.made.flips++
		if i%retargetEvery == 0 {
			if err := w.retarget(); err != nil {
				return err
			}
		}
		if i%unmapEvery == unmapEvery/2 {
			if err := w.mapAndUnmap(); err != nil {
				return err
			}
		}
		if i%collectEvery == 0 {
			w.collect()
		}
		if i%max(flips/progressSteps, 1) == 0 {
			progress(i)
		}
	}
	return nil
}

func (w *worker) retarget() error {
	if err := sum.Update(sums[w.made.retargets%len(sums)]); err != nil {
		return fmt.Errorf("retarget the call: %w", err)
	}
	w.made.retargets++
	return nil
}

// mapAndUnmap uses memory and gives it back.
func (w *worker) mapAndUnmap() error {
	page := unix.Getpagesize()
	b, err := unix.Mmap(-1, 0, unmapPages*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("mmap %d pages: %w", unmapPages, err)
	}
	for i := 0; i < len(b); i += page {
		b[i] = 1
	}
	if err := w.unmap(b); err != nil {
		return fmt.Errorf("unmap %d pages: %w", unmapPages, err)
	}
	w.made.unmaps++
	return nil
}

// warmUp does all that happens once.
func (r *runner) warmUp() {
	if err := quietpatch.Arm(); err != nil {
		r.note("arming: %v", err)
	}
	l := startLoad(r.ctx, r.store, servers(len(r.result.CPUs)), r.options.Process)
	defer l.end()
	w := &worker{key: r.key, unmap: isolate.Unmap, collect: l.collect}
	if err := w.run(r.ctx, warmUpFlips, func(int) { l.collect() }); err != nil {
		r.note("while warming up: %v", err)
	}
}

// work returns a phase with work.
func (r *runner) work(unmap func([]byte) error) part {
	return func(p *Phase, name string, record func() (end func())) {
		l := startLoad(r.ctx, r.store, servers(len(r.result.CPUs)), r.options.Process)
		defer l.end()
		w := &worker{key: r.key, unmap: unmap, collect: l.collect, flipNS: make([]int64, 0, r.options.Flips)}
		end := record()
		processes := l.processes.Load()
		limit := max(phaseTimeMin, time.Duration(r.options.Flips)*flipTimeMax)
		ctx, cancel := context.WithTimeout(r.ctx, limit)
		defer cancel()
		err := w.run(ctx, r.options.Flips, func(done int) { r.progress.Update("%s: %d flips", name, done) })
		p.Processes = int(l.processes.Load() - processes)
		end()
		p.FlipsDone, p.Retargets, p.Unmaps = w.made.flips, w.made.retargets, w.made.unmaps
		p.FlipNS = middle(w.flipNS)
		if err != nil {
			p.FirstError = err.Error()
		}
		if ctx.Err() != nil && r.ctx.Err() == nil {
			r.note("%s: %d of %d flips were made in %v: the machine is too busy with other things", name, p.FlipsDone, r.options.Flips, limit)
		}
		if text := l.problem.Load(); text != nil && !slices.Contains(r.result.Notes, *text) {
			r.note("%s", *text)
		}
	}
}

// middle returns the median.
func middle(ns []int64) int64 {
	if len(ns) == 0 {
		return notMeasured
	}
	slices.Sort(ns)
	return ns[len(ns)/2]
}
