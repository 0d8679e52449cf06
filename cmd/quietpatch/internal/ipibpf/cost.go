package ipibpf

import "github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"

// costKey is what the victim knows of an interrupt.
type costKey struct {
	cpu   int
	kind  ipi.Kind
	cause string
}

// spent divides among rows what interrupts cost: what has come since the last time is divided among the calls
// that have come since then, so that the cost of a row never goes down.
type spent struct {
	costs map[costKey]rawCost // already divided
	rows  map[ipi.Key]*paid
}

// paid is what a row has got.
type paid struct {
	ns           float64
	calls        float64 // that were paid for
	last, before uint64  // calls at the last time, and at the time before
}

// share sets the costs of rows. costs are all since the start; with averages they are those of all
// calls together. Calls that were counted and have not run yet wait for the next time, once.
func (s *spent) share(rows []ipi.Row, costs map[costKey]rawCost, averages bool) {
	if s.rows == nil {
		s.rows = make(map[ipi.Key]*paid)
	}
	waiting := make(map[costKey]float64)
	for i := range rows {
		r := &rows[i]
		p := s.rows[r.Key]
		if p == nil {
			p = &paid{}
			s.rows[r.Key] = p
		}
		p.calls = max(p.calls, float64(p.before))
		waiting[costOf(&r.Key, averages)] += max(0, float64(calls(r))-p.calls)
	}
	for i := range rows {
		r := &rows[i]
		k := costOf(&r.Key, averages)
		p := s.rows[r.Key]
		fresh := max(0, float64(calls(r))-p.calls)
		// As floats: a function that has got another name since has less.
		ns, runs := float64(costs[k].NS)-float64(s.costs[k].NS), float64(costs[k].Runs)-float64(s.costs[k].Runs)
		if runs > 0 && ns > 0 && fresh > 0 {
			if waiting[k] > runs {
				fresh *= runs / waiting[k]
			}
			p.ns += ns / runs * fresh
			p.calls += fresh
		}
		p.before, p.last = p.last, calls(r)
		r.CostNS = uint64(p.ns)
	}
	s.costs = costs
}

// calls is how many runs on the victim a row stands for: calls without an interrupt of their own run
// in that of another.
func calls(r *ipi.Row) uint64 {
	if r.Queued == 0 {
		return r.IPIs
	}
	return r.Queued
}

// costOf is what the victim knows of a row.
func costOf(r *ipi.Key, averages bool) costKey {
	k := costKey{r.CPU, r.Kind, r.Cause}
	if averages && r.Kind == ipi.TLB {
		k.kind = ipi.Call
	}
	if averages || r.Kind == ipi.IRQWork { // one interrupt does all irq_work that waits
		k.cause = ""
	}
	return k
}
