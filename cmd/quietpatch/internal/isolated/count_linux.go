//go:build linux && amd64

package isolated

import (
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/trace"
)

// A tally is what was counted up to one moment.
type tally struct {
	came interrupts.Reading // to all CPUs, whoever sent it
	sent trace.Sent         // by this process to the CPU
}

// openOwn begins to count what this process sends, before anything is isolated: to turn
// the events on interrupts all CPUs. Without the means for it, what comes to the CPU is counted.
func (r *runner) openOwn() {
	own, err := trace.OpenOwn(r.result.IsolatedCPU)
	if err != nil {
		r.result.CountedBy = byInterrupts
		r.note("IPIs of other programs are counted, too: %v", err)
		return
	}
	r.own, r.result.CountedBy = own, own.Mode()+": what this process sent"
}

func (r *runner) closeOwn() {
	if r.own == nil {
		return
	}
	if err := r.own.Close(); err != nil {
		r.note("%v", err)
	}
}

func (r *runner) tally() (t tally, err error) {
	t.came = interrupts.Read()
	if r.own != nil {
		t.sent, err = r.own.Read()
	}
	return t, err
}

// interrupts puts what came to the CPU between two moments into the phase.
func (r *runner) interrupts(p *Phase, from, to tally) {
	since := func(row string) int64 {
		n, missing := to.came.Since(from.came, row, r.result.IsolatedCPU)
		if missing {
			return notMeasured
		}
		return int64(n)
	}
	p.AllCallIPIs, p.AllTLBIPIs, p.TimerTicks = since(interrupts.Call), since(interrupts.TLB), since(interrupts.Timer)
	p.AllRescheduleIPIs = since(interrupts.Reschedule)
	if r.own == nil {
		p.CallIPIs, p.TLBIPIs, p.RescheduleIPIs = p.AllCallIPIs, p.AllTLBIPIs, p.AllRescheduleIPIs
		return
	}
	n := to.sent.Since(from.sent)
	p.CallIPIs, p.TLBIPIs = int64(n.Call+n.TLB), int64(n.TLB)
	p.RescheduleIPIs, p.WakeIPIs = int64(n.Resched), int64(n.Wake)
	if n.Lost > 0 {
		r.note("%s could not be counted", plural(int64(n.Lost), "IPI"))
	}
}
