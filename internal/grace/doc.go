// Package grace knows when no thread can be inside a stub any more, so that the
// stub's memory may be used again. It is what synchronize_rcu_tasks is to the
// kernel, which frees trampolines of ftrace after it (kernel/rcu/tasks.h;
// kernel/trace/ftrace.c, ftrace_shutdown).
//
// A period begins when nothing leads to the stub any more: the sites were
// patched away from it and a sync has passed. It is over when the runtime has
// stopped the world since, or when a look at every thread that began since has seen each of
// them outside ([Look]; package visit does the looking, and says why it is enough).
//
// Why a stop is enough, with the places in package runtime of Go 1.25, 1.26 and
// 1.27, which agree in all of this:
//
//   - Go code that users write runs only on a thread that holds a P. Stubs are
//     entered from such code only: by the jump at a site, or by the trap handler
//     (internal/trap) that sends a thread on from a site. No site lies in
//     packages runtime, syscall, os or internal/..., which hold the code that
//     runs without a P: between entersyscall and exitsyscall (proc.go), in a
//     signal handler, and in a child between fork and exec.
//   - A thread gives up its P in those packages only: in a call that it made,
//     or where a preemption signal made it make one. The signal does so only
//     at an asynchronous safe point, and a PC outside of Go functions is none
//     (preempt.go, isAsyncSafePoint: findfunc is not valid, "Not Go code"), nor
//     one in assembly. So no goroutine is ever parked with its PC in a stub. A
//     stub calls nothing and pushes nothing, so none is parked in a function
//     that would return into a stub either.
//   - A signal handler does not give up the P of the thread that it interrupts
//     (signal_unix.go, doSigPreempt, is all that it does about it). A thread that
//     a debugger holds, or that the kernel does not run, keeps its P too.
//   - The world is stopped when every P is stopped: idle, taken from a thread in
//     a system call, or given up by its thread in the scheduler (proc.go,
//     stopTheWorldWithSema, which waits for all the others without a limit).
//
// So at the moment at which the world has stopped no thread is inside a stub.
// A thread that comes later comes by what leads there then, which is nothing.
// It does not matter whether the stop had begun when the period did: it was not
// complete.
//
// # Counting stops
//
// Every GC cycle stops the world twice (mgc.go, gcStart and gcMarkDone), so in
// a program that allocates nothing has to be stopped for us. What counts is
//
//	/sched/pauses/stopping/gc:seconds
//	/sched/pauses/stopping/other:seconds
//
// of runtime/metrics, "the time it takes from deciding to stop the world until
// all Ps are stopped": one sample per stop. stopTheWorldWithSema adds the sample
// when the last P has stopped and before any is started; a metric is read from
// the counters themselves, on a thread that holds a P (metrics.go,
// readMetricsLocked; histogram.go, write). So a reader sees the number of stops
// that were complete at some moment of the reading, and if a later reader sees
// a larger number, a stop was completed after the first began to read. One more is enough.
//
// (The number of GC cycles, /gc/cycles/total:gc-cycles, would do as well: it
// rises in gcMarkTermination, before startTheWorldWithSema. But it misses half
// of the stops of a cycle and all others, our own included, and it counts in 32 bits.)
//
// [Synchronize] makes a stop: runtime.ReadMemStats begins with stopTheWorld
// (mstats.go). Nothing promises that, so the count decides: where it has not
// risen, runtime.GC is tried, and where that does not help either the caller
// is told that the period is not over.
//
// # What it rests on
//
// Code that leaves its P without the runtime's knowledge, by a linkname to
// runtime.entersyscall, and then calls through a patched site, is outside of
// this reasoning. So is C code that jumps into Go text.
//
// It rests on the sync, too. An isolated thread that makes a call against its promise has put its own off, and a
// look goes by its word: whoever frees stubs waits, besides, until each thread that was isolated
// when they were left has come back (deferral.Snapshot.Crossed).
//
// The package stops the world; it may not look at stubs, sites, text or threads.
package grace
