package ipitrace

import (
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
)

// Options say what is watched.
type Options struct {
	Victims ipi.CPUs // nil: all
	Senders ipi.CPUs // nil: all
	// TGIDs and PIDs are processes and threads as the tracer's own PID namespace numbers them. An
	// IPI counts if one of them is to blame or, in a thread, sends it itself. nil: all.
	TGIDs, PIDs []int32
	Follow      bool // the processes that those of TGIDs start, too
	// Filter must let an IPI pass as well. Its pid, tgid and comm are of the thread that is
	// to blame, as in the rows. nil: all.
	Filter      *ipifilter.Expr
	Stacks      bool // walk the sender's kernel stack; that is most of the time an event takes
	NoCost      bool // do not watch what interrupts cost the victims: fewer events are turned on
	Interrupted bool // count which threads were interrupted
}

// Tracer counts from when a backend opened it to its Close. Its methods may be called at the
// same time.
type Tracer interface {
	// Mode names the backend and its means, such as "eBPF, raw tracepoints".
	Mode() string
	// Missing says what this backend does not see here, a sentence each.
	Missing() []string
	// Blind says of what of that small counts prove nothing.
	Blind() []ipi.Blind
	// Read returns what was counted since the start; after Close, what Close has returned.
	Read() (ipi.Snapshot, error)
	// Close stops and returns all that was counted, now with what the stop has sent.
	Close() (ipi.Snapshot, error)
}
