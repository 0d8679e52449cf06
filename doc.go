// Package quietpatch changes the machine code of the running program while its
// threads keep running, and disturbs them as little as the hardware allows.
//
// Programs use it through the packages beside this one: package statickey has
// branches that cost nothing until they are flipped, package staticcall has function
// variables that cost a direct call, package dyncall makes the indirect calls of a
// program with Spectre hardening direct again. This package holds what they share: the state of the patch engine, its options, and a way to take all
// of it back.
//
// Text is patched on linux/amd64. Everywhere else, and wherever permission or a
// kernel feature is missing, the same calls give the same results by reading
// memory; [Status] says which it is and why.
//
// The steps by which text is changed, and what they rest on, are in
// docs/PROTOCOL.md.
package quietpatch
