// Package scale says what a flip would cost on machines that are not here: up
// to 4096 CPUs and a million sites.
//
// How often text is written, how often all CPUs are made to serialize and how
// many sites are trapped at once is counted on the production protocol, which
// is run to its end without any text (counts.go). What each of these costs
// comes from a table of parameters (params.go, builtin_tables.go), which
// package calibrate can measure on the machine at hand. The model (model.go)
// multiplies the two. How the cost of a sync grows with the number of CPUs is
// an assumption, given with two bounds, see [Bounds].
//
// Place in the flow: the subcommand calls [Options.Validate] and [Run] and
// prints the [Result] as a table, as JSON or as a plot. The package may not
// change text, make a system call, or use a formula where the protocol can be
// asked.
package scale
