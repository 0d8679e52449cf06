package dyncall

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/quietpatch/quietpatch/internal/engine"
	"github.com/quietpatch/quietpatch/internal/learn"
	"github.com/quietpatch/quietpatch/internal/stub"
)

// learner learns the calls of a program. Its goroutine polls; everything is covered by
// mu but what begin has set for good.
type learner struct {
	o     Options
	calls []*engine.Indirect
	start time.Time
	quit  chan struct{} // closed by Stop
	done  chan struct{} // closed when the goroutine has ended

	mu       sync.Mutex
	rules    *learn.Rules
	sched    *learn.Scheduler
	sites    []learn.Site
	now      []placed
	table    *table
	lines    []learn.Line // scratch
	todo     []step       // of the poll at hand
	restores uint64       // of the engine, when it was looked at last
	unseen   int          // calls that were never counted
	settled  chan struct{}
	err      error // of the last batch; nil when it was carried out
	unmade   error // why the last stub could not be made, in that batch
	events   []Event
	relearns uint64
}

// placed is what a call's stub is now.
type placed struct {
	targets [learn.TargetsMax]uint64
	n       uint8
	counts  bool  // has a row of the table: it is counted, or about to be
	counted bool  // its stub counts
	seen    bool  // counted at least once
	gone    bool  // somebody else has changed it
	row     int32 // of the table, while it counts
}

// step is a verdict that has to be carried out.
type step struct {
	id      int
	verdict learn.Verdict
	clear   []int
}

// valid reports whether a function of the executable begins at the address: a plugin's
// may be out of reach.
func valid(addr uint64) bool {
	f := runtime.FuncForPC(uintptr(addr))
	return f != nil && uint64(f.Entry()) == addr && engine.Default.InText(addr)
}

// reset forgets all that was learned. The calls go to their retpolines.
func (l *learner) reset() {
	l.sched = l.rules.Scheduler()
	l.sites = l.sites[:0]
	l.unseen = 0
	for i := range l.calls {
		l.sites = append(l.sites, l.rules.Site())
		l.sched.Add()
		if p := &l.now[i]; p.counts {
			l.table.give(p.row)
		}
		gone := l.now[i].gone
		l.now[i] = placed{gone: gone, seen: gone}
		if gone {
			l.sched.Remove(i)
		} else {
			l.unseen++
		}
	}
}

// run polls until Stop.
func (l *learner) run() {
	defer close(l.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.quit:
			return
		case <-timer.C:
		}
		l.mu.Lock()
		wait := l.poll(time.Since(l.start))
		events := l.events
		l.events = nil
		l.mu.Unlock()
		for _, e := range events {
			l.o.Notify(e)
		}
		timer.Reset(wait)
	}
}

// retryAfter is the pause behind a batch that could not be carried out.
const retryAfter = time.Second

// poll looks at all calls that are counted, takes new ones, and carries out what follows,
// in one batch. It returns when to come back.
func (l *learner) poll(now time.Duration) time.Duration {
	if n := engine.Default.Restores(); n != l.restores {
		l.restores = n
		l.reset()
	}
	l.todo = l.todo[:0]
	for id := range l.sched.Counted() {
		l.lines = l.table.read(l.now[id].row, l.lines)
		v := l.sites[id].Look(l.lines, now)
		l.todo = append(l.todo, step{id, v, slices.Clone(v.Clear)})
	}
	for len(l.table.free) > 0 {
		id, ok := l.sched.Next(now)
		if !ok {
			break
		}
		l.now[id].row = l.table.take()
		l.now[id].counts = true
		l.todo = append(l.todo, step{id: id, verdict: l.sites[id].Start(now)})
	}
	switch l.err = l.carryOut(now); {
	case errors.Is(l.err, engine.ErrRestored):
		return 0 // begin anew
	case l.err != nil:
		return retryAfter
	}
	if l.quiet() {
		close(l.settled)
		l.settled = make(chan struct{})
	}
	return max(l.sched.Wait(now), time.Millisecond)
}

