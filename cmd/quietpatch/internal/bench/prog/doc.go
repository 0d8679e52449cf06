// Package prog is the part of the benchmark's program that is not generated: it
// flips the keys, finds them, and measures checks, in a process of its own.
//
// Place in the flow: package bench copies these files next to a generated main
// package, which calls Main with its keys and functions; Main prints a Report as
// JSON, and bench reads it with the types from here. The package reaches the
// library through the public API only, as any program does. It may import nothing
// else of this module: the program is a module of its own.
package prog
