package site

import insn "github.com/quietpatch/quietpatch/internal/insn/amd64"

// Segment is a run of text bytes.
type Segment struct {
	Addr  uint64
	Bytes []byte
}

// Range is the addresses [Start, End).
type Range struct{ Start, End uint64 }

// Contains reports whether addr lies in the range.
func (r Range) Contains(addr uint64) bool { return r.Start <= addr && addr < r.End }

// Image is text that can be searched, and its functions.
type Image interface {
	// Text returns the executable bytes, ascending.
	Text() []Segment
	// Func returns the start of the Go function that holds pc and the name of
	// the function at pc, which may be one that was inlined there; false for anything
	// but Go code. Functions have no holes: all of one lies between its start and the
	// start of the next, or code that is not Go.
	Func(pc uint64) (entry uint64, name string, ok bool)
	// Assembly reports whether the function that starts at entry was written
	// in assembly.
	Assembly(entry uint64) bool
	// ArgBytes returns how many bytes of stack every caller of the function that
	// starts at entry has for it: arguments and results that are passed there, and
	// slots to spill registers to; false if that is not known.
	ArgBytes(entry uint64) (n int, ok bool)
}

// Key is a place in memory whose readers are wanted.
type Key struct {
	Addr  uint64
	Width int // bytes: 1, 4 or 8
}

// Site is one instruction that reads a key.
type Site struct {
	Addr  uint64
	Key   int // index in the keys given to Find
	Entry uint64
	Func  string // the function at Entry
	Form  insn.Form
	Code  insn.Code // the instruction's bytes, when Form is not FormNone
	// Conds are the conditions that are asked of the flags of a compare, on any path.
	Conds insn.Conds
	// Careful: a call of a forwarder that may be led only to what is [Plain].
	Careful bool
	// Why is empty if the site can be patched, else the reason why not.
	Why string
}

// Patchable reports whether the site may be armed.
func (s *Site) Patchable() bool { return s.Why == "" }
