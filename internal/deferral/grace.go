package deferral

import (
	"slices"
	"time"

	"github.com/quietpatch/quietpatch/internal/tracking"
)

// Snapshot is the words of all isolated threads at one moment.
type Snapshot []reading

type reading struct {
	cpu, tid int
	word     tracking.Word
}

// Snap reads the words of all threads that are registered.
func Snap() Snapshot {
	var s Snapshot
	for _, cpu := range actives() {
		// A thread that has ended since has no number. Nobody else's word may be waited for.
		if tid := contexts[cpu].TID(); tid != 0 {
			s = append(s, reading{cpu, tid, contexts[cpu].load()})
		}
	}
	return s
}

// Outside reads the words of all threads that are not in Kernel.
func Outside() Snapshot {
	return slices.DeleteFunc(Snap(), func(r reading) bool { return r.word.State() == tracking.Kernel })
}

// Crossed reports whether every thread has come back or gone out since the snapshot, or
// has ended. It has run Switch since, so wherever it stood it stands there no more; and if it was out,
// it has made up its syncs before anything patchable. From USER to GUEST is no crossing. A narrow
// counter may hide one from a look, and a later look sees another.
func (s *Snapshot) Crossed() bool {
	*s = slices.DeleteFunc(*s, func(r reading) bool {
		c := &contexts[r.cpu]
		return layout.Count(r.word) != layout.Count(c.load()) || c.TID() != r.tid
	})
	return len(*s) == 0
}

// First names a thread of the snapshot; tid is 0 if there is none.
func (s Snapshot) First() (cpu, tid int) {
	if len(s) == 0 {
		return 0, 0
	}
	return s[0].cpu, s[0].tid
}

// Passed reports whether every thread has been outside Kernel at some time since the
// snapshot, or has ended. A thread that has is not looked at again: a narrow counter may
// hide that from a later look.
func (s *Snapshot) Passed() bool {
	*s = slices.DeleteFunc(*s, func(r reading) bool {
		c := &contexts[r.cpu]
		return layout.Passed(r.word, c.load()) || c.TID() != r.tid || c.quiet.Load()
	})
	return len(*s) == 0
}

// Synchronize returns when every isolated thread has been outside Kernel at some time
// since the call. It looks at the words now and then and disturbs nobody. A thread that calls
// it says that it uses nothing itself, as in userspace RCU (urcu-qsbr), so two that call it do not
// wait for each other.
func Synchronize() {
	if c := Current(); c != nil {
		c.quiet.Store(true)
		defer c.quiet.Store(false)
	}
	s := Snap()
	for wait := lookMin; !s.Passed(); wait = min(2*wait, lookMax) {
		time.Sleep(wait)
	}
}

const (
	lookMin = 10 * time.Microsecond
	lookMax = 10 * time.Millisecond
)

// Spinning reports whether an isolated thread runs Go code, so that a stop of the world
// would stop it. One in Guest holds no P.
func Spinning() bool {
	for _, cpu := range actives() {
		if s := contexts[cpu].State(); s == tracking.User || s == tracking.Idle {
			return true
		}
	}
	return false
}
