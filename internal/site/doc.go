// Package site finds the instructions that read a key.
//
// It works on an [Image]: the text of the running program (internal/self) or of
// a file (internal/gobin). Finding goes in two passes:
//
//  1. Candidates (scan.go): every place in the text where four bytes, taken as a
//     RIP-relative displacement, point at a key. Chance makes some of these.
//  2. Confirmation (walk.go, find.go): the function that contains a candidate is
//     decoded from its start, once for all of its candidates. A candidate is real if an
//     instruction lies exactly there. Compiled Go functions hold no data, so decoding
//     from the start finds the boundaries that the CPU sees.
//
// [Walk] does the second for any addresses in the text.
//
// Behind a compare, every path is followed until its flags are gone, and what is
// asked of them on the way goes into Site.Conds: a replacement must answer that.
//
// What is real but must not be replaced (an instruction of another form, flags
// that nobody understood, a function that runs between fork and exec) is
// reported with the reason, and goes on reading memory: slower, never wrong.
//
// The package reads bytes. It writes nothing and makes no system call.
package site
