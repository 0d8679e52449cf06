package ipibpf

import "slices"

// event is a tracepoint of the kernel and the program for it. Kernels that lack it may have
// functions that tell the same.
type event struct {
	program, tracepoint string
	use                 use
	lost                string // without it
	probes              []probe
}

// probe is a program for the entry of a function.
type probe struct {
	program, function string
	needed            bool
	lost              string
}

type use int

const (
	counts     use = iota // IPIs; these events come first
	queues                // calls
	forOrigin             // these the tracer can do without
	forContext            // only where preempt_count is not known
	forVector             // there, too, and for costs
	forCost
	forFollow
	forNumbers // of processes and threads
)

const (
	noWork    = "Who queued the work for which a kworker sends is not known: the kworker is blamed."
	noSoftirq = "Which softirq an IPI is from is not known."
	noTimer   = "IPIs from timers are not told from those of other interrupts."
	noEnd     = "IPIs from softirqs are blamed on the thread that was interrupted."
	noIRQ     = "IPIs from device interrupts are blamed on the thread that was interrupted."
	noCost    = "What interrupts cost the victims is not known, or not all of it."
	noCause   = "Which cause a cost belongs to is not known: each call costs the average of all."
	noEnds    = "A process that gets the number of one that was asked for and has ended is counted, too."
	noFollow  = "Processes that are started by those asked for are not followed."
	noIRQWork = "Interrupts for irq_work are not counted."
	noIPIs    = "IPIs are not counted."
	noCalls   = "Queued calls and the causes of IPIs are not known."
	manyLate  = "Calls of one function to several CPUs are counted as queued when their IPIs are sent: those that need none are left out."
	hidden    = "The names of functions are hidden (kernel.kptr_restrict, or no CAP_SYSLOG): causes are addresses, and flushes of the TLB (tlb) are not told from other calls (call)."
	noCount   = "Where the kernel counts that it is in an interrupt is not known: IPIs from NMIs, from interrupts without events (timers of Hyper-V, posted interrupts, thermal events) and from before and after an interrupt's handler are blamed on the thread that was interrupted."
	kprobed   = "IPIs sent by an interrupt while the tracer counts another one on the same CPU are missed and not counted as lost, since kprobes do not nest."
)

// events are attached in this order and detached in the other. The first ones see what the
// others cost. The end of something comes before its begin: else a CPU that is in an interrupt
// just then would seem to stay there.
var events = []event{
	{"send_one", "ipi_send_cpu", counts, noIPIs, []probe{
		{"probe_single", "native_send_call_func_single_ipi", true, noIPIs},
		{"probe_resched", "native_smp_send_reschedule", true, noIPIs},
	}},
	{"send_many", "ipi_send_cpumask", counts, noIPIs, []probe{
		{"probe_many", "native_send_call_func_ipi", true, noIPIs},
	}},
	{"queue", queueEvent, queues, noCalls, []probe{
		{"probe_exec", "generic_exec_single", false, "Calls queued by a generic_exec_single that the compiler has dissolved are not known."},
		{"probe_queue", "__smp_call_single_queue", true, noCalls},
		{"probe_calls", "smp_call_function_many_cond", true, noCalls},
	}},
	{"work_queued", "workqueue_queue_work", forOrigin, noWork, nil},
	{"work_starts", "workqueue_execute_start", forOrigin, noWork, nil},
	{"softirq_exit", "softirq_exit", forContext, noEnd, nil},
	{"softirq_entry", "softirq_entry", forOrigin, noSoftirq, nil},
	{"timer_exit", "local_timer_exit", forOrigin, noTimer, nil},
	{"timer_entry", "local_timer_entry", forOrigin, noTimer, nil},
	{"irq_exit", "irq_handler_exit", forContext, noIRQ, nil},
	{"irq_entry", "irq_handler_entry", forContext, noIRQ, nil},
	{"freed", "sched_process_free", forNumbers, noEnds, nil},
	{"exits", "sched_process_exit", forNumbers, noEnds, nil},
	{"forked", "sched_process_fork", forFollow, noFollow, nil},
	{"call_runs", "csd_function_entry", forCost, noCause, nil},
	{"single_exit", "call_function_single_exit", forVector, noCost, nil},
	{"single_entry", "call_function_single_entry", forVector, noCost, nil},
	{"many_exit", "call_function_exit", forVector, noCost, nil},
	{"many_entry", "call_function_entry", forVector, noCost, nil},
	{"resched_exit", "reschedule_exit", forVector, noCost, nil},
	{"resched_entry", "reschedule_entry", forVector, noCost, nil},
	{"irq_work_exit", "irq_work_exit", forVector, noIRQWork, nil},
	{"irq_work_entry", "irq_work_entry", forVector, noIRQWork, nil},
}

// queuesFirst puts the event of calls before those of IPIs: with it on, the tracer's own are counted.
func queuesFirst(hooks []hook) []hook {
	isOther := func(h hook) bool { return h.use != queues }
	calls := slices.DeleteFunc(slices.Clone(hooks), isOther)
	return append(calls, slices.DeleteFunc(hooks, func(h hook) bool { return !isOther(h) })...)
}

// queueEvent says what is queued; without it, kprobes do.
const queueEvent = "csd_queue_cpu"

// hook is a program and where it is attached.
type hook struct {
	program, target string
	kprobe          bool
	use             use
	needed          bool
	lost            string
}

// hooksFor chooses for each event its raw tracepoint where the kernel has it, kprobes where not,
// or kprobes wherever they can be if they are wanted.
func hooksFor(list []event, has func(tracepoint string) bool, wantProbes bool) (hooks []hook) {
	for _, e := range list {
		if len(e.probes) == 0 || has(e.tracepoint) && !wantProbes {
			hooks = append(hooks, hook{e.program, e.tracepoint, false, e.use, e.use <= queues, e.lost})
			continue
		}
		for _, p := range e.probes {
			hooks = append(hooks, hook{p.program, p.function, true, e.use, p.needed, p.lost})
		}
	}
	return hooks
}
