// Package tracking is the context word of a thread that may be isolated, as
// functions on values.
//
// The word says whether the thread may run patchable text, what it owes when it
// comes back, and how often it went and came. One owner moves its state, by one
// addition to the whole word; any number of patchers set work bits, by
// compare-and-swap. So no change is lost. It follows the kernel's
// context_tracking state as the series "context_tracking,x86: Defer some IPIs
// until a user->kernel transition" extends it:
//
//	MSB [ watching counter | work bits | state ] LSB
//
// The package holds the arithmetic alone: who changes the word, and what the work
// is, belongs to its callers: internal/deferral in programs, internal/sim in the
// simulation that proves the rules. It is pure: no atomics, no system call, no
// clock.
package tracking
