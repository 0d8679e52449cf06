package sim

// The checkers, one invariant each.
const (
	CheckTorn        = "torn"         // no CPU executes bytes of two instructions, or half of one
	CheckMixed       = "mixed"        // no CPU executes a site of which it may see two values (Strict)
	CheckLost        = "lost-trap"    // no trap is lost, handed to the wrong owner, or answered with half an entry
	CheckStale       = "stale"        // after a call returned no check sees the old value
	CheckNothingLeft = "nothing-left" // after a call returned nothing is trapped or half done
	CheckBudget      = "budget"       // no more and no fewer syncs than promised; none for an isolated CPU; no more unmaps and waits than that
	CheckLiveness    = "liveness"     // once the patcher is done, every thread finishes
	CheckFreed       = "freed-stub"   // nobody executes a stub that was freed
	CheckDisturbed   = "disturbed"    // no munmap hits an isolated thread unless a bound was passed, or it did not wait for that one
	CheckGrace       = "grace"        // no grace period ends before all threads were outside Kernel
	CheckStranded    = "stranded"     // with everybody in Kernel, what is pending has a thread that owes it, and a timer
)

// Violation is a broken invariant and the way there.
type Violation struct {
	By    string `json:"by"` // which checker
	What  string `json:"what"`
	Trace Trace  `json:"trace"`
	atoms []atom
}

// aloneStepsMax is more than a thread needs for a check, a signal handler with
// one, and their traps.
const aloneStepsMax = 32

// circleAtoms is how much of a circle a trace shows.
const circleAtoms = 12

// scratch is the liveness checker's memory.
type scratch struct {
	s    state
	buf  []atom
	way  []atom // what it did
	over bool   // and that it led to a violation
}

// alone checks liveness once the patcher is done: every thread, run without the
// others, must finish what it is in. See worst for its choices.
func (m *model) alone(s *state, x *scratch) {
	for i := range s.threads {
		x.s.copyFrom(s)
		x.s.quiet = true
		x.way = append(x.way[:0], atom{op: opQuiet})
		stuck := false
		for range aloneStepsMax {
			if x.buf = m.threadAtoms(&x.s, i, x.buf[:0]); len(x.buf) == 0 {
				stuck = true
				break
			}
			a := worst(x.buf)
			x.way = append(x.way, a)
			if m.apply(&x.s, a); m.found != nil {
				x.over = true
				return
			}
		}
		if !stuck && !x.s.finished(i) {
			m.circles(&x.s, i)
			x.way, x.over = x.way[:circleAtoms], true
			return
		}
	}
}

// worst is the choice that gets a thread on the least: the trap byte, as long as
// its CPU may see one, since a CPU need not ever refill.
func worst(atoms []atom) atom {
	for _, a := range atoms {
		if a.op == opExec && a.arg&15 == trapped {
			return a
		}
	}
	return atoms[len(atoms)-1]
}

func (m *model) circles(s *state, i int) {
	t := &s.threads[i]
	m.violate(CheckLiveness, "CPU"+string('0'+rune(t.cpu%10))+" does not get out of "+placeNames[t.at]+", alone and with the patcher done")
}
