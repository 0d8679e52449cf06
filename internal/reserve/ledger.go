package reserve

import "slices"

// ledger remembers which masks threads would have without reservations.
type ledger struct {
	threads map[thread]entry
	// homes says the same of the threads that appear later: by the mask, which they have from the
	// thread that made them. Where several masks became the same one it is all of them.
	homes map[string]CPUs
}

// entry is a thread's mask without reservations, and the one that it had when it was last
// looked at or moved.
type entry struct{ home, set CPUs }

func newLedger() ledger {
	return ledger{threads: map[thread]entry{}, homes: map[string]CPUs{}}
}

// home returns the mask that a thread with the mask now would have without reservations.
func (l *ledger) home(t thread, now CPUs) CPUs {
	if e, known := l.threads[t]; known {
		if slices.Equal(e.set, now) {
			return e.home
		}
		return now // somebody else has set it since, and that counts
	}
	if home, known := l.homes[now.String()]; known {
		return home
	}
	return now
}

// note keeps what a thread's mask is now, and what it would be.
func (l *ledger) note(t thread, home, set CPUs) {
	l.threads[t] = entry{home, set}
	if !slices.Equal(home, set) {
		l.homes[set.String()] = l.homes[set.String()].plus(home)
	}
}

// forget drops the threads that have ended.
func (l *ledger) forget(alive []task) {
	old := l.threads
	l.threads = make(map[thread]entry, len(alive))
	for _, t := range alive {
		if e, known := old[t.thread()]; known {
			l.threads[t.thread()] = e
		}
	}
}

// widest returns all CPUs that some thread may run on without reservations.
func (l *ledger) widest() CPUs {
	var c CPUs
	for _, e := range l.threads {
		c = c.plus(e.home)
	}
	return c
}
