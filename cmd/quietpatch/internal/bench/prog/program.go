package prog

import "github.com/quietpatch/quietpatch/statickey"

// KeysMax is the most keys that a program may have.
const KeysMax = 10_000

// A Key is one key of the program and how many sites it has.
type Key struct {
	Key   *statickey.Bool
	Sites int
}

// A Func holds sites, with other work between. Each site counts in w.Seen that it
// saw its key on.
type Func func(w *Work, x uint64) uint64

// A Group is the keys that one row flips, and functions for the busy thread.
type Group struct {
	Layout   string
	From, To int // of Program.Keys
	Sites    int
	Busy     []int // of Program.Funcs
}

// A Program is what was generated.
type Program struct {
	Keys   []Key
	Groups []Group
	Funcs  []Func
}

// Work is what functions work on.
type Work struct {
	Seen  [KeysMax]uint32 // by key
	Table [256]uint64
	Text  []byte
}

// Mix is work in a call.
//
//go:noinline
func (w *Work) Mix(x, c uint64) uint64 { return (x ^ c) * 0x9E3779B97F4A7C15 }

// Number is inlined to the use of a key's value, without a branch.
func Number(b bool) uint32 {
	var n uint32
	if b {
		n = 1
	}
	return n
}
