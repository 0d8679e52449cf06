// Package ipibpf watches with eBPF who interrupts CPUs. The kernel counts, in a table with a
// row for each victim, cause and origin; user space reads the table now and then, and takes an empty one
// before it is full. 200,000 rows are kept; what comes then and has no row yet is counted by victim, cause,
// name of the process and system call, without threads.
//
// How an IPI gets its cause: csd_queue_cpu says why (the function that the victim is to
// run), ipi_send_cpu and ipi_send_cpumask say that an interrupt really went out. The sender
// does the one right before the other, so the programs keep what each CPU has queued
// last, apart for threads, softirqs and interrupts, and take that as the cause.
//
// How it gets its origin: in a thread, that is the thread and its system call; threads that the kernel makes for a process
// (io_uring, vhost) are in none. A kworker
// acts for others: who queues a work item is written down at workqueue_queue_work, becomes the
// origin of the run at workqueue_execute_start, and is found there by the item that the
// kworker has in hand. That is good for one run, of the function that was queued: of a work item that
// queues itself again the kworker is the sender. Who queues an item in the moment
// between its removal from the queue and the event of its start takes the run that starts then, and the
// kworker the next. Work of kthread_worker is its thread's, work of BH workqueues the softirq's. Softirqs and interrupts are not the fault of the thread that they
// interrupt: the CPU's preempt_count says when it is in one, and the events of softirqs and of the local timer
// which it is. Where preempt_count cannot be found (the addresses of functions are hidden, or the kernel
// counts by a function), the entry and exit events of softirqs, device interrupts, the timer and
// IPIs stand in, and do not see all. The chain ends where something waits in a timer
// or for RCU.
//
// irq_work is what a CPU sends to itself, to do something in interrupt context: it is counted with who was
// on that CPU, or, by kprobes, where it arrives, without. An IPI of irq_work to another CPU is a function
// call like others.
//
// Which events: each has a raw tracepoint on Linux 6.5 and later. Kernels without those of IPIs
// and calls (6.1) have kprobes on the functions that send and queue: native_smp_send_reschedule,
// native_send_call_func_single_ipi, native_send_call_func_ipi (not on Xen, which has its own);
// generic_exec_single, __smp_call_single_queue, smp_call_function_many_cond. What is lost then,
// Missing says: calls to several CPUs are counted with their IPIs, kprobes do not nest, and what a
// cause costs is the average of all calls.
//
// Filters: what says that CPUs and threads are in sets is looked up in sets. The rest is a
// program of at most 32 comparisons, in the form that the kernel's own filters have, which an
// eBPF program runs for each call and each victim of an IPI; without one, the verifier drops
// that code. Patterns, and names of functions that the kernel does not have yet, are
// left for the reader, who looks at rows: with CPU or cpumask in the same part of the filter
// (parts are joined by &&), Open refuses them. In a filter
//
//   - cpumask is all CPUs that an IPI goes to; of a queued call, the one that it is queued for,
//     since the IPI is not sent yet. So of calls to CPUs 2 and 3, cpumask & CPUS{3} lets pass both
//     IPIs and one call;
//   - CPU is the one that sends; with a kworker, its own;
//   - pid, tgid, comm and process are of who is blamed, as in the rows: 0 and "" if nobody is;
//   - callback is generic_smp_call_function_single_interrupt for all calls, queued or sent, and 0
//     for the rest;
//   - cause is the name that rows show, of the functions that the kernel has at the start.
//
// Threads that are interrupted are counted on the victim, when the interrupt has run. Only the
// victims of a filter apply to them.
//
// Numbers of processes and threads, in options, filters and rows, are those of the tracer's own PID
// namespace. A process outside of it has the number 0, and its name.
//
// What it costs: only events of the watched victims and senders go beyond two lookups of a
// bit. The sender pays some 0.45 us for a call and its IPI, 0.1 more with a filter of ten comparisons, and 3 with
// stacks. The victim's time is from the entry of its interrupt handler to the exit; it
// is known for each cause, and is divided among the rows of a cause by their calls.
//
// The tracer itself interrupts all CPUs when it starts and stops, since the kernel patches its
// code to turn events on and off. What its process sends, from the start to the end, is counted apart and is in no row,
// unless the process was asked for. The event of calls is turned on first and off last: only what
// that sends itself is taken from /proc/interrupts, with what others send in that millisecond. By kprobes, it is
// so while all that count IPIs are turned on and off, which is some tens of milliseconds.
//
// ipi_amd64.o is compiled from ipi.bpf.c, which includes the other *.bpf.h, by go generate with clang 19 (Debian: apt-get install clang-19
// llvm-19) and is checked in: clang is not needed to build. It fits to any kernel with BTF (CO-RE).
//
// Place in the flow: package trace opens a [Tracer], which divides the filter by package
// ipifilter, and hands what it reads to package ipireport. The package prints nothing
// and decides nothing about what the rows mean.
package ipibpf

//go:generate clang-19 -O2 -g -Wall -Werror -Wno-unused-function -target bpf -mcpu=v3 -ffile-prefix-map=${PWD}=. -fdebug-compilation-dir=. -c ipi.bpf.c -o ipi_amd64.o
//go:generate llvm-strip-19 -g ipi_amd64.o
