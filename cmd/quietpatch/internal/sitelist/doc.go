// Package sitelist lists the keys and static calls of a Go binary and their sites,
// and counts its indirect calls, for `quietpatch sites`. It joins internal/gobin,
// which reads the file, with internal/site, which the engine of a running program
// uses, too: the list says what that engine would find. It runs nothing and
// changes nothing.
//
// The file is not trusted: names are shown escaped, and a list that no honest
// program has is refused.
package sitelist
