// Package isolate gives a thread a CPU of its own and keeps patching away from it.
//
//	r, err := isolate.Reserve("3") // every other thread leaves CPU 3
//	...
//	err = isolate.Run(isolate.Options{CPU: 3}, func(t *isolate.Thread) {
//		for !stop.Load() {
//			n := ring.Poll()
//			if n > 0 {
//				t.Kernel(func() { handle(n) }) // ordinary code, with keys and calls that change
//			}
//		}
//	})
//
// A thread that spins on a CPU must not feel that other threads flip keys, retarget calls
// or release memory; each would interrupt it. A thread that says it runs no code that may
// be changed need not be interrupted: it owes a serialization, and makes it up when it comes
// back, before the first instruction that may have changed. That is the contract:
//
//   - In isolation (the function given to [Run], outside of [Thread.Kernel]) a thread checks no key and makes no static
//     call, except keys that are sealed ([statickey.Seal]). In a program whose indirect calls are promoted (package dyncall) it makes no
//     indirect call. What it does instead is its own affair: poll a ring, spin on an atomic, call C.
//   - For everything else it goes back for a while: [Thread.Kernel]. That costs some tens of nanoseconds.
//
// A thread that breaks the contract and meets a check that is being rewritten takes a trap, goes on with the
// right value, and [Status] names the place. It may see an old value for as long as it stays isolated. With checks nothing worse has been seen in
// tests, and with the strategy store nothing worse can come; but with int3 no manual promises it (docs/PROTOCOL.md, S). With
// store there is no trap, so nothing is counted. What a static call led to is kept until the thread has been back in KERNEL, or has ended: a thread
// may be inside, or follow the old call. So a thread that never crosses [Thread.Kernel] holds the stubs of closures that were replaced, and what
// these captured, whether it makes such calls or not; beyond some thousands of them calls go by way of the forwarder.
//
// The states are named after the Linux kernel's context tracking: KERNEL is where ordinary
// code runs, USER is isolation, GUEST is isolation in foreign code (a long cgo call), IDLE is waiting.
//
// # What Go does to an isolated thread
//
// The CPU is the thread's, but a goroutine is still Go's. Its scheduler wants to stop a
// goroutine that runs for 10 ms, and the garbage collector stops all of them twice per collection. Both do it by a signal (SIGURG) and a
// flag that functions check when they are called. [Options.BlockSignals] keeps the signal away; then the loop decides by
// [Thread.Safepoint] when Go may stop it, and the whole program waits for it when the collector runs. A cgo call under [Thread.Guest] is
// left alone by both. docs/ISOLATION.md has the whole story, from the kernel's command line to a running loop.
//
// Everything here is linux only; elsewhere [Run] returns an error, and [Kernel], [User], [Guest] and [Idle] just call their function.
package isolate
