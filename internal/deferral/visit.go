package deferral

import "github.com/quietpatch/quietpatch/internal/tracking"

// Of says of one thread whether it may be isolated, so that it is not to be disturbed, and
// whether it has been outside Kernel at some time since the snapshot. That is by its word: one
// that breaks its promise may make calls there. Who frees what they lead to asks [Snapshot.Crossed], too.
func (s Snapshot) Of(tid int) (isolated, passed bool) {
	for _, cpu := range actives() {
		if c := &contexts[cpu]; c.TID() == tid {
			isolated = true
			passed = c.load().State() != tracking.Kernel && c.TID() == tid
		}
	}
	for _, r := range s {
		if r.tid != tid {
			continue
		}
		// A context that has gone to another thread tells nothing new of this one.
		now := contexts[r.cpu].load()
		if contexts[r.cpu].TID() != tid {
			now = r.word
		}
		passed = passed || layout.Passed(r.word, now)
	}
	return isolated, passed
}

// Ordinary calls f, unless the thread has a context; it can get none before f has
// returned.
func Ordinary(tid int, f func()) {
	registering.Lock()
	defer registering.Unlock()
	for _, cpu := range actives() {
		if contexts[cpu].TID() == tid {
			return
		}
	}
	f()
}
