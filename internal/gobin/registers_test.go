package gobin

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"

	"github.com/quietpatch/quietpatch/internal/insn/amd64"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}

// TestRegisters runs short sequences from address 0x1000 on, with AX = 0xAAAA, BX =
// 0xBBBB and R8 = 0x8888 known before.
func TestRegisters(t *testing.T) {
	const unknown = "?"
	for _, tt := range []struct{ asm, code, ax, bx, r8 string }{
		{"LEAQ 0x10(IP), AX", "48 8d 05 10000000", "0x1017", "0xbbbb", "0x8888"},
		{"LEAQ -0x10(IP), R8", "4c 8d 05 f0ffffff", "0xaaaa", "0xbbbb", "0xff7"},
		{"LEAL 0x10(IP), AX", "8d 05 10000000", unknown, "0xbbbb", "0x8888"},
		{"LEAQ 0x10(AX), BX", "48 8d 58 10", "0xaaaa", unknown, "0x8888"},
		{"MOVL $-1, AX", "b8 ffffffff", "0xffffffff", "0xbbbb", "0x8888"},
		{"MOVL $7, R8", "41 b8 07000000", "0xaaaa", "0xbbbb", "0x7"},
		{"MOVQ $-1, AX", "48 c7 c0 ffffffff", "0xffffffffffffffff", "0xbbbb", "0x8888"},
		{"MOVL $-1, AX, long form", "c7 c0 ffffffff", "0xffffffff", "0xbbbb", "0x8888"},
		{"MOVQ $imm64, BX", "48 bb 8877665544332211", "0xaaaa", "0x1122334455667788", "0x8888"},
		{"XORL AX, AX", "31 c0", "0x0", "0xbbbb", "0x8888"},
		{"XORL AX, AX, other form", "33 c0", "0x0", "0xbbbb", "0x8888"},
		{"XORL BX, AX", "31 d8", unknown, "0xbbbb", "0x8888"},
		{"MOVQ AX, BX", "48 89 c3", "0xaaaa", "0xaaaa", "0x8888"},
		{"MOVQ R8, AX", "49 8b c0", "0x8888", "0xbbbb", "0x8888"},
		{"MOVL of a wide value", "48 bb 8877665544332211 89 d8", "0x55667788", "0x1122334455667788", "0x8888"},
		{"MOVQ unknown to AX", "48 89 c8", unknown, "0xbbbb", "0x8888"},
		{"MOVQ 8(SP), AX", "48 8b 44 24 08", unknown, "0xbbbb", "0x8888"},
		{"MOVQ AX, 8(SP)", "48 89 44 24 08", "0xaaaa", "0xbbbb", "0x8888"},
		{"MOVQ $0, 8(SP)", "48 c7 44 24 08 00000000", "0xaaaa", "0xbbbb", "0x8888"},
		{"MOVB BX, AH", "88 dc", unknown, "0xbbbb", "0x8888"},
		{"MOVB BX, SPB with REX", "40 88 dc", "0xaaaa", "0xbbbb", "0x8888"},
		{"MOVB $1, AX", "b0 01", unknown, unknown, unknown},
		{"MOVB 8(SP), BX", "8a 5c 24 08", "0xaaaa", unknown, "0x8888"},
		{"MOVZX 8(SP), BX", "0f b6 5c 24 08", "0xaaaa", unknown, "0x8888"},
		{"IMULQ CX, BX", "48 0f af d9", "0xaaaa", unknown, "0x8888"},
		{"CMOVE CX, BX", "48 0f 44 d9", "0xaaaa", unknown, "0x8888"},
		{"ADDQ $8, BX", "48 83 c3 08", "0xaaaa", unknown, "0x8888"},
		{"ADDQ $8, 8(BX)", "48 83 43 08 08", "0xaaaa", "0xbbbb", "0x8888"},
		{"ADDQ CX, R8", "49 01 c8", "0xaaaa", "0xbbbb", unknown},
		{"ADDQ 8(SP), R8", "4c 03 44 24 08", "0xaaaa", "0xbbbb", unknown},
		{"INCQ BX", "48 ff c3", "0xaaaa", unknown, "0x8888"},
		{"CMPQ BX, $8", "48 83 fb 08", "0xaaaa", "0xbbbb", "0x8888"},
		{"CMPQ BX, R8", "4c 39 c3", "0xaaaa", "0xbbbb", "0x8888"},
		{"TESTQ AX, AX", "48 85 c0", "0xaaaa", "0xbbbb", "0x8888"},
		{"TESTB $1, AX", "a8 01", "0xaaaa", "0xbbbb", "0x8888"},
		{"NEGQ BX", "48 f7 db", unknown, unknown, unknown},
		{"PUSHQ AX", "50", "0xaaaa", "0xbbbb", "0x8888"},
		{"POPQ BX", "5b", "0xaaaa", unknown, "0x8888"},
		{"POPQ R8", "41 58", "0xaaaa", "0xbbbb", unknown},
		{"NOP", "90", "0xaaaa", "0xbbbb", "0x8888"},
		{"2-byte NOP", "66 90", "0xaaaa", "0xbbbb", "0x8888"},
		{"5-byte NOP", "0f 1f 44 00 00", "0xaaaa", "0xbbbb", "0x8888"},
		{"XCHGQ AX, R8", "49 90", unknown, unknown, unknown},
		{"XCHGQ AX, BX", "48 93", unknown, unknown, unknown},
		{"JE", "74 00", "0xaaaa", "0xbbbb", "0x8888"},
		{"JE rel32", "0f 84 00000000", "0xaaaa", "0xbbbb", "0x8888"},
		{"JMP", "eb 00", unknown, unknown, unknown},
		{"CALL", "e8 00000000", unknown, unknown, unknown},
		{"CALL AX", "ff d0", unknown, unknown, unknown},
		{"RET", "c3", unknown, unknown, unknown},
		{"MOVUPS X15, 8(SP)", "44 0f 11 7c 24 08", "0xaaaa", "0xbbbb", "0x8888"},
		{"MOVQ X0, AX", "66 48 0f 7e c0", unknown, unknown, unknown},
		{"VZEROUPPER", "c5 f8 77", unknown, unknown, unknown},
		{"MULQ BX", "48 f7 e3", unknown, unknown, unknown},
		{"CPUID", "0f a2", unknown, unknown, unknown},
	} {
		t.Run(tt.asm, func(t *testing.T) {
			code := unhex(t, tt.code)
			var regs registers
			regs[regAX], regs[regBX], regs[8] = value{0xAAAA, true}, value{0xBBBB, true}, value{0x8888, true}
			for at := 0; at < len(code); {
				in, err := amd64.Decode(code[at:])
				if err != nil {
					t.Fatal(err)
				}
				regs.step(in, code[at:at+int(in.Len)], 0x1000+uint64(at)+uint64(in.Len))
				at += int(in.Len)
			}
			for _, r := range []struct {
				name string
				got  value
				want string
			}{{"AX", regs[regAX], tt.ax}, {"BX", regs[regBX], tt.bx}, {"R8", regs[8], tt.r8}} {
				got := unknown
				if r.got.known {
					got = fmt.Sprintf("%#x", r.got.v)
				}
				if got != r.want {
					t.Errorf("%s = %s, want %s", r.name, got, r.want)
				}
			}
		})
	}
}

