package trace

import (
	"fmt"
	"os"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// Own counts what this process sends to one CPU. What others send, and what timers, softirqs and
// interrupts cause, is not in it.
type Own struct {
	tracer ipitrace.Tracer
	cpu    int
}

// OpenOwn begins to count.
func OpenOwn(cpu int) (*Own, error) {
	t, _, err := Open(Auto, ipitrace.Options{
		Victims: ipi.MakeCPUs(cpu), TGIDs: []int32{int32(os.Getpid())}, NoCost: true,
	})
	if err != nil {
		return nil, err
	}
	return &Own{t, cpu}, nil
}

// Mode names the backend.
func (o *Own) Mode() string { return o.tracer.Mode() }

// Sent is how many IPIs went out, by kind. Of the calls, Wake are there to run another
// thread on an idle CPU (kernel/sched/core.c, sched_ttwu_pending).
type Sent struct {
	Call, TLB, Resched, Wake uint64
	Lost                     uint64 // events that could not be counted
}

// wakes are the functions with which the scheduler lets an idle CPU look at its queue.
var wakes = map[string]bool{"sched_ttwu_pending": true}

// Read returns what was sent since OpenOwn.
func (o *Own) Read() (Sent, error) {
	s, err := o.tracer.Read()
	if err != nil {
		return Sent{}, fmt.Errorf("count the IPIs of this process: %w", err)
	}
	return sentOf(s), nil
}

func sentOf(s ipi.Snapshot) Sent {
	n := Sent{Lost: s.Lost}
	for _, r := range s.Rows {
		switch r.Kind {
		case ipi.Call:
			n.Call += r.IPIs
			if wakes[r.Cause] {
				n.Wake += r.IPIs
			}
		case ipi.TLB:
			n.TLB += r.IPIs
		case ipi.Resched:
			n.Resched += r.IPIs
		}
	}
	return n
}

// Since subtracts an earlier reading.
func (n Sent) Since(m Sent) Sent {
	return Sent{
		Call: n.Call - m.Call, TLB: n.TLB - m.TLB, Resched: n.Resched - m.Resched,
		Wake: n.Wake - m.Wake, Lost: n.Lost - m.Lost,
	}
}

// Close stops counting.
func (o *Own) Close() error {
	_, err := o.tracer.Close()
	return err
}