// quiet reports whether every call was looked at and none is being counted.
func (l *learner) quiet() bool {
	counted, _ := l.sched.Len()
	return counted == 0 && l.unseen == 0
}

// carryOut patches what the verdicts say, then clears lines.
func (l *learner) carryOut(now time.Duration) error {
	var list []engine.Redirect
	for _, s := range l.todo {
		if s.verdict.Change {
			list = append(list, l.redirect(s))
		}
	}
	var out engine.Redirected
	var err error
	if len(list) > 0 {
		out, err = engine.Default.Redirect(list, l.restores)
	}
	for _, s := range l.todo {
		if s.verdict.Change && (err != nil || slices.Contains(out.Unmade, l.calls[s.id])) {
			l.failed(s.id, now)
		} else {
			l.settle(s)
		}
	}
	for _, c := range out.Refused {
		l.drop(slices.Index(l.calls, c))
	}
	l.unmade = out.Why
	return err
}

// redirect describes the stub that a verdict wants.
func (l *learner) redirect(s step) engine.Redirect {
	c := l.calls[s.id]
	r := engine.Redirect{Call: c}
	if len(s.verdict.Targets) == 0 && !s.verdict.Counting {
		return r
	}
	thunk, reg := c.Thunk()
	d := &stub.Dispatch{Reg: reg, Targets: s.verdict.Targets, Miss: thunk}
	if s.verdict.Counting {
		d.Count = l.table.count(l.now[s.id].row)
	}
	r.Size, r.Code = d.Len(), d.Code
	return r
}

// settle notes that a verdict was carried out.
func (l *learner) settle(s step) {
	p := &l.now[s.id]
	if !p.seen && s.verdict.Change {
		p.seen = true
		l.unseen--
	}
	if s.verdict.Change {
		if !slices.Equal(p.targets[:p.n], s.verdict.Targets) {
			l.relearns++
			l.tell(s)
		}
		p.targets = [learn.TargetsMax]uint64{}
		p.n = uint8(copy(p.targets[:], s.verdict.Targets))
		p.counted = s.verdict.Counting
	}
	switch {
	case s.verdict.ClearAll:
		l.table.clear(p.row, -1)
	default:
		for _, cpu := range s.clear {
			l.table.clear(p.row, cpu)
		}
	}
	if !s.verdict.Counting {
		l.table.give(p.row)
		p.counts = false
		l.sched.Sleep(s.id, s.verdict.Wake)
	}
}

// failed notes that the batch of a verdict was not carried out: the stub is what it was.
// A call that was about to be counted waits; one that is counted still is.
func (l *learner) failed(id int, now time.Duration) {
	p := &l.now[id]
	if !p.seen {
		p.seen = true
		l.unseen--
	}
	v := l.sites[id].Failed(p.targets[:p.n], p.counted, now)
	if p.counted {
		l.table.clear(p.row, -1)
		return
	}
	l.table.give(p.row)
	p.counts = false
	l.sched.Sleep(id, v.Wake)
}

// drop leaves a call alone for good.
func (l *learner) drop(id int) {
	if id < 0 || l.now[id].gone {
		return
	}
	p := &l.now[id]
	if p.counts {
		l.table.give(p.row)
	}
	if !p.seen {
		l.unseen--
	}
	*p = placed{seen: true, gone: true}
	l.sched.Remove(id)
}

func (l *learner) tell(s step) {
	if l.o.Notify == nil {
		return
	}
	e := Event{Func: l.calls[s.id].Func(), Addr: l.calls[s.id].Addr()}
	for _, t := range s.verdict.Targets {
		e.Targets = append(e.Targets, name(t))
	}
	l.events = append(l.events, e)
}

func name(addr uint64) string {
	if f := runtime.FuncForPC(uintptr(addr)); f != nil {
		return f.Name()
	}
	return "?"
}
