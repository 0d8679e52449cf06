// Package gobin reads a Go program from disk: where its code and its writable
// data are, which function and which source line an address belongs to, and
// which keys and static calls the program declares. It is what `quietpatch sites
// BINARY` stands on, and offers for a file the view that internal/self offers for
// the running process.
//
// It reads linux/amd64 ELF files with the function table of go1.20 and newer
// (tested with go1.25 to go1.27) and itself runs on every system. Symbols, section headers and DWARF are used when they are there and
// are never needed: a stripped program keeps its function table (pclntab),
// because the runtime needs it.
//
// All addresses are link-time addresses. A position-independent program (PIE)
// runs at these plus its load bias.
//
// The input is not trusted. Every count and every size is compared with the
// size of the file before memory is allocated for it; the tables whose std
// readers copy names without a limit (pclntab, symbols) are read here in place,
// and all names together are copied up to the size of the file; line tables are
// read up to a multiple of theirs; a panic in a std parser becomes an error.
//
// It may not run the file, map it executable, write to it, or interpret
// instructions beyond what the arguments of a registration need.
package gobin
