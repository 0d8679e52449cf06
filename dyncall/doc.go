// Package dyncall makes the indirect calls of a program that was built with Spectre
// hardening direct again, while it runs, where they mostly go to the same functions.
//
// In a program built by
//
//	go build -gcflags=all=-spectre=ret
//
// every call of an interface method, a closure or a func value goes through a retpoline,
// which keeps the CPU from guessing where it leads. That costs as much as a mispredicted
// branch, each time. [Start] finds those calls, learns in the running program where they
// lead, and points each at a stub that compares the address with what was learned and, if
// it is that, jumps there directly; anything else goes to the retpoline as before. Nothing
// in the program changes, not one line.
//
//	func main() {
//		if err := dyncall.Start(dyncall.Options{}); err != nil {
//			log.Print("indirect calls stay as they are: ", err)
//		}
//		...
//
// # What it may do to a program
//
// A call goes where it went before, always: a stub only compares and jumps. It changes no
// register that holds an argument, it pushes nothing, and it is no frame: tracebacks,
// panics, the garbage collector and stack growth see the caller and the callee. A CPU
// profile attributes the few nanoseconds inside of a stub to _ExternalCode, or in a
// position-independent program to a bare address below runtime._System.
//
// Speculation: a direct jump behind a compare can be predicted wrongly only to a function that
// this call has gone to before, often; that is the point (and what the kernel's series of
// 2019 argues). Whoever cannot accept that for a function leaves it out ([Options.Except]).
//
// Left out always: packages runtime, syscall, os, internal/... and their like, which run
// between fork and exec; functions in assembly; crypto/internal/fips140, which is to stay
// as it was validated; this module's own machinery.
//
// # Learning
//
// A call that is learned counts, in its stub, into a table of the CPU that it runs on:
// without atomics, four callees by name, the rest together. When a thousand calls of one
// CPU went to callees that are not expected, the counts of all CPUs are added up and the
// most popular callees (two; Options.Targets) take their places in the stub. A call with too
// many callees is left alone, and gets its retpoline back. One whose choice was confirmed
// stops counting, and is looked at again more and more rarely. At most a few hundred
// calls are counted at a time. internal/learn has the rules.
//
// # Where it does nothing
//
// A program without retpolines has no such calls: Start returns an error that says how to
// build. The two instructions of an ordinary indirect call cannot be replaced by one while
// threads run (docs/RATIONALE.md), and its branch predictor does the same job anyway.
package dyncall
