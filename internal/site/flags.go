package site

import (
	"fmt"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// The bounds of the search for the readers of a compare's flags. Of 17,000 compares with
// variables in two Go programs 88% need 16 instructions and 4 paths at most, all but 1 need 256 and 16.
const (
	stepsMax = 256 // instructions, on all paths together
	pathsMax = 32
)

// flagWalk follows the code behind a compare on every path, until the flags that
// the compare left are gone. A compare that is replaced must answer every condition
// that is asked of them on the way.
//
// The flags are gone where other instructions have written them, and where the
// function calls, returns, or jumps to the start of another: "The arithmetic status
// flags are treated like scratch registers and not preserved across calls" (Go's
// src/cmd/compile/abi-internal.md, amd64). A function that starts reads none.
type flagWalk struct {
	c     *confirmer
	conds insn.Conds
	steps int
	// paths are the starts of all paths, those behind next still to be walked.
	paths  [pathsMax]flagPath
	n      int
	reason string // why the walk was given up
}

type flagPath struct {
	at   uint64
	live insn.Flags // those that still come from the compare
}

// flagReaders returns the conditions that are read behind the compare that ends
// at addr, or the reason why it must stay.
func (c *confirmer) flagReaders(addr uint64) (insn.Conds, string) {
	w := flagWalk{c: c}
	w.add(flagPath{addr, insn.ReadableFlags})
	for next := 0; next < w.n && w.reason == ""; next++ {
		w.walk(w.paths[next])
	}
	switch {
	case w.reason != "":
		return 0, w.reason
	case w.conds == 0:
		return 0, "not known what reads the flags of the compare: nothing does"
	}
	return w.conds, ""
}

// add puts a path on the list, unless one from there is on it.
func (w *flagWalk) add(p flagPath) {
	if w.listed(p) {
		return
	}
	if w.n == pathsMax {
		w.reason = fmt.Sprintf("more than %d paths behind the compare", pathsMax)
		return
	}
	w.paths[w.n] = p
	w.n++
}

// listed reports whether the rest of the path is on the list.
func (w *flagWalk) listed(p flagPath) bool {
	for _, q := range w.paths[:w.n] {
		if q.at == p.at && p.live&^q.live == 0 {
			return true
		}
	}
	return false
}

// walk follows one path to its end, or to where it meets another.
func (w *flagWalk) walk(p flagPath) {
	for {
		if w.steps++; w.steps > stepsMax {
			w.reason = fmt.Sprintf("the flags of the compare live on for more than %d instructions", stepsMax)
			return
		}
		code := w.c.Code(p.at)
		in, err := insn.Decode(code)
		if err != nil {
			w.reason = fmt.Sprintf("behind the compare: at %#x: %v", p.at, err)
			return
		}
		if last := p.at + uint64(in.Len) - 1; !w.c.Inside(last) {
			w.reason = fmt.Sprintf("behind the compare: the function ends at or before %#x", last)
			return
		}
		if w.step(&p, in, code) || w.reason != "" || w.listed(p) {
			return
		}
	}
}

// step takes one instruction and reports whether the path ends.
func (w *flagWalk) step(p *flagPath, in insn.Inst, code []byte) (end bool) {
	flow, use := in.FlowFlags()
	switch flow {
	case insn.Next:
		w.read(p, use.Reads, code[:in.Len])
		p.live &^= use.Writes
	case insn.Branch:
		w.read(p, use.Reads, code[:in.Len])
		w.jump(insn.BranchTarget(p.at, in, code), p.live)
	case insn.Jump:
		w.jump(insn.BranchTarget(p.at, in, code), p.live)
		return true
	case insn.Call:
		if target := insn.BranchTarget(p.at, in, code); target == 0 || !w.c.keepsFlags(target) {
			return true
		}
	case insn.Stop:
		return true
	default:
		w.reason = fmt.Sprintf("not known what reads the flags of the compare: at %#x (% x)", p.at, code[:in.Len])
	}
	p.at += uint64(in.Len)
	return p.live == 0
}

// read notes the conditions that are asked of the compare's flags.
func (w *flagWalk) read(p *flagPath, conds insn.Conds, code []byte) {
	if conds == 0 {
		return
	}
	switch asked := conds.Flags(); {
	case asked&p.live == 0:
	case asked&insn.ParityFlag != 0:
		w.reason = fmt.Sprintf("the parity flag of the compare is read at %#x (% x)", p.at, code)
	case asked&^p.live != 0:
		w.reason = fmt.Sprintf("at %#x (% x) flags of the compare and of another instruction are read", p.at, code)
	default:
		w.conds |= conds
	}
}

// jump goes on at target. A jump to another function is a call that does not come
// back; into the middle of one, nothing that a compiler emits.
func (w *flagWalk) jump(target uint64, live insn.Flags) {
	if w.c.Inside(target) {
		w.add(flagPath{target, live})
		return
	}
	if entry, _, ok := w.c.img.Func(target); !ok || entry != target {
		w.reason = fmt.Sprintf("behind the compare: a jump out of the function, to %#x", target)
	}
}

// keepsFlags reports whether a function that is called leaves the flags alone, and
// the compiler relies on it: runtime.duffzero, which is entered anywhere, does not
// count as a call (up to Go 1.25, see DUFFZERO in cmd/compile's AMD64Ops.go and the
// LEAQ of runtime/mkduff.go).
func (c *confirmer) keepsFlags(target uint64) bool {
	_, name, ok := c.img.Func(target)
	return ok && name == "runtime.duffzero"
}