// readOnly are the instructions that have a general register in front and do not
// write it; alsoSecond write the second operand too.
var (
	readOnly = map[x86asm.Op]bool{
		x86asm.CMP: true, x86asm.TEST: true, x86asm.PUSH: true, x86asm.BT: true, x86asm.NOP: true,
		x86asm.CALL: true, x86asm.JMP: true,
	}
	alsoSecond = map[x86asm.Op]bool{x86asm.XCHG: true, x86asm.XADD: true}
	implicitAX = map[x86asm.Op]bool{
		x86asm.MUL: true, x86asm.DIV: true, x86asm.IDIV: true, x86asm.CDQ: true, x86asm.CQO: true, x86asm.CWD: true,
		x86asm.CPUID: true, x86asm.RDTSC: true, x86asm.XGETBV: true, x86asm.CMPXCHG: true, x86asm.SYSCALL: true,
		x86asm.CALL: true, x86asm.LODSB: true, x86asm.LODSQ: true,
	}
)

// general returns the number of the general register that r is part of.
func general(r x86asm.Reg) (int, bool) {
	switch {
	case r >= x86asm.AH && r <= x86asm.BH:
		return int(r - x86asm.AH), true
	case r >= x86asm.AL && r <= x86asm.R15B:
		if r > x86asm.BH {
			return int(r-x86asm.BH) - 1 + 4, true
		}
		return int(r - x86asm.AL), true
	case r >= x86asm.AX && r <= x86asm.R15W:
		return int(r - x86asm.AX), true
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), true
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), true
	}
	return 0, false
}

