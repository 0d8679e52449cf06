// Package reserve keeps CPUs for isolated threads.
//
// A sync may leave out the CPU of an isolated thread only while no other thread of
// the process can run there. So before threads are isolated, package isolate
// reserves their CPUs: [New] moves every other thread of the process off them, by its
// affinity mask. A new thread has the mask of the thread that made it
// (sched_setaffinity(2)), so the ones that appear later stay off, too. There are
// exceptions, for which [Reservation.Sweep] looks: threads that C code makes from an
// isolated thread, workers of io_uring, masks that somebody else sets. [Offenders] says
// who may run on a CPU, and a thread is isolated only where there are none.
//
// A thread is invisible while it is being made: its mask is a copy already, and it is not
// yet listed (kernel/fork.c, copy_process: dup_task_struct is at the beginning, the
// list of threads at the end). So looks are repeated, with a pause between them, until
// two in a row have found nothing. That makes the hole small, it does not close it: a
// thread that takes longer to make is found by a later Sweep.
//
// The masks of threads are all that the package changes. It knows nothing of syncs
// or of the isolated state; which threads are the caller's own, a function tells.
package reserve
