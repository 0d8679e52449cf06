package learn

import "slices"

// Count is a target and how often it was called.
type Count struct {
	Target, Calls uint64
}

// Stats is what a site can tell about itself.
type Stats struct {
	State       State
	Targets     []uint64 // in the order of comparison
	Relearnings uint64   // changes of targets, the first choice included
	Looks       uint64   // while it was counted
	// Hits and Misses are sums over all windows, of what was seen before their
	// lines were cleared. What is not counted is in neither.
	Hits, Misses uint64
	// Last has the most popular targets of the last decision, those in place
	// among them, and Other the calls of all the rest.
	Last  []Count
	Other uint64
}

// Stats returns the site's statistics.
func (s *Site) Stats() Stats {
	out := Stats{
		State: s.state, Targets: slices.Clone(s.Targets()),
		Relearnings: s.relearnings, Looks: s.looks, Hits: s.hits, Misses: s.misses,
		Other: s.lastCalls,
	}
	for i, target := range s.last.targets() {
		calls := min(s.last.count[i], out.Other)
		out.Last = append(out.Last, Count{target, calls})
		out.Other -= calls
	}
	return out
}

// account adds counts that are about to be cleared to the sums.
func (s *Site) account(hits, calls uint64) {
	s.hits += hits
	s.misses += calls - hits
}

// remember keeps the head of r.cands for Stats.
func (s *Site) remember(calls uint64) {
	s.last, s.lastCalls = choice{}, calls
	for _, c := range s.rules.cands[:min(len(s.rules.cands), TargetsMax)] {
		s.last.add(c)
	}
}

// Counts returns Stats' Hits and Misses.
func (s *Site) Counts() (hits, misses uint64) { return s.hits, s.misses }
