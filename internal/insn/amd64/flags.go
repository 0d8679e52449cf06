package amd64

// Flags is a set of arithmetic flags, as bits of RFLAGS.
type Flags uint16

// ReadableFlags are the flags that conditions depend on: all but AF.
const ReadableFlags Flags = flagCF | ParityFlag | flagZF | flagSF | flagOF

// ParityFlag is the one of them that an armed compare does not reproduce.
const ParityFlag Flags = flagPF

// FlagUse says what an instruction does with the readable flags.
type FlagUse struct {
	// Known is false for every instruction that is not listed here. It may read
	// or write any flag.
	Known bool
	// Reads are the conditions that it asks for.
	Reads Conds
	// Writes are the flags of which it certainly leaves nothing. What the manuals
	// call undefined is not among them: on some CPUs that means unchanged.
	Writes Flags
}

// Sets of flags that instructions write.
const (
	writesNone Flags = 0
	writesAll        = ReadableFlags
	allButCF         = ReadableFlags &^ flagCF
	onlyCFOF   Flags = flagCF | flagOF
	onlyCF     Flags = flagCF
	onlyZF     Flags = flagZF
	allButPF         = ReadableFlags &^ flagPF
)

// Flags returns what the instruction does with the flags.
func (in Inst) Flags() FlagUse {
	if cc, ok := in.Cond(); ok {
		return FlagUse{Known: true, Reads: 1 << cc}
	}
	switch in.Enc {
	case Legacy:
		switch in.Map {
		case 0:
			return in.flagsOneByte()
		case 1:
			return in.flags0F()
		case 2, 3:
			return keepsIf(keeps0F3x[in.Map-2].has(in.Op))
		}
	case VEX:
		return in.flagsVEX()
	case EVEX:
		return keepsIf(in.Map == 1 && keepsEVEX.has(in.Op))
	}
	return FlagUse{}
}

func writes(f Flags) FlagUse { return FlagUse{Known: true, Writes: f} }

func keepsIf(known bool) FlagUse { return FlagUse{Known: known} }

// The groups 1 (80-83) and the opcodes 00-3D have the same eight operations in
// the same order: ADD, OR, ADC, SBB, AND, SUB, XOR, CMP. ADC and SBB read CF, as
// condition B does.
func arithmetic(op byte) FlagUse {
	u := writes(writesAll)
	if op == 2 || op == 3 {
		u.Reads = 1 << condB
	}
	return u
}

// keepsOneByte holds the instructions of the one-byte map that touch no flag:
// PUSH and POP 50-5F, MOVSXD 63, PUSH 68 and 6A, XCHG 86-87, MOV 88-8B,
// LEA 8D, XCHG and NOP 90-97, CBW 98, CWD 99 and their wider forms, MOV A0-A3,
// MOVS A4-A5, STOS AA-AB and MOV B0-BF.
var keepsOneByte = opSet{
	0x5: 0xFFFF,
	0x6: 1<<0x3 | 1<<0x8 | 1<<0xA,
	0x8: 0x0FC0 | 1<<0xD,
	0x9: 0x03FF,
	0xA: 0x003F | 1<<0xA | 1<<0xB,
	0xB: 0xFFFF,
}

func (in Inst) flagsOneByte() FlagUse {
	switch op := in.Op; {
	case keepsOneByte.has(op):
		return keepsIf(true)
	case op < 0x40 && op&7 < 6:
		return arithmetic(op >> 3)
	case op == 0x84, op == 0x85, op == 0xA8, op == 0xA9: // TEST
		return writes(writesAll)
	case op == 0x69, op == 0x6B: // IMUL
		return writes(onlyCFOF)
	}
	return in.flagsGroup()
}

// flagsGroup covers the opcodes of the one-byte map where ModRM.reg decides.
func (in Inst) flagsGroup() FlagUse {
	reg := in.ModRM >> 3 & 7
	switch in.Op {
	case 0x80, 0x81, 0x83:
		return arithmetic(reg)
	case 0xC0, 0xC1, 0xD2, 0xD3: // shifts and rotations by a count that may be 0, which writes nothing
		return keepsIf(reg != 2 && reg != 3) // RCL and RCR read CF
	case 0xD0, 0xD1: // by 1
		return [8]FlagUse{0: writes(onlyCFOF), 1: writes(onlyCFOF), 4: writes(writesAll), 5: writes(writesAll), 7: writes(writesAll)}[reg]
	case 0xF6, 0xF7: // TEST, TEST, NOT, NEG, MUL, IMUL, DIV, IDIV
		return [8]FlagUse{
			writes(writesAll), writes(writesAll), keepsIf(true), writes(writesAll),
			writes(onlyCFOF), writes(onlyCFOF), keepsIf(true), keepsIf(true),
		}[reg]
	case 0xFE, 0xFF: // INC, DEC; FF /6 PUSH
		if reg < 2 {
			return writes(allButCF)
		}
		return keepsIf(in.Op == 0xFF && reg == 6)
	case 0x8F, 0xC6, 0xC7: // POP, MOV imm
		return keepsIf(reg == 0)
	}
	return FlagUse{}
}

