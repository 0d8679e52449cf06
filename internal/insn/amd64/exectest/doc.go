// Package exectest executes single instructions for tests, on linux/amd64.
//
// A Page holds code next to the data that it reads; Run calls the code with
// given registers and flags and returns those that it left. Its place is in the
// tests of internal/insn/amd64 and internal/stub only: no package may import it, and no
// program links it. On other systems the package is empty.
//
// It may not make memory writable and executable at once, as nothing in this
// project may: a Page is written first, then sealed.
package exectest
