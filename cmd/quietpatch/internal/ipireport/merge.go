package ipireport

import (
	"cmp"
	"slices"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// Options say how much a report for people shows.
type Options struct {
	Top     int  // rows of a table; 0 means 20
	PerCPU  bool // one row for each victim, instead of one for all that got the same
	Threads bool // one row for each thread of a sender
	Width   int  // of the terminal in characters; 0 means no limit
}

func (o Options) top() int {
	if o.Top <= 0 {
		return 20
	}
	return o.Top
}

// line is a row of a table: rows that differ only in what the table leaves out.
type line struct {
	ipi.Row          // with CPU, TID and PID of one of them
	cpus    ipi.CPUs // all victims
	threads int      // how many different ones; Thread is "" if there is more than one
	pids    int      // how many different processes
	timed   uint64   // IPIs of the rows that have a cost
}

// fold says what keys leave out; details are the words of details that [callText] does not tell.
type fold struct{ cpus, threads, pids, details bool }

// fold returns what a table leaves out, if it has room for all processes.
func (o Options) fold() fold { return fold{cpus: !o.PerCPU, threads: !o.Threads, details: true} }

// lines merges the rows of a report for a table, the most IPIs first. Processes that have
// nothing but their number to tell them apart become one line if there are too many lines.
func (r *Report) lines(o Options) []line {
	f := o.fold()
	list := merge(r.Rows, f)
	if len(list) > o.top() && f.threads {
		f.pids = true
		list = merge(r.Rows, f)
	}
	return list
}

// lineKey is what lines differ in.
type lineKey struct {
	ipi.Key
	remedy string
}

// merge adds up rows of which the keys are equal but for stacks, workers and what is folded,
// and finds their remedies.
func merge(rows []ipi.Row, f fold) []line {
	type member struct {
		of *line
		id int
	}
	found := make(map[lineKey]*line)
	threads, pids := make(map[member]struct{}), make(map[member]struct{})
	known := remedies{}
	for _, r := range rows {
		r.Cause = functionName(r.Cause)
		r.Remedy = known.of(&r)
		k := f.key(&r)
		l, ok := found[k]
		if !ok {
			l = &line{Row: r, timed: timed(&r)}
			l.StackID, l.Origin.Detail = -1, k.Origin.Detail
			found[k] = l
		} else {
			l.add(&r)
		}
		l.cpus = l.cpus.With(min(r.CPU, ipi.CPUsMax))
		if m := (member{l, r.Sender.TID}); f.threads && !has(threads, m) {
			l.threads++
		}
		if m := (member{l, r.Sender.PID}); f.pids && !has(pids, m) {
			l.pids++
		}
	}
	list := make([]line, 0, len(found))
	for _, l := range found {
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b line) int {
		return cmp.Or(compareRows(a.Row, b.Row), cmp.Compare(a.Remedy, b.Remedy))
	})
	return list
}

// has reports whether the set had the member, and puts it in.
func has[M comparable](set map[M]struct{}, m M) bool {
	_, ok := set[m]
	set[m] = struct{}{}
	return ok
}

func (f fold) key(r *ipi.Row) lineKey {
	k := r.Key
	k.StackID = -1
	k.Origin.Via = ""
	if f.cpus {
		k.CPU = 0
	}
	if f.threads {
		k.Sender.TID, k.Sender.Thread = 0, ""
	}
	if f.pids {
		k.Sender.PID = 0
	}
	if f.details {
		k.Origin.Detail = told(&k.Origin)
	}
	return lineKey{k, r.Remedy}
}

// told is the part of a detail that [callText] tells.
func told(o *ipi.Origin) string {
	options, function := detailWords(o.Detail)
	switch {
	case options != "":
		return options
	case strings.HasPrefix(o.Path, "workqueue "):
		return ""
	}
	return function
}

// add adds a row, and keeps the smallest of what may differ, so that the order of rows
// does not count.
func (l *line) add(r *ipi.Row) {
	increase(&l.IPIs, r.IPIs)
	increase(&l.Queued, r.Queued)
	increase(&l.CostNS, r.CostNS)
	increase(&l.timed, timed(r))
	l.CPU = min(l.CPU, r.CPU)
	l.Sender.PID = min(l.Sender.PID, r.Sender.PID)
	l.Sender.TID = min(l.Sender.TID, r.Sender.TID)
	if l.Sender.Thread != r.Sender.Thread {
		l.Sender.Thread = ""
	}
	if l.Origin.Via == "" || r.Origin.Via != "" && r.Origin.Via < l.Origin.Via {
		l.Origin.Via = r.Origin.Via
	}
}

// functionName cuts off what compilers add to the name of a function that they have changed.
func functionName(s string) string {
	for _, suffix := range []string{".isra.", ".constprop.", ".part.", ".cold", ".llvm."} {
		if i := strings.Index(s, suffix); i > 0 {
			s = s[:i]
		}
	}
	return s
}

// compareRows puts those with more IPIs first; rows are never equal if their keys are not.
func compareRows(a, b ipi.Row) int {
	return cmp.Or(
		cmp.Compare(b.IPIs, a.IPIs), cmp.Compare(b.Queued, a.Queued), cmp.Compare(b.CostNS, a.CostNS),
		compareKeys(&a.Key, &b.Key))
}

func compareKeys(a, b *ipi.Key) int {
	s, t, o, p := &a.Sender, &b.Sender, &a.Origin, &b.Origin
	return cmp.Or(
		cmp.Compare(a.CPU, b.CPU), cmp.Compare(kindOrder(a.Kind), kindOrder(b.Kind)), cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Cause, b.Cause), cmp.Compare(s.Comm, t.Comm), cmp.Compare(s.PID, t.PID), cmp.Compare(s.TID, t.TID),
		cmp.Compare(s.Thread, t.Thread), cmp.Compare(s.Cgroup, t.Cgroup), cmp.Compare(o.Syscall, p.Syscall),
		cmp.Compare(o.Detail, p.Detail), cmp.Compare(o.Path, p.Path), cmp.Compare(o.Via, p.Via), cmp.Compare(a.StackID, b.StackID))
}

// kindOrder is the place of a kind in reports; unknown ones come last.
func kindOrder(k ipi.Kind) int {
	if i := slices.Index(ipi.Kinds(), k); i >= 0 {
		return i
	}
	return len(ipi.Kinds())
}

// sum is what a set of rows comes to; timed are the IPIs of those that have a cost.
type sum struct{ ipis, queued, cost, timed uint64 }

// timed returns the IPIs that a cost is for: not all kinds, and not all backends, have one.
func timed(r *ipi.Row) uint64 {
	if r.CostNS == 0 {
		return 0
	}
	return r.IPIs
}

func (r *Report) sum() sum {
	var s sum
	for i := range r.Rows {
		s.add(&r.Rows[i])
	}
	return s
}

func (s *sum) add(r *ipi.Row) {
	increase(&s.ipis, r.IPIs)
	increase(&s.queued, r.Queued)
	increase(&s.cost, r.CostNS)
	increase(&s.timed, timed(r))
}
