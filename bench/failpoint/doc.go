// Package bench compares package failpoint with gofail and pingcap/failpoint: what
// a point costs while it is off, and whether the two understand the terms that
// failpoint/testdata/syntax.tsv says they do. It is a module of its own, so that
// the library requires neither. It may not be imported.
//
//	cd bench/failpoint && GOWORK=off go test -v -bench . -count 5
package bench
