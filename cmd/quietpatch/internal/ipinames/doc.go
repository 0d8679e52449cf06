// Package ipinames gives backends the names for what the kernel tells them in numbers: functions by
// their addresses, softirqs, paths, programs. It finds the remedies of rows, too, and remembers both.
//
// Place in the flow: a backend (ipibpf, ipitracefs) makes one [Names] and asks it while it turns
// what it has counted into rows of package ipi. The words are the same for all backends, since
// package remedy and the reports look for them. The package reads /proc/kallsyms and the heads of
// programs; it watches nothing.
package ipinames
