package ipireport

import (
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// Meta says what was watched, where and how.
type Meta struct {
	Version string    `json:"version"`          // of this program
	Start   time.Time `json:"start"`            //
	Kernel  string    `json:"kernel"`           // its release, such as 6.12.48
	Machine string    `json:"machine"`          // architecture or model
	CPUs    int       `json:"cpus"`             // that the machine has
	Victims string    `json:"victims"`          // the CPUs that are watched, as a list
	Filter  string    `json:"filter,omitempty"` // in the language of package ipifilter
	Mode    string    `json:"mode"`             // of the backend, such as "eBPF, raw tracepoints"
	Notes   []string  `json:"notes,omitempty"`  // what this mode cannot see, and the like

	// PIDs are the processes whose IPIs count; none: all. With Follow, those that they start, too.
	PIDs   []int `json:"pids,omitempty"`
	Follow bool  `json:"follow,omitempty"`
	// Planned is how long the run should last; 0 is until it is stopped. One that was shorter is
	// not complete.
	Planned time.Duration `json:"planned_ns,omitempty"`
	// Blind is what makes small counts of some rows no proof.
	Blind []ipi.Blind `json:"blind,omitempty"`
}

// Report is all that is known at some time. Its rows are in no order.
type Report struct {
	Meta     Meta
	Duration time.Duration
	Rows     []ipi.Row
	Lost     uint64
	SelfIPIs uint64 // that the tracer itself sent, at its start and stop and in between; in no row
	Stacks   map[int32][]string
	Timeline []Slice // oldest first
	// Folded counts keys that came when there were too many: their rows have no sender
	// and no origin.
	Folded uint64
	// Incomplete says why the run is not whole, such as a file that ends early, or less time
	// than was planned; "" if it is.
	Incomplete string
	// Ended is when all processes of Meta.PIDs were seen to have ended; 0 if they were not, or if
	// those that they start count, too.
	Ended time.Duration
	// Offline is the victims that were seen offline: what they did not get then proves nothing.
	Offline ipi.CPUs
	// Interrupted is who had the victims' CPUs, in no order; empty if nobody asked.
	Interrupted []ipi.Interrupted
}

// Slice is a part of the run's time, and how many IPIs went out in it.
type Slice struct {
	From, To time.Duration
	IPIs     map[Lane]uint64
}

// Lane is what the timeline tells apart.
type Lane struct {
	CPU  int
	Kind ipi.Kind
}

// perSecond is a rate; it is 0 if no time has passed.
func perSecond(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
