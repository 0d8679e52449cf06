// Package ipireport shows who interrupted which CPU: as a live table, a report for people,
// JSON, folded stacks for flame graphs, metrics for Prometheus and a page of HTML with a
// timeline. It writes and reads files of recorded runs, and judges assertions about a run.
//
// Place in the flow: a backend delivers snapshots of counters, a [Collector] adds them up,
// and each form is made of the [Report] that the collector gives. The package looks at
// nothing but what it is handed; it makes no system calls except for the listener of
// [Listen].
//
// Names of processes and cgroups are anybody's to choose. In everything that may be shown on
// a terminal, characters that are not printable are written as escapes; JSON, HTML and
// metrics escape as their formats say.
package ipireport
