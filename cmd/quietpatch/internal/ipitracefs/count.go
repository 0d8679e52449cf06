package ipitracefs

import (
	"maps"
	"math"
	"slices"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipinames"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// counter counts records, in the order of their times.
type counter struct {
	opts  ipitrace.Options
	full  *ipifilter.Expr // victims, senders and the filter
	from  uint64          // records before and from until on are of start and stop
	until uint64
	// The events of IPIs are on; before and after, each call of the tracer's own stands for one.
	eyesFrom, eyesUntil uint64

	self  self           // of the tracer
	tgids map[int32]bool // that are asked for, with those that are followed; nil: all
	pids  map[int32]bool // the same of threads

	names   *ipinames.Names
	tasks   *tasks
	cpus    map[int]*cpuState
	works   map[uint64]who // work items that wait, by who queued them
	running map[int32]run  // kworkers
	stacks  stacks

	rows        map[ipi.Key]*value
	costs       map[costKey]*cost
	interrupted map[ipi.Interrupted]*cost
	rowsMax     int  // of rows, and of interrupted
	merged      bool // there were more
	selfIPIs    uint64
	handler     uint64 // of IPIs for calls, as the last one said; all ones: not known yet
}

// cpuState is what one CPU is doing.
type cpuState struct {
	slots   [levels]slot // what it has queued last
	softirq int          // that began last; negative: not known
	timer   bool         // in the interrupt of its timer
	since   uint64       // begin of what is paid for; 0: nothing
	kind    ipi.Kind
	cause   string
	called  bool // cause is known
	pid     int32
}

// slot is what was queued last. The IPI that follows is for this.
type slot struct {
	valid bool
	pid   int32
	who   who
	cause string
	addr  uint64
	stack int32
}

// who is to blame.
type who struct {
	sender ipi.Sender
	origin ipi.Origin
	thread bool // not a softirq or an interrupt
}

type run struct {
	who
	cpu  int
	work bool // the work item is known, else who is empty
	path string
}

// worksMax bounds the work items that are remembered.
const worksMax = 8192

func newCounter(opts ipitrace.Options, t *tasks) *counter {
	return &counter{
		opts: opts, tgids: setOf(opts.TGIDs), pids: setOf(opts.PIDs), from: math.MaxUint64, until: math.MaxUint64, eyesUntil: math.MaxUint64, handler: math.MaxUint64,
		names: ipinames.New(), tasks: t, stacks: newStacks(), self: self{tids: make(map[int32]bool)},
		cpus: make(map[int]*cpuState), works: make(map[uint64]who), running: make(map[int32]run),
		rows: make(map[ipi.Key]*value), costs: make(map[costKey]*cost), interrupted: make(map[ipi.Interrupted]*cost),
		rowsMax: rowsMax,
	}
}

func setOf(list []int32) map[int32]bool {
	if list == nil {
		return nil
	}
	set := make(map[int32]bool, len(list))
	for _, n := range list {
		set[n] = true
	}
	return set
}

// add counts records of all CPUs.
func (c *counter) add(records []record) {
	slices.SortStableFunc(records, func(a, b record) int {
		switch {
		case a.ts < b.ts:
			return -1
		case a.ts > b.ts:
			return 1
		}
		return 0
	})
	c.tasks.foresee(records)
	for i := range records {
		c.one(&records[i])
	}
}

func (c *counter) cpu(n int) *cpuState {
	s := c.cpus[n]
	if s == nil {
		s = &cpuState{softirq: -1}
		c.cpus[n] = s
	}
	return s
}

func (c *counter) one(r *record) {
	s := c.cpu(r.cpu)
	switch r.what {
	case queued:
		c.queue(s, r)
	case sendOne:
		if r.addr != 0 && r.target == r.cpu {
			c.worksLater(s, r)
			return
		}
		slot := c.slot(s, r)
		c.send(slot, r, r.target)
		slot.valid = false // an IPI is for the calls that were queued before it
	case sendMany:
		slot := c.slot(s, r)
		for cpu := range r.mask.All() {
			c.send(slot, r, cpu)
		}
		slot.valid = false
	case enters, leaves, callRuns:
		c.onVictim(s, r)
	case workQueued, workStarts, workEnds:
		c.work(s, r)
	case softirqStarts:
		s.softirq = r.target
	case timerEnters, timerLeaves:
		s.timer = r.what == timerEnters
	case taskNew, taskRenamed, taskEnds:
		c.forget(c.tasks.note(r))
		if r.what == taskNew {
			c.self.note(r)
			c.follow(r)
		}
	case marker:
		c.self.tids[r.pid] = true
	case gap:
		c.gap(r)
	}
}

// gap forgets what may not be so any more when events are missing.
func (c *counter) gap(r *record) {
	c.cpus[r.cpu] = &cpuState{softirq: -1}
	clear(c.works)
	maps.DeleteFunc(c.running, func(_ int32, run run) bool { return run.cpu == r.cpu })
}

// counting reports whether a record is neither of the start nor of the stop.
func (c *counter) counting(r *record) bool { return r.ts >= c.from && r.ts < c.until }

// queue remembers why the next IPI is sent.
func (c *counter) queue(s *cpuState, r *record) {
	slot := &s.slots[r.level()]
	*slot = c.fill(s, r)
	slot.cause, slot.addr = c.names.Function(r.addr), r.addr
	rec := c.record(slot, r, r.target, ipinames.CallKind(slot.cause))
	rec.Handler, rec.Callback = ipinames.CallHandler, c.handler
	c.count(slot, r, &rec, 0, 1)
}

// slot finds what an IPI is for: what this CPU has queued last in the same context.
// Reschedules are for nothing that is queued.
func (c *counter) slot(s *cpuState, r *record) *slot {
	if slot := &s.slots[r.level()]; r.addr != 0 && slot.valid && slot.pid == r.pid {
		return slot
	}
	slot := c.fill(s, r)
	return &slot
}

func (c *counter) fill(s *cpuState, r *record) slot {
	return slot{valid: true, pid: r.pid, who: c.blame(s, r), stack: c.stacks.id(r.stack)}
}

// worksLater counts irq_work, which a CPU sends to itself (kernel/irq_work.c, irq_work_raise): the callback will
// do the work. That is for nothing that was queued.
func (c *counter) worksLater(s *cpuState, r *record) {
	slot := c.fill(s, r)
	slot.cause, slot.addr = c.names.Function(r.addr), r.addr
	rec := c.record(&slot, r, r.cpu, ipi.IRQWork)
	rec.Handler, rec.Callback = slot.cause, r.addr
	c.count(&slot, r, &rec, 1, 0)
}

func (c *counter) send(slot *slot, r *record, cpu int) {
	kind := ipi.Resched
	if r.addr != 0 {
		kind = ipinames.CallKind(slot.cause)
		c.handler = r.addr
	}
	rec := c.record(slot, r, cpu, kind)
	rec.Mask = r.mask
	rec.Callback = r.addr
	if c.opts.Filter.Uses(ipifilter.CallbackName) {
		rec.Handler = c.names.Function(r.addr)
	}
	c.count(slot, r, &rec, 1, 0)
}

// record is what filters look at.
func (c *counter) record(slot *slot, r *record, cpu int, kind ipi.Kind) ipifilter.Record {
	s := &slot.who.sender
	return ipifilter.Record{
		CPU: r.cpu, Target: cpu, PID: int32(s.TID), TGID: int32(s.PID), Comm: s.Thread, Process: s.Comm,
		Cause: slot.cause, Func: slot.addr, Kind: kind,
	}
}

func (c *counter) count(slot *slot, r *record, rec *ipifilter.Record, ipis, queued uint64) {
	if c.isSelf(slot, r) {
		if c.opts.Victims == nil || c.opts.Victims.Has(rec.Target) {
			if r.ts < c.eyesFrom || r.ts >= c.eyesUntil {
				ipis = queued
			}
			c.selfIPIs += ipis
		}
		return
	}
	if !c.counting(r) || !c.full.Match(rec) || !c.wanted(slot, r) {
		return
	}
	v := c.row(ipi.Key{
		CPU: rec.Target, Kind: rec.Kind, Cause: slot.cause,
		Sender: slot.who.sender, Origin: slot.who.origin, StackID: slot.stack,
	})
	v.ipis += ipis
	v.queued += queued
}

// wanted looks a thread up in the sets, as who is blamed or as who sends itself.
func (c *counter) wanted(slot *slot, r *record) bool {
	in := func(set map[int32]bool, blamed int, sends int32) bool {
		return set == nil || set[int32(blamed)] || slot.who.thread && set[sends]
	}
	s := &slot.who.sender
	return in(c.tgids, s.PID, c.tasks.of(r.pid).tgid) && in(c.pids, s.TID, r.pid)
}

// onVictim pays for what an interrupt costs. The first function of an interrupt pays for entering it,
// the last one for leaving it. Functions that an idle CPU runs without an interrupt
// (kernel/smp.c, flush_smp_call_function_queue) cost nothing.
func (c *counter) onVictim(s *cpuState, r *record) {
	switch r.what {
	case enters:
		s.since, s.kind, s.cause, s.called, s.pid = r.ts, r.kind, "", false, r.pid
	case callRuns:
		if s.since == 0 {
			return
		}
		if s.called {
			c.pay(s, r)
			s.since = r.ts
		}
		s.cause, s.called = c.names.Function(r.addr), true
		s.kind = ipinames.CallKind(s.cause)
	case leaves:
		if s.since != 0 {
			c.pay(s, r)
		}
		s.since = 0
	}
}

func (c *counter) pay(s *cpuState, r *record) {
	if !c.counting(r) || s.since < c.from || r.ts < s.since || c.opts.Victims != nil && !c.opts.Victims.Has(r.cpu) {
		return
	}
	addCost(c.costs, costKey{r.cpu, s.kind, s.cause}, r.ts-s.since)
	if !c.opts.Interrupted {
		return
	}
	c.interrupt(r.cpu, s, r.ts-s.since)
}
