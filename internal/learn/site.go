package learn

import (
	"slices"
	"time"
)

// State is what is being done about a site.
type State uint8

const (
	Cold      State = iota // new, not patched (Failed), or hardly called when it was counted last
	Counting               // its stub counts
	Quiet                  // promoted; the choice was confirmed
	LeftAlone              // original code: no choice of targets gains enough
)

// String returns the state's name, as in stats.
func (s State) String() string {
	switch s {
	case Cold:
		return "cold"
	case Counting:
		return "counting"
	case Quiet:
		return "quiet"
	case LeftAlone:
		return "left alone"
	}
	return "state(?)"
}

const (
	// changesMax is how often the targets may change before a site goes quiet
	// without being confirmed: one that behaves differently in each window would
	// be patched in each window.
	changesMax = 2
	// tablesMax is how many windows, from one Start on, may go by because of what
	// the catch-all hides. Each gives the four places to other targets.
	tablesMax = 3
	// trustMin is how many more confirmations in a row than Options.Stable make a
	// change of targets an event, and not the next of many: each takes a wake-up,
	// and the sixth comes after 63 s by default. A site that calls one thing or
	// another by chance hardly gets there.
	trustMin = 6
)

// Site is what is known about one indirect call site. Use it in place: verdicts
// refer to it.
type Site struct {
	rules     *Rules
	target    [TargetsMax]uint64 // patched in, the first n
	n         uint8
	state     State
	changes   uint8         // of targets, since Start
	tables    uint8         // windows that hid too much, since Start
	confirmed int           // in a row
	began     time.Duration // the window
	backoff   time.Duration // the next sleep; 0 for Options.Wake

	relearnings, looks, hits, misses uint64
	last                             choice // the most popular of the last decision
	lastCalls                        uint64
}

// Site returns a new site: original code, nothing known.
func (r *Rules) Site() Site { return Site{rules: r} }

// Verdict is what to do about a site: first the stub, then the lines.
type Verdict struct {
	// Change: Targets or Counting are not what they were. Else there is nothing
	// to patch.
	Change bool
	// Targets in the order of comparison; none for the original code, or while
	// counting for a stub that only counts. Read-only, valid until the next
	// verdict on this site.
	Targets  []uint64
	Counting bool
	// ClearAll: every line is to be cleared. Clear: those of these CPUs; valid
	// until the next look at any site of these Rules.
	ClearAll bool
	Clear    []int
	// Wake is when to look again, or while not counting, when to count again.
	Wake time.Duration
}

// State returns the state.
func (s *Site) State() State { return s.state }

// Targets returns the targets that the site has, in order. Read-only.
func (s *Site) Targets() []uint64 { return s.target[:s.n] }

// verdict describes the site as it is now.
func (s *Site) verdict(now time.Duration) Verdict {
	return Verdict{Targets: s.Targets(), Counting: s.state == Counting, Wake: now + s.rules.o.Poll}
}

// Start begins to count. A site that is counted already just goes on.
func (s *Site) Start(now time.Duration) Verdict {
	if s.state == Counting {
		return s.verdict(now)
	}
	s.state, s.changes, s.tables = Counting, 0, 0
	return s.window(now, true)
}

// Look judges what the site's lines hold. It does nothing for a site that is not
// being counted.
func (s *Site) Look(lines []Line, now time.Duration) Verdict {
	if s.state != Counting {
		return s.verdict(now)
	}
	s.looks++
	o := &s.rules.o
	s.began = min(s.began, now) // a clock that steps back must not stop the site for ever
	elapsed := now - s.began
	t := s.rules.tally(lines, int(s.n))
	over := elapsed >= o.Window
	switch {
	case t.ripe, over && t.calls() >= uint64(o.Enough):
		return s.decide(lines, t, now)
	case over && float64(t.calls()) < float64(o.Few)*(float64(elapsed)/float64(o.Window)):
		s.account(t.hits, t.calls())
		return s.sleep(Cold, now)
	case len(s.rules.drop) > 0:
		return s.dropCPUs(lines, now)
	}
	return s.verdict(now)
}

// Failed tells the site that a verdict could not be carried out, and what its
// stub is instead. A site that still counts is looked at as before; any other
// sleeps and tries again.
func (s *Site) Failed(have []uint64, counting bool, now time.Duration) Verdict {
	if !slices.Equal(have, s.Targets()) {
		s.relearnings -= min(s.relearnings, 1)
	}
	s.set(have)
	s.confirmed = 0
	if counting {
		s.state = Counting
		v := s.window(now, false)
		v.ClearAll = true
		return v
	}
	state := Quiet
	if s.n == 0 {
		state = Cold
	}
	v := s.sleep(state, now)
	v.Change, v.ClearAll = false, false
	return v
}

// decide chooses targets: the series' dynamic_call_update.
func (s *Site) decide(lines []Line, t tally, now time.Duration) Verdict {
	r := s.rules
	s.account(t.hits, t.calls())
	r.gather(lines, s.Targets())
	s.remember(t.calls())
	next := r.choose(s.Targets(), t.calls())
	same := slices.Equal(next.targets(), s.Targets())
	if (same || next.n == 0) && s.tables < tablesMax && r.hidden(next, t) {
		s.tables++
		return s.window(now, false)
	}
	if same {
		s.confirmed = min(s.confirmed+1, r.o.Stable+trustMin)
	} else {
		s.relearn(next.targets())
	}
	switch {
	case s.n == 0:
		return s.sleep(LeftAlone, now)
	case s.confirmed >= r.o.Stable, s.changes >= changesMax:
		return s.sleep(Quiet, now)
	}
	return s.window(now, !same)
}

// relearn gives the site other targets.
func (s *Site) relearn(targets []uint64) {
	if s.relearnings == 0 || s.confirmed >= s.rules.o.Stable+trustMin {
		s.backoff = 0
	}
	s.set(targets)
	s.confirmed = 0
	s.changes++
	s.relearnings++
}

func (s *Site) set(targets []uint64) {
	s.n = uint8(copy(s.target[:], targets))
}

// dropCPUs gives the four places of the CPUs in r.drop to other targets.
func (s *Site) dropCPUs(lines []Line, now time.Duration) Verdict {
	for _, cpu := range s.rules.drop {
		l := &lines[cpu]
		hits := l.hits(int(s.n))
		s.account(hits, hits+l.specific()+uint64(l.CatchAll))
	}
	v := s.verdict(now)
	v.Clear = s.rules.drop
	return v
}

// window begins a fresh window.
func (s *Site) window(now time.Duration, change bool) Verdict {
	s.began = now
	v := s.verdict(now)
	v.Change, v.ClearAll = change, true
	return v
}

// sleep ends the counting.
func (s *Site) sleep(state State, now time.Duration) Verdict {
	o := &s.rules.o
	s.state = state
	d := max(s.backoff, o.Wake)
	s.backoff = min(2*d, o.WakeMax)
	v := s.verdict(now)
	v.Change, v.ClearAll, v.Wake = true, true, now+d
	return v
}
