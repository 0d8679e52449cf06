package ipitracefs

import (
	"slices"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// self is whose IPIs are the tracer's own.
type self struct {
	tgid int32 // 0 if it is not known
	// tids are threads that are known otherwise: those that have written a mark, and those that they have
	// started.
	tids  map[int32]bool
	asked bool // for: it counts like others, except for start and stop
}

// note takes the start of a thread.
func (s *self) note(r *record) {
	if r.work&cloneThread != 0 && s.tids[r.pid] {
		s.tids[int32(r.target)] = true
	} else {
		delete(s.tids, int32(r.target)) // the number of one that has ended
	}
}

// isSelf reports whether what is sent is the tracer's own.
func (c *counter) isSelf(slot *slot, r *record) bool {
	if !slot.who.thread || c.self.asked && c.counting(r) {
		return false
	}
	s := &slot.who.sender
	return c.self.tids[int32(s.TID)] || s.PID != 0 && int32(s.PID) == c.self.tgid
}

// asksFor reports whether a process is asked for by its number or that of one of its threads.
func asksFor(opts *ipitrace.Options, cpus int, tgid int32, has func(tid int32) bool) bool {
	sets, _ := ipifilter.Lower(opts.Filter, cpus)
	return slices.Contains(opts.TGIDs, tgid) || slices.Contains(sets.TGIDs, tgid) ||
		slices.ContainsFunc(opts.PIDs, has) || slices.ContainsFunc(sets.PIDs, has)
}
