// Package visit looks at every thread of the process, to know that none is inside a stub
// any more. It is the way for grace periods (internal/grace) where the world may not be
// stopped: a stop would stop isolated threads that run Go code, too.
//
// # What has to be shown
//
// A round begins when nothing leads to the stubs in question: all sites were patched away,
// a sync has passed, and the vector of the trap handler is retired, or leads elsewhere. So a thread
// that is in no stub of these at some moment after that will not get into one. (That is
// why any address in all of the stubs' memory counts as inside: one stub is as good as another.) "In no stub"
// means: neither where it stands, nor in a frame that a signal interrupted, for it goes on there when
// the handler returns. Other frames do not matter: a stub calls nothing, so nothing returns into one.
//
// The four ways to know it:
//
//   - The thread is isolated, and its context word shows that it was outside Kernel since the
//     round began. It gets no signal, whatever it does; in Kernel it is waited for.
//     (It has promised to make no calls out there. Who frees stubs waits, besides, for those
//     that might: deferral.Snapshot.Crossed.)
//   - It waits in the kernel. /proc/self/task/TID/syscall has the registers with which it went
//     there, status the signals that it blocks. It is not disturbed either: a signal would end
//     system calls of C code.
//   - It runs. It gets a SIGURG, and our handler, which stands in front of Go's, looks at the
//     interrupted frame.
//   - It has ended, or began after the round did: then it comes from a thread that made it, in
//     a system call, and not from a stub.
//
// # Handlers that interrupted a stub
//
// While the kernel runs a handler, the signals of the action's mask and the signal itself are
// blocked (kernel/signal.c, signal_delivered). Go's handlers, and ours, block all. So a
// thread is in no handler if for each handler that is installed it does not block
// some signal that this one blocks. A thread that blocks everything is in doubt, unless
// it waits in a system call that does not come from the program's text, where Go's handlers are.
// In the few instructions at both ends of a handler the mask is not to be trusted: at its first address,
// where the kernel may have stopped between the frame and the mask (PREEMPT_RT's locks can), and in
// rt_sigreturn, which restores the mask first. Both count as inside.
//
// A thread that is asked by signal blocks less than a Go handler does, or it would not get
// the signal. A handler of C code is seen by its mask, and by its stack: the runtime wants such
// handlers on the signal stack (SA_ONSTACK), and the ucontext tells where that is.
//
// What is left out: a handler of C code that unblocks its own signal and then waits in a
// system call, on top of a stub; and one that was taken away while a thread is in it. A
// handler with SA_NODEFER and an empty mask would be out of sight, too; where there is one, there are no rounds.
//
// # Threads on their way into a stub
//
// A thread that has run into a trap byte may be sent into a stub by the trap handler. In
// the handler it blocks all signals: our signal comes when it has returned, where it was sent to,
// and /proc shows the mask. Before the handler has begun, the thread stands behind the trap byte,
// and may be taken for outside. That is right: its handler will read the vector as it is
// then. (A SIGURG does not come between the trap and its handler in any case: the kernel delivers
// signals of exceptions first, dequeue_synchronous_signal.)
//
// # Why SIGURG
//
// Go sends it to running threads all the time, to preempt goroutines, so C code lives with it.
// Two of them become one, and nothing is lost by that: ours is handed on to Go's
// handler, which looks whether anything is asked of the thread; and any SIGURG is an answer, whoever sent
// it. SIGTRAP would be no good: one of ours that is pending swallows that of a trap byte.
//
// The package looks at threads and knows nothing of stubs but where they are. It may not
// stop the world, nor send an isolated thread a signal.
package visit
