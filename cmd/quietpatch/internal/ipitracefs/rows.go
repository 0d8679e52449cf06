package ipitracefs

import (
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// rowsMax bounds what is kept of a run of weeks, in which there are many processes. What comes later goes
// into rows without process and origin.
const rowsMax = 200_000

type value struct{ ipis, queued uint64 }

type costKey struct {
	cpu   int
	kind  ipi.Kind
	cause string
}

type cost struct{ runs, ns uint64 }

// row returns where a key is counted.
func (c *counter) row(k ipi.Key) *value {
	v := c.rows[k]
	if v == nil && len(c.rows) >= c.rowsMax {
		c.merged = true
		k.Sender, k.Origin, k.StackID = ipi.Sender{}, ipi.Origin{}, -1 // functions, CPUs and kinds are few
		v = c.rows[k]
	}
	if v == nil {
		v = &value{}
		c.rows[k] = v
	}
	return v
}

// interrupt counts the thread that a CPU had when it was interrupted.
func (c *counter) interrupt(cpu int, s *cpuState, ns uint64) {
	k := ipi.Interrupted{CPU: cpu, Kind: s.kind, Cause: s.cause}
	sender, _ := c.tasks.sender(s.pid)
	k.PID, k.TID, k.Comm, k.Thread = sender.PID, sender.TID, sender.Comm, sender.Thread
	if c.interrupted[k] == nil && len(c.interrupted) >= c.rowsMax {
		c.merged = true
		k = ipi.Interrupted{CPU: cpu, Kind: s.kind, Cause: s.cause}
	}
	addCost(c.interrupted, k, ns)
}

func addCost[K comparable](sums map[K]*cost, k K, ns uint64) {
	sum := sums[k]
	if sum == nil {
		sum = &cost{}
		sums[k] = sum
	}
	sum.runs++
	sum.ns += ns
}

// snapshot returns what was counted; lost and the moment are for the caller to say.
func (c *counter) snapshot(at time.Duration) ipi.Snapshot {
	s := ipi.Snapshot{At: at, SelfIPIs: c.selfIPIs}
	for k, v := range c.rows {
		row := ipi.Row{Key: k, IPIs: v.ipis, Queued: v.queued, Remedy: c.names.Remedy(k)}
		per := costKey{k.CPU, k.Kind, k.Cause}
		if k.Kind == ipi.IRQWork {
			per.cause = "" // one interrupt does all irq_work that waits
		}
		if sum := c.costs[per]; sum != nil && !c.opts.NoCost {
			units := v.queued // calls without an interrupt of their own run in that of another
			if units == 0 {
				units = v.ipis
			}
			row.CostNS = uint64(float64(sum.ns) / float64(sum.runs) * float64(units))
		}
		s.Rows = append(s.Rows, row)
	}
	for i, sum := range c.interrupted {
		i.Runs, i.CostNS = sum.runs, sum.ns
		s.Interrupted = append(s.Interrupted, i)
	}
	if c.opts.Stacks {
		s.Stacks = c.stacks.all(c.names)
	}
	return s
}
