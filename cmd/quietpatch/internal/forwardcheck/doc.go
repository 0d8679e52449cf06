// Package forwardcheck checks source code for `quietpatch vet`: that the function of a
// static call is used by forwarders only, and that static calls and keys are neither
// copied nor local. Such code works, it is only slower than it looks: its sites are
// not patched.
//
// Analyzer looks at one package, by types and syntax; Check loads packages and
// runs it; `go vet -vettool` runs it, too. What a compiled forwarder must look like
// is decided by internal/site: this package says the same of the source, earlier and in
// its words.
//
// It changes no files and runs nothing but `go list`.
package forwardcheck
