package learn

import (
	"cmp"
	"slices"
)

// candidate is a target and how often it was called.
type candidate struct {
	target, count uint64
}

func byTarget(a, b candidate) int { return cmp.Compare(a.target, b.target) }

// byCount sorts the most popular first. Equal counts go by target, so that the
// same counts always give the same order.
func byCount(a, b candidate) int {
	return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.target, b.target))
}

// gather leaves in r.cands every target that may be patched in, with the counts
// of all CPUs and places added up, the most popular first. Targets in place are
// among them even when nobody called them.
func (r *Rules) gather(lines []Line, present []uint64) {
	all := r.cands[:0]
	for i := range lines {
		l := &lines[i]
		for j, target := range l.Target {
			if l.Miss[j] != 0 {
				all = append(all, candidate{target, uint64(l.Miss[j])})
			}
		}
		for j, target := range present {
			all = append(all, candidate{target, uint64(l.Hit[j])})
		}
	}
	slices.SortFunc(all, byTarget)
	n := 0
	for _, c := range all {
		if n > 0 && all[n-1].target == c.target {
			all[n-1].count += c.count
			continue
		}
		all[n] = c
		n++
	}
	all = all[:n]
	r.cands = slices.DeleteFunc(all, func(c candidate) bool { return c.target == 0 || !r.o.Valid(c.target) })
	slices.SortFunc(r.cands, byCount)
}

// choice is an order of targets and what it costs per call on the counts at hand.
type choice struct {
	target, count [TargetsMax]uint64
	n             int
	ns            float64
}

func (c *choice) targets() []uint64 { return c.target[:c.n] }

// add puts a candidate behind the others.
func (c *choice) add(x candidate) {
	c.target[c.n], c.count[c.n] = x.target, x.count
	c.n++
}

func (c *choice) price(costs Costs, calls uint64) { c.ns = costs.perCall(c.count[:c.n], calls) }

// present returns the targets in place as a choice, on the counts of r.cands.
func (r *Rules) present(targets []uint64, calls uint64) choice {
	var c choice
	for _, target := range targets {
		x := candidate{target: target}
		if i := slices.IndexFunc(r.cands, func(c candidate) bool { return c.target == target }); i >= 0 {
			x = r.cands[i]
		}
		c.add(x)
	}
	c.price(r.o.Costs, calls)
	return c
}

// best returns the cheapest number of the most popular targets; none is one of
// the numbers. Where two cost the same it is the smaller.
func (r *Rules) best(calls uint64) choice {
	var c choice
	c.price(r.o.Costs, calls)
	best := c
	for _, x := range r.cands[:min(len(r.cands), r.o.Targets)] {
		c.add(x)
		if c.price(r.o.Costs, calls); c.ns < best.ns {
			best = c
		}
	}
	return best
}

// keepOld fills places that are left over with targets in place, as long as the
// cost stays under limit. A compare that hardly any call gets to costs nothing,
// and what was right before may come back.
func (r *Rules) keepOld(c, old choice, limit float64, calls uint64) choice {
	for i := 0; i < old.n && c.n < r.o.Targets; i++ {
		if slices.Contains(c.targets(), old.target[i]) {
			continue
		}
		more := c
		more.add(candidate{old.target[i], old.count[i]})
		if more.price(r.o.Costs, calls); more.ns <= limit {
			c = more
		}
	}
	return c
}

// choose returns what the site should have: the targets in place, better ones,
// or none.
func (r *Rules) choose(present []uint64, calls uint64) choice {
	var none choice
	none.price(r.o.Costs, calls)
	old, best, base := r.present(present, calls), r.best(calls), none
	if old.ns <= none.ns*(1-r.o.Margin/2) {
		base = old
	}
	limit := base.ns * (1 - r.o.Margin)
	if best.ns < limit {
		return r.keepOld(best, old, min(limit, best.ns*(1+r.o.Margin/10)), calls)
	}
	return base
}

// hidden reports whether a choice may be wrong because its counts do not say
// who was called: were the whole catch-all one target, there would be a choice
// that is better by the margin. It uses r.cands up.
func (r *Rules) hidden(c choice, t tally) bool {
	r.cands = append(r.cands, candidate{count: t.catchAll})
	slices.SortFunc(r.cands, byCount)
	best := r.best(t.calls())
	return best.ns < c.ns*(1-r.o.Margin)
}
