// Package demo measures what it costs to change the code of a busy Go server,
// by each strategy and on each backend, and checks that no request sees
// anything in between.
//
// An HTTP server and its clients run in this process and keep all CPUs busy
// (load.go, application in kv). One thread, pinned to a CPU, flips the key of
// the application (run.go, measure.go). The interrupts that this causes on
// another CPU, the busy CPU, are read from /proc/interrupts (package interrupts).
// A gate tells the clients what the key was during a request (gate.go), so
// that each response is checked.
//
// Place in the flow: the subcommand calls Run and prints the Result as a table
// or as JSON. The package reaches the library through the public API, and
// through internal/barrier for the bare sync that everything is compared with.
// It may not reach into the engine: what it shows is what any user gets.
package demo
