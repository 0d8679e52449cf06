// Package interrupts reads from /proc/interrupts what came to one CPU.
//
// Place in the flow: package demo counts what a flip sends to the busy CPU, package
// isolated what comes to the CPU of an isolated thread. A machine that does not count
// something is no error: the counts then say that they are missing. The package knows nothing of keys.
package interrupts
