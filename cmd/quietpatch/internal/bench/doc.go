// Package bench measures what keys cost in a program with many of them: how long
// a flip takes from one site to 100,000, how long it takes to find them, what
// memory they take, and what a check costs beside other ways to have a switch.
//
// It writes a Go program with 100,000 sites (plan.go, generate.go), builds it with
// the Go toolchain in PATH (module.go, build.go), and runs it once for each backend,
// since a process cannot leave the backend alias, and once for the checks
// (run.go). What the program does is in package prog, whose files are embedded
// here and copied next to the generated ones.
//
// And it measures what calls cost (calls*.go): direct, indirect, through retpolines
// and promoted, in a program whose files are package callprog, which is built with and
// without retpolines.
//
// Place in the flow: the subcommand calls Run or RunCalls and prints the result as a
// table or as JSON. It may not patch anything in its own process: all that is measured
// happens in the program.
package bench
