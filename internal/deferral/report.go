package deferral

import (
	"sync/atomic"

	"github.com/quietpatch/quietpatch/internal/tracking"
)

var strays atomic.Uint64

// NoteStray counts a thread that could run on a CPU that is another's.
func NoteStray() { strays.Add(1) }

// Strays returns the count.
func Strays() uint64 { return strays.Load() }

// Report says what happened to one context.
type Report struct {
	CPU        int
	TID        int // 0: nobody is isolated there now
	State      tracking.State
	Shared     bool   // other threads may run on the CPU, so it is not spared
	Deferred   uint64 // syncs that were left to the thread
	CatchUps   uint64 // times it came back and owed work
	Violations uint64 // changing sites that it ran while it was isolated
	Violated   uint64 // address of the last one
}

// Reports returns the contexts that are in use or have something to tell, by CPU.
func Reports() []Report {
	registering.Lock()
	defer registering.Unlock()
	var out []Report
	for _, cpu := range used {
		c := &contexts[cpu]
		out = append(out, Report{
			CPU: cpu, TID: c.TID(), State: c.State(), Shared: c.shared.Load(), Deferred: c.spared.Load(), CatchUps: c.catchUps.Load(),
			Violations: c.violations.Load(), Violated: c.violated.Load(),
		})
	}
	return out
}
