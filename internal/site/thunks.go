package site

import (
	"cmp"
	"encoding/binary"
	"slices"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// ThunkFunc is a function through which a program built with -spectre=ret makes its
// indirect calls.
type ThunkFunc struct {
	Addr uint64
	Reg  uint8 // hardware number of the register that holds the callee's address
}

// Thunks returns the thunks that the program calls, sorted by address. They are told
// by their names; only what looks like one is asked for its name.
func Thunks(img Image) []ThunkFunc {
	seen := map[uint64]bool{}
	var out []ThunkFunc
	segs := img.Text()
	for _, seg := range segs {
		b := seg.Bytes
		for i := 0; i+insn.CallLen <= len(b); i++ {
			if b[i]&0xFE != 0xE8 {
				continue
			}
			rel := uint64(int64(int32(binary.LittleEndian.Uint32(b[i+1:]))))
			target := seg.Addr + uint64(i) + insn.CallLen + rel
			if off := target - seg.Addr; off >= uint64(len(b)) || !thunkLike(b[off:]) || seen[target] {
				continue
			}
			seen[target] = true
			entry, name, ok := img.Func(target)
			if reg, isThunk := insn.Thunk(name); ok && entry == target && isThunk {
				out = append(out, ThunkFunc{Addr: target, Reg: reg})
			}
		}
	}
	slices.SortFunc(out, func(a, b ThunkFunc) int { return cmp.Compare(a.Addr, b.Addr) })
	return out
}

// thunkLike reports whether a thunk may begin here: a call over the trap for
// speculation, which begins with PAUSE (runtime, asm_amd64.s: RETPOLINE).
func thunkLike(b []byte) bool {
	return len(b) > 6 && b[0] == 0xE8 && b[2]|b[3]|b[4] == 0 && b[5] == 0xF3 && b[6] == 0x90
}
