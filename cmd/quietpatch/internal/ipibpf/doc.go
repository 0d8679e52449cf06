// Package ipibpf watches with eBPF who interrupts CPUs. The kernel counts, in a table with a
// row for each victim, cause and origin; user space reads the table now and then.
//
// How an IPI gets its cause: csd_queue_cpu says why (the function that the victim is to
// run), ipi_send_cpu and ipi_send_cpumask say that an interrupt really went out. The sender
// does the one right before the other, so the programs keep what each CPU has queued
// last, apart for threads, softirqs and interrupts, and take that as the cause.
//
// How it gets its origin: in a thread, that is the thread and its system call. A kworker
// acts for others: who queues a work item is written down at workqueue_queue_work, becomes the
// origin of the run at workqueue_execute_start, and is found there by the item that the
// kworker has in hand. Softirqs and interrupts are not the fault of the thread that they
// interrupt; the entry and exit events of softirqs, device interrupts, the local timer and of IPIs
// themselves tell when a CPU is in one. The chain ends where something waits in a timer
// or for RCU.
//
// What it costs: only events of the watched victims and senders go beyond two lookups of a
// bit. The victim's time is from the entry of its interrupt handler to the exit; it
// is known for each cause, and is divided among the rows of a cause by their calls.
//
// The tracer itself interrupts all CPUs when it starts and stops, since the kernel patches its
// code to turn events on and off. These IPIs are counted apart and are in no row.
//
// ipi_amd64.o is compiled from ipi.bpf.c by go generate with clang 19 (Debian: apt-get install clang-19
// llvm-19) and is checked in: clang is not needed to build. It fits to any kernel with BTF (CO-RE).
//
// Place in the flow: the command opens a [Tracer] with the sets that package ipifilter makes
// of a filter and hands what it reads to package ipireport. The package prints nothing
// and decides nothing about what the rows mean.
package ipibpf

//go:generate clang-19 -O2 -g -Wall -Werror -Wno-unused-function -target bpf -mcpu=v3 -ffile-prefix-map=${PWD}=. -fdebug-compilation-dir=. -c ipi.bpf.c -o ipi_amd64.o
//go:generate llvm-strip-19 -g ipi_amd64.o
