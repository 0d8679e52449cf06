package ipifilter

import (
	"slices"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// Sets is the part of a filter that a program without a language can evaluate: look up
// CPUs and threads in sets. All of them must agree.
type Sets struct {
	Targets ipi.CPUs // victims
	Senders ipi.CPUs // CPUs that send
	// Masks are sets of which each must have a CPU in common with all victims of the IPI.
	Masks []ipi.CPUs
	// PIDs and TGIDs are threads and processes, in order; nil is all, an empty list none.
	PIDs, TGIDs []int32
}

// Match reports whether a record is in all sets.
func (s *Sets) Match(r *Record) bool {
	for _, m := range s.Masks {
		if r.Mask == nil && !m.Has(r.Target) || r.Mask != nil && !m.Intersects(r.Mask) {
			return false
		}
	}
	return s.Targets.Has(r.Target) && s.Senders.Has(r.CPU) && inList(s.PIDs, r.PID) && inList(s.TGIDs, r.TGID)
}

func inList(list []int32, v int32) bool {
	if list == nil {
		return true
	}
	_, found := slices.BinarySearch(list, v)
	return found
}

// Lower divides a filter into sets and the rest that has to be evaluated for the records
// that are in them, nil for nothing. A record is in the sets and passes the rest exactly if it
// passes the filter, provided that CPU and Target are below cpus.
func Lower(x *Expr, cpus int) (Sets, *Expr) {
	s := Sets{Targets: ipi.Below(cpus), Senders: ipi.Below(cpus)}
	if x == nil {
		return s, nil
	}
	var own []*node
	for _, part := range parts(x.root) {
		if !s.add(part, cpus) {
			own = append(own, part)
		}
	}
	return s, exprOf(own, x.cpus)
}

// add narrows the sets by what a part says of them, and reports whether that is all it
// says.
func (s *Sets) add(part *node, cpus int) bool {
	if c := &part.cmp; part.kind == leaf && c.field == Mask && c.op == And {
		s.Masks = append(s.Masks, c.set)
		return true
	}
	targets, _ := project(part, Target, cpus)
	senders, _ := project(part, CPU, cpus)
	s.Targets, s.Senders = s.Targets.And(targets), s.Senders.And(senders)
	s.PIDs = narrow(s.PIDs, part, PID)
	s.TGIDs = narrow(s.TGIDs, part, TGID)

	field, only := onlyField(part)
	switch {
	case !only:
		return false
	case field == Target || field == CPU:
		return true
	case field == PID || field == TGID:
		_, finite := values(part, field)
		return finite
	}
	return false
}

// onlyField returns the field that all comparisons of a node look at, if it is one.
func onlyField(n *node) (Field, bool) {
	if n.kind == leaf {
		return n.cmp.field, true
	}
	first, only := onlyField(n.kids[0])
	for _, k := range n.kids[1:] {
		f, o := onlyField(k)
		only = only && o && f == first
	}
	return first, only
}

// narrow drops the threads for which a part is never true.
func narrow(list []int32, part *node, field Field) []int32 {
	found, finite := values(part, field)
	if !finite {
		return list
	}
	if found == nil {
		found = []int32{} // none, not all
	}
	return slices.DeleteFunc(found, func(v int32) bool { return !inList(list, v) })
}

// values returns the numbers that a field, PID or TGID, can have where the node is true,
// if they are finitely many: sorted, and for a node that looks at nothing else exactly these.
func values(n *node, field Field) (list []int32, finite bool) {
	switch n.kind {
	case and:
		return valuesOfAll(n, field)
	case or:
		for _, k := range n.kids {
			l, f := values(k, field)
			if !f {
				return nil, false
			}
			list = append(list, l...)
		}
		slices.Sort(list)
		return slices.Compact(list), true
	case leaf:
		if n.cmp.field == field && n.cmp.op == EQ {
			return []int32{int32(int64(n.cmp.num))}, true
		}
	}
	return nil, false
}

// valuesOfAll takes the values of any kid, and drops those that another one excludes.
func valuesOfAll(n *node, field Field) (list []int32, finite bool) {
	for _, k := range n.kids {
		if l, f := values(k, field); f && (!finite || len(l) < len(list)) {
			list, finite = l, true
		}
	}
	if !finite {
		return nil, false
	}
	for _, k := range n.kids {
		if f, only := onlyField(k); only && f == field {
			match := compile(k, 1)
			list = slices.DeleteFunc(list, func(v int32) bool { return !match(&Record{PID: v, TGID: v}) })
		}
	}
	return list, true
}
