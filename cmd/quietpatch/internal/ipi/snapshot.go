package ipi

import "time"

// Snapshot is what a backend has counted since it started. Reading it does not reset it. A key
// keeps its words from one snapshot to the next: one that is named in another way counts again.
type Snapshot struct {
	At   time.Duration // since the start
	Rows []Row
	Lost uint64 // events that could not be counted
	// SelfIPIs went to the victims from the backend's own process: because it started or stopped, and
	// what it sent in between. They are in no row, unless somebody asked for that process.
	SelfIPIs uint64
	// Stacks has the functions of each stack that a row names, the innermost first. Those
	// of earlier snapshots need not be repeated.
	Stacks map[int32][]string
	// Offline is the victims that did not run when this was read. Backends leave it to who reads.
	Offline CPUs
	// Interrupted is empty unless it was asked for.
	Interrupted []Interrupted
}

// Interrupted is a thread that was interrupted, and by what. The one who sent does not know it:
// this is counted on the victim, apart from rows, when the interrupt arrives.
type Interrupted struct {
	CPU          int // the victim
	Kind         Kind
	Cause        string // function that it ran in its interrupt; "" if it is not known
	PID, TID     int    // of the thread that had the CPU; 0 is the idle thread
	Comm, Thread string
	Runs         uint64 // functions that ran, or interrupts where there are none
	CostNS       uint64
}

// Blind says what a backend does not see or tell apart here: small counts of such rows prove nothing.
type Blind struct {
	Kinds []Kind `json:"kinds"` // of rows that it concerns; none: all
	// Mixed says that such rows are counted, but as another kind and without the names of functions:
	// only who asks for kinds or names cannot tell.
	Mixed bool   `json:"mixed"`
	Why   string `json:"why"` // such as "IPIs for irq_work are not counted"
}
