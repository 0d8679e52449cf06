package ipitracefs

import (
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// event is an event of the kernel that is turned on.
type event struct {
	name   string // folder below events
	what   what
	kind   ipi.Kind
	use    use
	where  where
	fields []string // in the order in which the decoder wants them
	lost   string   // without it
}

type use int

const (
	needed use = iota
	forOrigin
	forNames
	forCost
	forStacks // not turned on: the kernel writes it for others
)

// where says on which CPUs an event counts.
type where int

const (
	everywhere where = iota
	onSenders
	onVictims
	toVictims // and on senders
)

const (
	noWork    = "who queued the work for which a kworker sends: the kworker is blamed"
	noSoftirq = "which softirq sends"
	noTimer   = "the difference between timers and other interrupts that send"
	noCost    = "what the interrupts cost, and who was interrupted"
	noTasks   = "names and processes of threads that live for less than a tenth of a second"
	noNew     = noTasks + ", and who starts whom"
)

// The first event tells of calls, and with the others that are eyes of all IPIs. They are needed, so that all of
// them are there.
const eyes = 3

// events are turned on in this order and off in the other. The first ones see what the others
// cost. The end of something comes before its begin: else a CPU that is in it just then would seem
// to stay there.
var events = []event{
	{"csd/csd_queue_cpu", queued, "", needed, toVictims, []string{"cpu", "func"}, "the causes of function calls"},
	{"ipi/ipi_send_cpu", sendOne, "", needed, toVictims, []string{"cpu", "callback"}, "IPIs to one CPU"},
	{"ipi/ipi_send_cpumask", sendMany, "", needed, toVictims, []string{"cpumask", "callback"}, "IPIs to several CPUs"},
	{"workqueue/workqueue_queue_work", workQueued, "", forOrigin, everywhere, []string{"work", "function"}, noWork},
	{"workqueue/workqueue_execute_end", workEnds, "", forOrigin, everywhere, nil, noWork},
	{"workqueue/workqueue_execute_start", workStarts, "", forOrigin, everywhere, []string{"work", "function"}, noWork},
	{"irq/softirq_entry", softirqStarts, "", forOrigin, onSenders, []string{"vec"}, noSoftirq},
	{"irq_vectors/local_timer_exit", timerLeaves, "", forOrigin, onSenders, nil, noTimer},
	{"irq_vectors/local_timer_entry", timerEnters, "", forOrigin, onSenders, nil, noTimer},
	{"task/task_newtask", taskNew, "", forNames, everywhere, []string{"pid", "comm", "clone_flags"}, noNew},
	{"task/task_rename", taskRenamed, "", forNames, everywhere, []string{"pid", "newcomm"}, noTasks},
	{"sched/sched_process_exit", taskEnds, "", forNames, everywhere, []string{"pid", "comm"}, noTasks},
	{"csd/csd_function_entry", callRuns, "", forCost, onVictims, []string{"func"}, "which cause a cost belongs to"},
	{"irq_vectors/call_function_single_exit", leaves, ipi.Call, forCost, onVictims, nil, noCost},
	{"irq_vectors/call_function_single_entry", enters, ipi.Call, forCost, onVictims, nil, noCost},
	{"irq_vectors/call_function_exit", leaves, ipi.Call, forCost, onVictims, nil, noCost},
	{"irq_vectors/call_function_entry", enters, ipi.Call, forCost, onVictims, nil, noCost},
	{"irq_vectors/reschedule_exit", leaves, ipi.Resched, forCost, onVictims, nil, noCost},
	{"irq_vectors/reschedule_entry", enters, ipi.Resched, forCost, onVictims, nil, noCost},
	{"irq_vectors/irq_work_exit", leaves, ipi.IRQWork, forCost, onVictims, nil, noCost},
	{"irq_vectors/irq_work_entry", enters, ipi.IRQWork, forCost, onVictims, nil, noCost},
	{"ftrace/print", marker, "", forStacks, everywhere, nil, "which thread of the first PID namespace is the tracer's"},
	{"ftrace/kernel_stack", stackOf, "", forStacks, everywhere, []string{"size", "caller"}, "stacks, and with them system calls"},
}

// unused reports whether an event says nothing that was asked for.
func (e *event) unused(opts *ipitrace.Options) bool {
	return e.use == forCost && opts.NoCost && !opts.Interrupted || e.what == stackOf && !opts.Stacks
}

// triggerFor returns the trigger that makes the kernel write the stack of an event, "" for none. A trigger
// is asked before the filter of its event, so it gets the same.
func (e *event) triggerFor(opts *ipitrace.Options, filter string) string {
	if !opts.Stacks {
		return ""
	}
	switch e.what {
	case sendOne, sendMany, queued, workQueued:
		if filter == "" {
			return "stacktrace"
		}
		return "stacktrace if " + filter
	}
	return ""
}
