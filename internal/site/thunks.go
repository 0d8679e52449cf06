package site

import (
	"cmp"
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
	for _, seg := range img.Text() {
		seg.calls(func(_, target uint64) {
			off := target - seg.Addr
			if off >= uint64(len(seg.Bytes)) || !thunkLike(seg.Bytes[off:]) || seen[target] {
				return
			}
			seen[target] = true
			entry, name, ok := img.Func(target)
			if reg, isThunk := insn.Thunk(name); ok && entry == target && isThunk {
				out = append(out, ThunkFunc{Addr: target, Reg: reg})
			}
		})
	}
	slices.SortFunc(out, func(a, b ThunkFunc) int { return cmp.Compare(a.Addr, b.Addr) })
	return out
}

// thunkLike reports whether a thunk may begin here: a call over the trap for
// speculation, which begins with PAUSE (runtime, asm_amd64.s: RETPOLINE).
func thunkLike(b []byte) bool {
	return len(b) > 6 && b[0] == 0xE8 && b[2]|b[3]|b[4] == 0 && b[5] == 0xF3 && b[6] == 0x90
}
