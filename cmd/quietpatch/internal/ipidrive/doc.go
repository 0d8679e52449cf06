//go:build linux

// Package ipidrive makes the kernel interrupt a CPU, a known number of times and by known
// means, for tests of what watches that.
//
// A scenario runs in a process of its own, so that it has a name and a number, and without the
// preemption signals and collections of the Go runtime, which interrupt, too. One thread acts on
// the sender's CPU; another spins on the victim with real-time priority, since a CPU that
// idles is not always interrupted. What the victim really received is read from
// /proc/interrupts, for tests to compare with exactly.
//
// Scenarios of all processes of a machine take turns, by a lock in the folder for temporary files, since
// the tests of several packages run at the same time.
//
// Place in the flow: tests call [Main] first, start the scenarios of [Scenarios] with
// [Start] in the same executable, and hold the [Result] against what a tracer says. The program drive
// does the same for guests and scripts. The package traces nothing.
package ipidrive
