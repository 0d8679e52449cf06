// Package trace runs a trace: it chooses the CPUs and the backend, reads what the backend has
// counted now and then, and says what is missing where nothing can be watched.
//
// Place in the flow: the command fills [Options] from its flags and calls [Start]; the
// [Session] opens a backend (packages ipibpf, ipitracefs), hands its snapshots to the
// collector of package ipireport, and, at its end, the report to the command. [Own] is the same for
// a program that wants to know what it does itself to a CPU. The package prints nothing.
package trace
