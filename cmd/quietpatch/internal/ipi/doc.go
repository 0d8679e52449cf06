// Package ipi holds the words in which interruptions of CPUs by other CPUs are told:
// what was sent, by whom, from where, and how often. It has sets of CPUs, too.
//
// Place in the flow: a backend (eBPF, tracefs) watches the kernel and delivers rows,
// package ipifilter decides which records count, package remedy says what can be done
// about a row, and the reports print them. The package itself watches nothing, makes no
// system call and imports nothing of quietpatch.
package ipi
