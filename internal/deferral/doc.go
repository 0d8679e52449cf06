// Package deferral keeps the context words of the threads that are isolated, and what
// others have left for them to do.
//
// A thread that is isolated runs no patchable text, so it need not be interrupted when
// text changes: who changes it sets a bit in the thread's word ([Defer]), and the thread
// does what the bit asks for when it comes back ([Context.Switch]), before any patchable
// text. It is the kernel's context_tracking with deferred work, as the series
// "context_tracking,x86: Defer some IPIs until a user->kernel transition" has it. The
// arithmetic of the word is internal/tracking, and the rules are proved in internal/sim.
//
// There is one context per CPU, in static memory: only one thread can be isolated on a
// CPU, and the trap handler finds the context by the number of the CPU that it runs on.
//
// # Kinds of work
//
// Work is bits, never a queue: nothing wakes an isolated thread to empty one. Each kind has
// one action that may be done once for many requests, and once too often. To add one:
// a bit in internal/tracking, its action in [Context.catchUp], a line in the table there,
// and a world in internal/sim.
//
// Place in the flow: package isolate moves threads in and out; the engine asks Defer
// before a sync and leaves the CPUs out that it names. The package may not write text,
// nor run anything patchable on the way back before the thread has serialized: so no call
// by way of a func value or interface there, which a program with retpolines may have
// promoted.
package deferral
