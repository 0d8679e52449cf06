// Package host knows facts about the machine and about who watches the
// process: the maker of the CPU, a tracer.
//
// The engine asks it at the first arm, and about the tracer before every
// batch that takes traps. The package changes nothing.
package host
