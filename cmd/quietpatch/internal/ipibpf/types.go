package ipibpf

import (
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// Options say what is watched.
type Options struct {
	Victims ipi.CPUs // nil: all
	Senders ipi.CPUs // nil: all
	// TGIDs and PIDs are processes and threads as the first PID namespace numbers them. An
	// IPI counts if one of them is to blame or, in a thread, sends it itself. nil: all.
	TGIDs, PIDs []int32
	Stacks      bool // walk the sender's kernel stack; that is most of the time an event takes
	NoCost      bool // do not watch what interrupts cost the victims: fewer events are turned on

	rowsMax uint32 // of the kernel's table, for tests; 0: what the object says
}

// Snapshot is what was counted since the start. Reading does not reset it.
type Snapshot struct {
	At   time.Duration // since the start
	Rows []ipi.Row
	Lost uint64 // events that could not be counted
	// SelfIPIs went to the victims because the tracer started or stopped. They are in no row.
	SelfIPIs uint64
	Stacks   map[int32][]string // functions of the stacks of the rows, innermost first
}

// Finding is one means that the tracer uses, and whether it is there.
type Finding struct {
	Name   string
	OK     bool
	Needed bool   // without it there is no eBPF backend at all
	Why    string // it is not there, or how it is
	Lost   string // what a report lacks without it
}