// TestRegistersAgainstX86asm takes every instruction of a program and checks that
// no register keeps its value that, by x86asm, the instruction writes.
func TestRegistersAgainstX86asm(t *testing.T) {
	const sentinel = 0x5E5E5E5E00000000
	f := openProg(t, baseConfigs[0])
	checked := 0
	for i := range f.tab.nfunc {
		entry, end := f.tab.entry(i), f.tab.entry(i+1)
		code, err := f.im.read(entry, end-entry)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(code); {
			in, err := amd64.Decode(code[at:])
			if err != nil {
				t.Fatalf("%#x: %v", entry+uint64(at), err)
			}
			here := code[at : at+int(in.Len)]
			at += int(in.Len)
			var regs registers
			for r := range regs {
				regs[r] = value{sentinel + uint64(r), true}
			}
			regs.step(in, here, entry+uint64(at))
			x, err := x86asm.Decode(here, 64)
			if err != nil || in.Enc != amd64.Legacy {
				continue // VEX: forgotten as a whole
			}
			checked++
			for _, r := range written(x) {
				if regs[r] == (value{sentinel + uint64(r), true}) {
					t.Errorf("%#x: register %d survives %v", entry+uint64(at)-uint64(in.Len), r, x)
				}
			}
		}
	}
	if checked < 100000 {
		t.Errorf("only %d instructions checked", checked)
	}
}

// written returns the general registers that an instruction writes.
func written(x x86asm.Inst) []int {
	var out []int
	if implicitAX[x.Op] || x.Op == x86asm.IMUL && x.Args[1] == nil {
		out = append(out, regAX)
	}
	for i, a := range x.Args[:2] {
		r, ok := a.(x86asm.Reg)
		if !ok || i == 1 && !alsoSecond[x.Op] || i == 0 && readOnly[x.Op] {
			continue
		}
		// XCHG of a register with itself is NOP.
		if n, ok := general(r); ok && (x.Op != x86asm.XCHG || x.Args[0] != x.Args[1]) {
			out = append(out, n)
		}
	}
	return out
}

// TestWalkLabels checks that constants do not survive a place that is jumped to.
func TestWalkLabels(t *testing.T) {
	const entry = 0x1000
	// A jump table stands at 0x2000: its one target is entry + 0x10.
	table := binary.LittleEndian.AppendUint64(nil, entry+0x10)
	for _, tt := range []struct {
		name, code string
		ok, known  bool
	}{
		{"straight", "b8 01000000 e8 00000000 c3", true, true},
		{"branch around the load", "74 05 b8 01000000 e8 00000000 c3", true, false},
		{"long branch around the load", "0f84 05000000 b8 01000000 e8 00000000 c3", true, false},
		{"branch from behind", "b8 01000000 e8 00000000 75 f9 c3", true, false},
		{"branch elsewhere", "74 0a b8 01000000 e8 00000000 c3", true, true},
		{"jump with unknown target", "b8 01000000 e8 00000000 ff e0", false, false},
		{"jump through memory", "b8 01000000 e8 00000000 ff 25 00000000", false, false},
		{"target of a table", "48 8d 05 f90f0000 ff 24 c8 90 b8 01000000 e8 00000000 c3", true, false},
		{"table and target elsewhere", "48 8d 05 f90f0000 ff 24 c8 90 90 b8 01000000 e8 00000000 c3", true, true},
		{"table in a forgotten register", "48 8d 05 f90f0000 48 8b 00 ff 24 c8 b8 01000000 e8 00000000 c3", false, false},
		{"table that is not there", "48 8d 05 00000000 ff 24 c8 b8 01000000 e8 00000000 c3", false, false},
		{"not code", "b8 01000000 e8 00000000 06", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &File{im: &image{r: bytes.NewReader(table)}}
			f.im.loads = []load{{addr: 0x2000, memsz: 8, filesz: 8}}
			w, ok := f.newWalk(entry, unhex(t, tt.code))
			if ok != tt.ok {
				t.Fatalf("newWalk = %v, want %v", ok, tt.ok)
			}
			if !ok {
				return
			}
			calls := 0
			w.calls(func(_, _ uint64, regs *registers) {
				calls++
				if regs[regAX].known != tt.known {
					t.Errorf("at the call AX = %+v, want known %v", regs[regAX], tt.known)
				}
			})
			if calls != 1 {
				t.Errorf("%d calls, want 1", calls)
			}
		})
	}
}
