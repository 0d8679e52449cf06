// Package isolated measures what a thread that is isolated notices of the rest of its
// program: of flips, of calls that are led elsewhere, of memory that is unmapped, of the garbage
// collector, and of other programs that come and go.
//
// One thread has a CPU for itself and does nothing but read the time-stamp counter
// (watch_linux.go, spin_amd64.s): every gap between two readings is time in which the CPU did something
// else. The rest of the process works meanwhile on the other CPUs (work_linux.go, load.go).
// The same work is done twice, once with the thread in USER, so that what would interrupt it is
// deferred, and once with the thread in KERNEL, where it is not; and for as long as the first
// took the thread runs alone, which shows what comes without any work (run_linux.go). IPIs are
// counted by package trace, which knows those of this process, or read from /proc/interrupts (count_linux.go). In the end the thread measures its way out of isolation and back (crossing_linux.go).
//
// Place in the flow: the subcommand demo calls Run and prints the Result as a table or as
// JSON. The package reaches the library through the public API only: what it shows is what
// any user gets.
package isolated
