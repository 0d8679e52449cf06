package learn

// Limits that the layout of a line sets.
const (
	TargetsMax  = 6 // targets that a stub can have, and count the hits of
	SpecificMax = 4 // other targets that one CPU counts by name
)

// Line is what one CPU counted at one site since the line was cleared. Pass
// a copy: the stub goes on writing, and counts that move between two readings
// do not add up.
type Line struct {
	Target   [SpecificMax]uint64 // 0: this place is free
	Miss     [SpecificMax]uint32 // calls of Target
	CatchAll uint32              // calls of any other target, when no place was free
	Hit      [TargetsMax]uint32  // calls of the targets patched in, in their order
}

// specific returns the misses counted by target.
func (l *Line) specific() uint64 {
	var n uint64
	for _, c := range l.Miss {
		n += uint64(c)
	}
	return n
}

// hits returns the calls of the first n targets patched in. Counts behind them
// are left from a stub that had more.
func (l *Line) hits(n int) uint64 {
	var sum uint64
	for _, c := range l.Hit[:n] {
		sum += uint64(c)
	}
	return sum
}

// tally is what the lines of a site add up to. Counters have 32 bits, so sums
// of 64 do not overflow.
type tally struct {
	hits, specific, catchAll uint64
	ripe                     bool // a CPU's specific misses came to Options.Misses
}

func (t tally) calls() uint64 { return t.hits + t.specific + t.catchAll }

// tally adds up the lines of a site with n targets in place, and leaves in
// r.drop the CPUs whose counts the catch-all rule drops.
func (r *Rules) tally(lines []Line, n int) tally {
	var t tally
	r.drop = r.drop[:0]
	for cpu := range lines {
		l := &lines[cpu]
		specific, catchAll := l.specific(), uint64(l.CatchAll)
		t.hits += l.hits(n)
		t.specific += specific
		t.catchAll += catchAll
		// Both may have passed their limit since the last look. Which came first
		// is not known; at even rates it is the one that is further past.
		specificFirst := float64(specific)/float64(r.o.Misses) >= float64(catchAll)/float64(r.o.CatchAll)
		switch {
		case specificFirst && specific >= uint64(r.o.Misses):
			t.ripe = true
		case !specificFirst && catchAll >= uint64(r.o.CatchAll):
			r.drop = append(r.drop, cpu)
		}
	}
	return t
}