// keeps0F holds the instructions of the map 0F that touch no flag: the SSE ones as in
// keepsVEX, PREFETCH 18, NOP 1F, SHLD and SHRD A4-A5 and AC-AD (by a count that may
// be 0), MOVZX B6-B7, MOVSX BE-BF, MOVNTI C3 and BSWAP C8-CF.
var keeps0F = opSet{
	0x1: 0x00FF | 1<<0x8 | 1<<0xF,
	0x2: 0x3F00,
	0x5: 0xFFFF,
	0x6: 0xFFFF,
	0x7: 0x007F | 0xF000,
	0xA: 1<<0x4 | 1<<0x5 | 1<<0xC | 1<<0xD,
	0xB: 1<<0x6 | 1<<0x7 | 1<<0xE | 1<<0xF,
	0xC: 0xFF7C,
	0xD: 0xFFFF,
	0xE: 0xFFFF,
	0xF: 0x7FFF,
}

func (in Inst) flags0F() FlagUse {
	switch in.Op {
	case 0x2E, 0x2F, // UCOMIS, COMIS
		0xB0, 0xB1, 0xC0, 0xC1: // CMPXCHG, XADD
		return writes(writesAll)
	case 0xA3, 0xAB, 0xB3, 0xBA, 0xBB: // BT, BTS, BTR, BTC
		return writes(onlyCF)
	case 0xAF: // IMUL
		return writes(onlyCFOF)
	case 0xB8: // POPCNT, with F3; Decode refuses it without
		return writes(writesAll)
	case 0xBC, 0xBD: // BSF, BSR; with F3 TZCNT and LZCNT, which write CF, too
		return writes(onlyZF)
	case 0xC7: // CMPXCHG8B, CMPXCHG16B
		if in.ModRM>>3&7 == 1 && in.ModRM < 0xC0 {
			return writes(onlyZF)
		}
		return FlagUse{}
	}
	return keepsIf(keeps0F.has(in.Op))
}

// keeps0F3x holds those of the maps 0F38 and 0F3A: of 0F38 PSHUFB to PMULHRSW
// 00-0B, PABS 1C-1E, PMOVSX 20-25, PMULDQ to PACKUSDW 28-2B, PMOVZX 30-35 and
// PCMPGTQ to PMULLD 37-40, MOVBE and CRC32 F0-F1; of 0F3A ROUND 08-0B, blends
// 0C-0E, PALIGNR 0F, PEXTR 14-17 and PINSR 20-22.
var keeps0F3x = [2]opSet{
	{0x0: 0x0FFF, 0x1: 0x7000, 0x2: 0x0F3F, 0x3: 0xFFBF, 0x4: 0x0001, 0xF: 0x0003},
	{0x0: 0xFF00, 0x1: 0x00F0, 0x2: 0x0007},
}

// keepsVEX holds the instructions of VEX map 1 that touch no flag: the moves
// 10-17, 28-29, 2B, 6E-6F, 7E-7F, D6, E7 and F0, the conversions 2A and 2C-2D, arithmetic
// on floating point and packed integers 50-76, 7C-7D, C2 and D0-FE,
// VZEROUPPER 77, PINSRW, PEXTRW and SHUFPS C4-C6.
var keepsVEX = opSet{
	0x1: 0x00FF,
	0x2: 0x3F00,
	0x5: 0xFFFF,
	0x6: 0xFFFF,
	0x7: 0x00FF | 0xF000,
	0xC: 1<<0x2 | 1<<0x4 | 1<<0x5 | 1<<0x6,
	0xD: 0xFFFF,
	0xE: 0xFFFF,
	0xF: 0x7FFF,
}

// keepsEVEX holds the moves of EVEX map 1.
var keepsEVEX = opSet{
	0x1: 0x00FF,
	0x2: 1<<0x8 | 1<<0x9 | 1<<0xB,
	0x6: 1<<0xE | 1<<0xF,
	0x7: 1<<0xE | 1<<0xF,
	0xD: 1 << 0x6,
	0xE: 1 << 0x7,
	0xF: 1 << 0x0,
}

// keepsVEX38 holds those of VEX map 2: VFMADD and its kin 96-9F, A6-AF and B6-BF.
// F5 to F7 are BZHI and BEXTR, which write flags, and PDEP, PEXT, MULX, SARX, SHLX
// and SHRX, which do not: pp tells, and no flag is certainly written.
var keepsVEX38 = opSet{0x9: 0xFFC0, 0xA: 0xFFC0, 0xB: 0xFFC0, 0xF: 0x00E0}

func (in Inst) flagsVEX() FlagUse {
	switch in.Map {
	case 1:
		if in.Op == 0x2E || in.Op == 0x2F { // VUCOMIS, VCOMIS
			return writes(writesAll)
		}
		return keepsIf(keepsVEX.has(in.Op))
	case 2:
		if in.Op == 0xF2 || in.Op == 0xF3 { // ANDN; BLSR, BLSMSK, BLSI
			return writes(allButPF)
		}
		return keepsIf(keepsVEX38.has(in.Op))
	case 3:
		return keepsIf(in.Op == 0xF0) // RORX
	}
	return FlagUse{}
}
