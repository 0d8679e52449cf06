// Package protocol is the order in which text is changed, and nothing else.
//
// It is a pure state machine. The machine names one [Effect] at a time (check
// these sites, write these trap bytes, sync, ...); whoever drives it performs
// the effect and reports a [Result]; the machine answers with the next effect.
// The engine drives it with real writes and real syncs. A simulation can drive
// the very same code with simulated ones and stop it anywhere.
//
// # Steps
//
// The int3 protocol, one chunk (at most one vector) at a time:
//
//	0  check     compare the bytes of every site of the plan; nothing is written yet
//	1  publish   publish the vector: what a thread that hits a trap byte does
//	2  trap      write CC over the first byte of every site
//	2s sync
//	3  tail      write all bytes but the first
//	3s sync
//	4  head      write the first bytes
//	4s sync
//	5  retire    retire the vector
//
// The store protocol, for plans that change one byte (or one aligned word) of
// each site and where the manual of the CPU allows it:
//
//	0  check
//	S  store     one store per site
//	Ss sync
//
// one-at-a-time is the int3 protocol with chunks of one site.
//
// # Undo
//
// When an effect fails, the machine turns round: [Back] effects put the old
// bytes back over everything that may have been touched, in an order that is
// as safe as the way forward. A site whose head is live again is trapped
// before its tail is rewritten. docs/PROTOCOL.md draws the cases.
//
// The package makes no system call, starts no goroutine, reads no clock, and
// allocates nothing after [New]. It does not know what a site's bytes are.
package protocol
