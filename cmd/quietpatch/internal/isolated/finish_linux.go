//go:build linux && amd64

package isolated

import (
	"fmt"
	"math"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/demo/kv"
	"github.com/quietpatch/quietpatch/statickey"
)

// finish completes the result, when the thread has ended.
func (r *runner) finish() {
	res := &r.result
	res.TicksPerNS = now().rate(r.start)
	if c := r.crossing; c != nil {
		res.KernelCrossingNS = median(c.plain, res.TicksPerNS)
		if res.CrossingsOwed = len(c.owed); res.CrossingsOwed > 0 {
			res.KernelCrossingOwedNS = max(median(c.owed, res.TicksPerNS)-median(c.clock, res.TicksPerNS), 0)
		}
	}
	if r.key.Enabled() {
		if err := r.key.Set(false); err != nil {
			r.note("the key stays on: %v", err)
		}
	}
	r.status()
	if err := r.thread.notRealTime; err != nil {
		r.note("the thread has no priority over other programs: %v", err)
	}
	r.noteShare()
	res.Interrupted = r.ctx.Err() != nil
	res.judge()
}

// take puts what the thread has seen into the phase.
func (p *Phase) take(w *watch, ticksPerNS float64) {
	p.fill(&w.gaps, ticksPerNS)
	ns := func(ticks uint64) int64 { return int64(float64(ticks) / ticksPerNS) }
	p.StopsByGo, p.StopNSMax, p.StopNS = w.stops, ns(w.longestStop), ns(w.stoppedFor)
	if awake := time.Duration(p.DurationMS)*time.Millisecond - time.Duration(p.StopNS); w.err == nil && awake > 0 {
		p.Slept, p.Preempted = w.to.slept-w.from.slept, w.to.preempted-w.from.preempted
		p.CPUShare = min(round2(float64(w.to.cpu-w.from.cpu)/float64(awake)), 1)
	}
}

// summary is the phase in one line.
func (p *Phase) summary() string {
	return fmt.Sprintf("%s flips in %d ms, %s call and %s TLB IPIs, longest gap %s us",
		number(int64(p.FlipsDone)), p.DurationMS, number(p.CallIPIs), number(p.TLBIPIs), micros(p.GapNSMax))
}

func round2(x float64) float64 { return math.Round(x*100) / 100 }

// shareEnough is what a thread has of a CPU that no other program wants, more or less.
const shareEnough = 0.97

// noteShare tells the user in which phases the CPU was not the thread's alone.
func (r *runner) noteShare() {
	var phases []string
	for _, p := range r.result.phases() {
		if p.CPUShare >= 0 && p.CPUShare < shareEnough {
			phases = append(phases, fmt.Sprintf("%s (%.0f%%)", p.name, 100*p.CPUShare))
		}
	}
	if len(phases) == 0 {
		return
	}
	help := ", or with --realtime"
	if r.options.RealTime && r.thread.notRealTime == nil {
		help = "; the kernel lets other programs have 5% of a CPU in spite of --realtime"
	}
	r.note("other programs took CPU %d away from the thread, so gaps are longer than they need be, and there are fewer IPIs, which come only to"+
		" a CPU that runs this program; run again on a quiet machine or on a CPU that is kept free (isolcpus, cpuset)%s. The thread had of the CPU: %s",
		r.result.IsolatedCPU, help, strings.Join(phases, ", "))
}

// status takes over what the library says.
func (r *runner) status() {
	res, s := &r.result, quietpatch.Status()
	res.Mode, res.Reason, res.Strategy, res.Backend, res.Assurance = s.Mode, s.Reason, s.Strategy, s.Backend, s.Assurance
	res.Violations, res.Strays = s.Isolation.Violations, s.Isolation.Strays
	for _, t := range s.Isolation.Threads {
		if t.CPU == res.IsolatedCPU {
			res.Violated = t.Violated
		}
	}
	for _, problem := range s.Problems {
		r.note("%s", problem)
	}
	res.Sites, res.Calls = armed(r.key.Sites()), armed(sum.Sites())
	if s.Mode == modeLive && res.Sites < kv.StageCount {
		r.note("%d of %d checks of the key are armed sites", res.Sites, kv.StageCount)
	}
}

// armed counts sites. Where text is not looked at there are none.
func armed(sites []statickey.Site, _ error) (n int) {
	for _, s := range sites {
		if s.State == "armed" {
			n++
		}
	}
	return n
}

// counted is what the library and the runtime count.
type counted struct {
	syncs, deferred, catchUps uint64
	held, forced, collections uint64
	waiting                   int
}

func counters(cpu int) (c counted) {
	s := quietpatch.Status()
	c.syncs = s.Counters.Syncs
	c.held, c.forced, c.waiting = s.Isolation.Unmaps.Held, s.Isolation.Unmaps.Forced, s.Isolation.Unmaps.Waiting
	for _, t := range s.Isolation.Threads {
		if t.CPU == cpu {
			c.deferred, c.catchUps = t.Deferred, t.CatchUps
		}
	}
	m := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(m)
	if m[0].Value.Kind() == metrics.KindUint64 {
		c.collections = m[0].Value.Uint64()
	}
	return c
}

func (p *Phase) count(from, to counted) {
	p.Syncs, p.SyncsDeferred = to.syncs-from.syncs, to.deferred-from.deferred
	p.UnmapsHeld, p.UnmapsForced, p.Collections = to.held-from.held, to.forced-from.forced, to.collections-from.collections
}
