package gobin

import (
	"github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// maxJumpTable bounds the targets read for one indirect jump; a switch of the
// standard library has some hundred at most. They are read in pieces.
const (
	maxJumpTable   = 4096
	jumpTablePiece = 16
)

// walk is one function, decoded from its start to its end.
type walk struct {
	f      *File
	entry  uint64
	code   []byte
	insts  []amd64.Inst
	labels map[uint64]bool // where a jump of the function goes to
	words  map[uint64]bool // addresses of the words of jump tables that were read
}

// newWalk decodes the function. It is false when that fails or when a jump goes
// to a place that is not known: then nothing in the function is straight-line
// code for sure.
func (f *File) newWalk(entry uint64, code []byte) (*walk, bool) {
	w := &walk{f: f, entry: entry, code: code, labels: map[uint64]bool{}, words: map[uint64]bool{}}
	var regs registers
	for at := 0; at < len(code); {
		in, err := amd64.Decode(code[at:])
		if err != nil {
			return nil, false
		}
		here := code[at : at+int(in.Len)]
		at += int(in.Len)
		next := entry + uint64(at)
		w.insts = append(w.insts, in)
		if isBranch(in) {
			w.labels[next+immediate(in, here)] = true
		} else if isIndirectJump(in) && !w.jumpTable(in, here, &regs) {
			return nil, false
		}
		regs.step(in, here, next)
	}
	return w, true
}

// isBranch is true for Jcc, JMP, LOOP and JRCXZ with an offset.
func isBranch(in amd64.Inst) bool {
	if in.Enc != amd64.Legacy {
		return false
	}
	switch in.Map {
	case 0:
		return in.Op>>4 == 7 || in.Op == 0xE9 || in.Op == 0xEB || in.Op >= 0xE0 && in.Op <= 0xE3
	case 1:
		return in.Op>>4 == 8
	}
	return false
}

func isCall(in amd64.Inst) bool {
	return in.Enc == amd64.Legacy && in.Map == 0 && in.Op == 0xE8
}

func isIndirectJump(in amd64.Inst) bool {
	return in.Enc == amd64.Legacy && in.Map == 0 && in.Op == 0xFF && in.ModRM>>4&3 == 2 // /4 and /5
}

// jumpTable adds the targets of `JMP (table)(index*8)`, the one form in which
// the compiler jumps to the cases of a switch (cmd/compile, OpAMD64JMPTABLE).
// The table's length is not in the code; it is read for as long as its words
// are addresses of this function. What it takes too much are the targets of the
// function's next table.
func (w *walk) jumpTable(in amd64.Inst, code []byte, regs *registers) bool {
	if in.ModRM != 0x24 || in.DispLen != 0 { // mod 00, /4, SIB without displacement
		return false
	}
	sib := code[in.Len-1]
	base := regs[sib&7|in.Rex&rexB<<3]
	if sib>>6 != 3 || !base.known {
		return false
	}
	for n := 0; n < maxJumpTable; n += jumpTablePiece {
		at := base.v + uint64(8*n)
		words := w.f.pointers(at, jumpTablePiece)
		for i, target := range words {
			if w.words[at+uint64(8*i)] {
				return true // from here on it was read for another jump
			}
			if target-w.entry >= uint64(len(w.code)) {
				return n+i > 0
			}
			w.labels[target], w.words[at+uint64(8*i)] = true, true
		}
		if len(words) < jumpTablePiece {
			return n+len(words) > 0
		}
	}
	return false
}

// calls follows the constants and reports the registers at each direct call.
func (w *walk) calls(report func(call, target uint64, regs *registers)) {
	var regs registers
	at := uint64(0)
	for _, in := range w.insts {
		here := w.code[at : at+uint64(in.Len)]
		if w.labels[w.entry+at] {
			regs.forgetAll()
		}
		at += uint64(in.Len)
		next := w.entry + at
		if isCall(in) {
			report(next-uint64(in.Len), next+immediate(in, here), &regs)
		}
		regs.step(in, here, next)
	}
}
