package ipinames

import (
	"debug/elf"
	"fmt"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// CallHandler handles the IPIs for calls (kernel/smp.c, send_call_function_single_ipi).
const CallHandler = "generic_smp_call_function_single_interrupt"

// CallKind is the kind of a call of a function: what the row TLB of /proc/interrupts counts
// is a call of flush_tlb_func (arch/x86/mm/tlb.c).
func CallKind(cause string) ipi.Kind {
	if cause == "flush_tlb_func" {
		return ipi.TLB
	}
	return ipi.Call
}

// softirqs are the names of the kernel (include/linux/interrupt.h and kernel/softirq.c).
var softirqs = []string{"HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"}

const softirqRCU = 9

// Softirq is the path of what a softirq sends; a negative number is one that is not known.
func Softirq(vec int) string {
	switch {
	case vec == softirqRCU:
		return "rcu"
	case vec < 0:
		return "softirq"
	case vec < len(softirqs):
		return "softirq " + softirqs[vec]
	}
	return fmt.Sprintf("softirq %d", vec)
}

// Worker is the path of what a thread sends that the kernel has made for a process: of io_uring (iou-wrk-1,
// iou-sqp-1) or vhost (vhost-1).
const Worker = "worker"

// Kthread is the path of what a thread of the kernel sends. Those of kernel/rcu/tree*.h are
// rcu_preempt, rcuog/0, rcuop/0, rcuc/0, rcub/0.
func Kthread(name string) string {
	if strings.HasPrefix(name, "rcu") {
		return "rcu"
	}
	return "kthread"
}

// IsGo reports whether a file is a program that Go has built.
func IsGo(file string) bool {
	f, err := elf.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Section(".go.buildinfo") != nil
}
