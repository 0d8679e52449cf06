// Package callprog is the program with which `quietpatch bench calls` measures
// calls: loops of calls, and real work of the standard library, in a process of its
// own, built with and without retpolines.
//
// Place in the flow: package bench copies these files into a module of their own,
// next to a main package that only calls Main, and builds that module twice. Main
// prints a report.Report as JSON. The package reaches the library through the public
// API only, as any program does. It may import nothing else of this module but
// package report: the path of that is changed in the copy.
package callprog
