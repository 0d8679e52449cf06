// Package lint holds the rules of this repository that a compiler does not
// check, as tests: who may import whom, that every package says its job, how
// long files and functions may get, and that the docs name the steps the code
// has.
package lint
