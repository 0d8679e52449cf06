// Package ipitracefs watches with the kernel's event tracing who interrupts CPUs: it is for where eBPF is
// refused. The kernel writes each event into a buffer, and user space reads and counts them.
//
// An IPI gets its cause and its origin as in package ipibpf: csd_queue_cpu says why,
// ipi_send_cpu and ipi_send_cpumask right behind it say that an interrupt went out;
// workqueue_queue_work names the one for whom a kworker acts. That a softirq or an interrupt
// sends is in the flags of each record; which one, in softirq_entry and local_timer_entry.
//
// irq_work, which a CPU sends to itself, is in ipi_send_cpu with its function: it is no call.
//
// What it does not have: the system call is known only where stacks are walked, from their functions,
// and its arguments never, as the events of system calls would slow down all of them.
// Threads are named by /proc, and by events for those that live for a moment only; the cgroup, and
// whether a program is of Go, are not known of a process that ends before the next reading.
//
// It works in an instance of its own (Documentation/trace/ftrace.rst, "Instances"), so that
// events, filters and buffers of others stay as they are, and mounts tracefs for itself
// alone where nobody has. Close removes the instance. One that was left by a process that was
// killed is removed by the next Open. The kernel takes 1408 KB for each possible CPU meanwhile.
//
// What it costs: a record of 24 to 40 bytes for each event of the watched victims and senders,
// which the kernel's filters select, and some for work items, softirqs, timers and tasks. Nobody
// waits for the buffers, since the kernel wakes by an interrupt of the CPU that writes: they are read
// ten times a second, and more often where much is in them. Events that are overwritten
// before that are counted as lost, and what the CPU did then is forgotten, so that
// nothing is blamed on another.
//
// Children are followed by the event of their start: where that was overwritten, which is told as
// lost, the child and all that it starts are not.
//
// For one CPU of a virtual machine (AMD EPYC, Linux 6.18) BenchmarkIPI says what that adds to the 8.8 us
// of a membarrier, which is a call, its IPI and the wait for the victim: 0.7 us on the sender, 1.1 us with
// what the victim writes by default (NoCost leaves that out), 5 us with stacks, and 0.5 us where the filters
// refuse. That is more than package ipibpf takes.
//
// A run of weeks has bounds: from 200,000 rows on, what is new has no process and no origin, and Missing says so.
// Processes that were asked for are dropped when some thousand others have ended after them, or when another
// one gets their number.
//
// What the tracer's own process sends is counted apart and is in no row, from the start to the stop, unless
// Options ask for that process. Senders hold for that as for others. The turning on
// and off of the very first event, half a millisecond each, is seen by none: all calls that the victims receive
// then, by /proc/interrupts, are told as its own. The end of an instance without events sends nothing.
//
// Pages and formats are read with bounds, whatever is in them.
//
// Place in the flow: package trace opens a [Tracer] where package ipibpf cannot be used. The package
// prints nothing and decides nothing about what the rows mean.
package ipitracefs
