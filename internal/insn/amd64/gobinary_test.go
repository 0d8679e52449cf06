package amd64

import (
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

// x86asmDiffers lists where x86asm gives another length and is wrong.
var x86asmDiffers = []struct {
	name, reason string
	applies      func(in Inst) bool
}{
	{
		"MOV CRn, MOV DRn",
		"the manuals ignore ModRM.mod (Intel SDM vol. 2, MOV to/from control registers); x86asm decodes memory operands",
		func(in Inst) bool {
			return in.Enc == Legacy && in.Map == 1 && in.Op >= 0x20 && in.Op <= 0x23 && in.ModRM < 0xC0
		},
	},
	{
		"VZEROUPPER, VZEROALL",
		"they have no ModRM; x86asm v0.30.0 counts one if there are more bytes (decodeAVX: haveModRM)",
		func(in Inst) bool { return in.Enc == VEX && in.Map == 1 && in.Op == 0x77 },
	},
}

func x86asmMayDiffer(in Inst) bool {
	for _, d := range x86asmDiffers {
		if d.applies(in) {
			return true
		}
	}
	return false
}

// decodeX86asm returns the length that x86asm finds, 0 if it knows none.
func decodeX86asm(code []byte) (in x86asm.Inst, n int) {
	// Up to v0.31.0 Decode panics where the code ends behind a VEX or EVEX
	// prefix (golang/go#81447).
	defer func() {
		if recover() != nil {
			n = 0
		}
	}()
	in, err := x86asm.Decode(code, 64)
	if err != nil || in.Op == 0 { // Op 0: a prefix alone, the rest is not understood
		return in, 0
	}
	return in, in.Len
}

// TestGoBinaryX86asm walks all functions of a real program and compares the
// length of each instruction with x86asm, where that knows it.
func TestGoBinaryX86asm(t *testing.T) {
	for _, goamd64 := range []string{"v1", "v3"} {
		t.Run(goamd64, func(t *testing.T) {
			total, unknown := 0, 0
			count := map[Encoding]int{}
			for _, f := range functions(t, buildProgram(t, goamd64)) {
				walk(t, f, func(off int, in Inst) {
					total++
					count[in.Enc]++
					theirs, n := decodeX86asm(f.code[off:])
					if n == 0 {
						unknown++
					} else if n != int(in.Len) && !x86asmMayDiffer(in) {
						t.Errorf("%s+%#x: % x: length %d, x86asm says %d: %v",
							f.name, off, f.code[off:off+int(in.Len)], in.Len, n, theirs)
					}
				})
			}
			t.Logf("%d instructions (%d VEX, %d EVEX), %d unknown to x86asm", total, count[VEX], count[EVEX], unknown)
			// EVEX is not asked for: the standard library of Go 1.25 has none, that
			// of Go 1.26 about 500.
			if total < 500_000 || unknown > total/100 || count[VEX] < 1000 {
				t.Errorf("the comparison does not cover what it should: %d instructions, %d unknown, %v",
					total, unknown, count)
			}
		})
	}
}

// TestGoBinaryObjdump compares the instruction boundaries of every function
// with objdump, which does not share its knowledge with x86asm.
func TestGoBinaryObjdump(t *testing.T) {
	objdumpPath(t)
	path := buildProgram(t, "v3")
	starts := map[uint64]string{}
	runObjdump(t, []string{"-d", "-w", "-j", ".text", path}, nil, func(l objdumpLine) {
		starts[l.addr] = l.text
	})
	compared := 0
	for _, f := range functions(t, path) {
		ours := map[uint64]bool{}
		walk(t, f, func(off int, in Inst) { ours[f.addr+uint64(off)] = true })
		for addr := f.addr; addr < f.addr+uint64(len(f.code)); addr++ {
			text, theirs := starts[addr]
			if theirs != ours[addr] {
				t.Errorf("%s+%#x: an instruction begins here: %v, objdump: %v (%s)",
					f.name, addr-f.addr, ours[addr], theirs, text)
				break
			}
			if theirs {
				compared++
			}
		}
	}
	t.Logf("%d instructions compared", compared)
	if compared < 500_000 {
		t.Errorf("compared %d instructions, expected more", compared)
	}
}
