// Package calibrate measures the parameters of the cost model on this machine,
// and real flips to hold the model against.
//
// One thread, pinned to a CPU, makes syncs, pokes and flips. A busy thread is
// pinned to another CPU: it either notes the gaps in its own time, which shows
// when an interrupt came and how long it took (gaps.go), or passes through the
// checks that are flipped (checks_tables.go), so that written text is text in
// use. What is measured while other programs had one of the two CPUs does not
// count. Costs are measured piece by piece on the packages of the library
// (measure_linux.go). Flips go through the public API (flips_linux.go). They
// are no source of parameters, or the comparison would be circular; package
// scale takes one remainder from one row, and marks that row.
//
// Place in the flow: the subcommand calls [Run], and hands what it brings to
// package scale. Run changes the code and the settings of its process, so it
// is for a process that does nothing else. The package may not compute what a
// flip should cost.
package calibrate
