package isolated

import (
	"fmt"
	"strings"
)

// writeLegend says what the numbers are, and what else interrupts the thread.
func (r *Result) writeLegend(b *strings.Builder) {
	fmt.Fprintf(b, `IPIs to CPU %d are counted by %s. A call IPI for TLB
is in both rows. Of all, ticks: whatever came, from /proc/interrupts. gap: time between two readings of the counter on that CPU,
all of them counted; 99.99%% of gaps are no longer than that, and 99.99%% of the time lies in such gaps. Bars are logarithmic, %d
characters for a factor of 10. stops by Go: the thread waited in Safepoint, which is no gap. Most put it to sleep; if the CPU
has nothing else to do it sleeps, too, and takes a call IPI to wake the thread.

What else interrupts such a thread, and what stops it:
  timer ticks              nohz_full= on the kernel's command line, and one thread on the CPU
  kernel threads, RCU      nohz_full= and rcu_nocbs=, which also keep the thread of the grace periods away; reschedule IPIs wake them
  other programs           isolcpus=, or a cpuset partition that is isolated; irqaffinity= for devices
  Go's scheduler (10 ms)   BlockSignals, as here, leaves stops in Safepoint only; a long cgo call under Guest has none
  Go's collector           the same; or GOGC=off with a memory limit, and a loop that comes back
  Go's heap                gives memory back by madvise: TLB IPIs. Here a ballast of %d MB keeps it at its size, all of which was
                           written to before; a program whose heap is steady has the same, or sets GOGC accordingly
  the hypervisor, SMIs     nothing that a program can do
What Go cannot avoid: every collection stops all threads that run Go code, two or three times, until they pass a safepoint; so
the loop has to pass one often, and the thread then sleeps until Go lets it go on. docs/ISOLATION.md has the whole story.

`, r.IsolatedCPU, r.CountedBy, barPerDecade, ballast>>20)
}
