package amd64

// FlagUse says what an instruction does with the arithmetic flags, as far as
// it matters for a compare that stands before it.
type FlagUse uint8

// The uses. Unknown is the zero value and the answer for every instruction
// that is not known to be one of the others.
const (
	Unknown     FlagUse = iota // may read or write any flag, or go elsewhere
	KeepsFlags                 // reads and writes no flag and goes on to the next instruction
	ReadsCond                  // Jcc, SETcc, CMOVcc on CF, ZF, SF or OF; writes no flag
	ReadsParity                // Jcc, SETcc, CMOVcc on PF; writes no flag
)

// Condition codes on PF, which an armed compare does not reproduce.
const (
	condP  = 0xA
	condNP = 0xB
)

// keepsOneByte holds the moves of the one-byte map that touch no flag:
// PUSH and POP 50-5F, MOVSXD 63, PUSH 68 and 6A, XCHG 86-87, MOV 88-8B,
// LEA 8D, XCHG and NOP 90-97, MOV A0-A3 and B0-BF.
var keepsOneByte = opSet{
	0x5: 0xFFFF,
	0x6: 1<<0x3 | 1<<0x8 | 1<<0xA,
	0x8: 0x0FC0 | 1<<0xD,
	0x9: 0x00FF,
	0xA: 0x000F,
	0xB: 0xFFFF,
}

// keeps0F holds those of the map 0F: the SSE moves of keepsVEX, NOP 1F,
// MOVZX B6-B7 and MOVSX BE-BF.
var keeps0F = opSet{
	0x1: 0x00FF | 1<<0xF,
	0x2: 1<<0x8 | 1<<0x9 | 1<<0xB,
	0x6: 1<<0xE | 1<<0xF,
	0x7: 1<<0xE | 1<<0xF,
	0xB: 1<<0x6 | 1<<0x7 | 1<<0xE | 1<<0xF,
	0xD: 1 << 0x6,
	0xE: 1 << 0x7,
	0xF: 1 << 0x0,
}

// keepsVEX holds the moves of VEX and EVEX map 1: 10-17 (VMOVUPS, VMOVSS,
// VMOVLPS, VUNPCK, VMOVHPS), 28-29 VMOVAPS, 2B VMOVNTPS, 6E-6F and 7E-7F
// (VMOVD, VMOVQ, VMOVDQA, VMOVDQU), D6 VMOVQ, E7 VMOVNTDQ, F0 VLDDQU.
var keepsVEX = opSet{
	0x1: 0x00FF,
	0x2: 1<<0x8 | 1<<0x9 | 1<<0xB,
	0x6: 1<<0xE | 1<<0xF,
	0x7: 1<<0xE | 1<<0xF,
	0xD: 1 << 0x6,
	0xE: 1 << 0x7,
	0xF: 1 << 0x0,
}

// Flags says what the instruction does with the arithmetic flags.
func (in Inst) Flags() FlagUse {
	if cc, ok := in.Cond(); ok {
		if cc == condP || cc == condNP {
			return ReadsParity
		}
		return ReadsCond
	}
	if in.keepsFlags() {
		return KeepsFlags
	}
	return Unknown
}

func (in Inst) keepsFlags() bool {
	switch in.Enc {
	case Legacy:
		switch in.Map {
		case 0:
			return keepsOneByte.has(in.Op) || in.keepsFlagsGroup()
		case 1:
			return keeps0F.has(in.Op)
		}
	case VEX, EVEX:
		return in.Map == 1 && keepsVEX.has(in.Op)
	}
	return false
}

// keepsFlagsGroup covers the opcodes of the one-byte map where ModRM.reg decides.
func (in Inst) keepsFlagsGroup() bool {
	reg := in.ModRM >> 3 & 7
	switch in.Op {
	case 0x8F, 0xC6, 0xC7: // POP, MOV imm
		return reg == 0
	case 0xFF: // PUSH
		return reg == 6
	}
	return false
}
