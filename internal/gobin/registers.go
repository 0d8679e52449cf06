package gobin

import (
	"encoding/binary"

	"github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// Register numbers as the hardware encodes them (Intel SDM vol. 2, table 2-2...2-5).
const (
	regAX = 0
	regCX = 1
	regBX = 3
	regSI = 6
	regDI = 7
	regR8 = 8
	regR9 = 9
)

// REX bits (Intel SDM vol. 2, 2.2.1.2).
const (
	rexB = 0x01
	rexR = 0x04
	rexW = 0x08
)

// value is what a register holds, when that is a constant of the program.
type value struct {
	v     uint64
	known bool
}

// registers follows constants through straight-line code. It knows the few
// instructions with which the compiler loads arguments and those that are often
// mixed in between; whatever else comes makes it forget. A forgotten constant
// costs the name of a key, a wrong one would be a lie.
type registers [16]value

func (r *registers) forgetAll() { *r = registers{} }

// forgetByte forgets the register that an 8-bit operand is part of. Without REX
// the numbers 4 to 7 are AH to BH.
func (r *registers) forgetByte(reg uint8, rex byte) {
	if rex == 0 && reg >= 4 {
		reg -= 4
	}
	r[reg] = value{}
}

func regField(in amd64.Inst) uint8 { return in.ModRM>>3&7 | in.Rex&rexR<<1 }
func rmField(in amd64.Inst) uint8  { return in.ModRM&7 | in.Rex&rexB<<3 }
func isReg(in amd64.Inst) bool     { return in.ModRM>>6 == 3 }

// immediate returns the immediate of an instruction, sign-extended.
func immediate(in amd64.Inst, code []byte) uint64 {
	b := code[in.ImmOff:]
	switch in.ImmLen {
	case 1:
		return uint64(int8(b[0]))
	case 2:
		return uint64(int16(binary.LittleEndian.Uint16(b)))
	case 4:
		return uint64(int32(binary.LittleEndian.Uint32(b)))
	case 8:
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// narrow is what a write of v leaves in a register: without REX.W the upper
// half is cleared.
func narrow(in amd64.Inst, v value) value {
	if in.Rex&rexW == 0 {
		v.v = uint64(uint32(v.v))
	}
	return v
}

// step applies the instruction in front of address next.
func (r *registers) step(in amd64.Inst, code []byte, next uint64) {
	switch {
	case in.Enc != amd64.Legacy:
		r.forgetAll()
	case in.Map == 1:
		r.stepTwoByte(in)
	case in.Map == 0 && in.Op == 0x90 && in.Rex == 0: // NOP, also with prefix
	case in.Map == 0 && in.Prefixes == 0:
		if !r.load(in, code, next) && !r.overwrite(in) && !harmless(in) {
			r.forgetAll()
		}
	default:
		r.forgetAll()
	}
}

// stepTwoByte applies an instruction of the 0F map.
func (r *registers) stepTwoByte(in amd64.Inst) {
	switch op := in.Op; {
	case op == 0x1F || op>>4 == 8: // NOP, Jcc
	case op == 0x10 || op == 0x11 || op == 0x28 || op == 0x29 || op == 0x57 ||
		op == 0x6F || op == 0x7F || op == 0xEF: // moves and XOR of vector registers
	case op == 0xAF || op == 0xB6 || op == 0xB7 || op == 0xBE || op == 0xBF || op>>4 == 4:
		r[regField(in)] = value{} // IMUL, MOVZX, MOVSX, CMOVcc
	default:
		r.forgetAll()
	}
}

// load applies the instructions that give a register a value that can be known.
func (r *registers) load(in amd64.Inst, code []byte, next uint64) bool {
	switch op := in.Op; {
	case op == 0x8D: // LEA
		r[regField(in)] = value{}
		if in.RIPRelative() && in.Rex&rexW != 0 {
			d := int32(binary.LittleEndian.Uint32(code[in.DispOff:]))
			r[regField(in)] = value{next + uint64(d), true}
		}
	case op >= 0xB8 && op <= 0xBF: // MOV imm to register
		r[op&7|in.Rex&rexB<<3] = narrow(in, value{immediate(in, code), true})
	case op == 0xC7 && isReg(in) && in.ModRM>>3&7 == 0: // MOV imm32 to register
		r[rmField(in)] = narrow(in, value{immediate(in, code), true})
	case (op == 0x31 || op == 0x33) && isReg(in) && regField(in) == rmField(in): // XOR with itself
		r[rmField(in)] = value{0, true}
	case op == 0x89 && isReg(in): // MOV register to r/m
		r[rmField(in)] = narrow(in, r[regField(in)])
	case op == 0x8B && isReg(in): // MOV r/m to register
		r[regField(in)] = narrow(in, r[rmField(in)])
	default:
		return false
	}
	return true
}

// overwrite applies the instructions that write one register, or memory, and
// what they write is not followed.
func (r *registers) overwrite(in amd64.Inst) bool {
	sub := in.ModRM >> 3 & 7
	switch op := in.Op; {
	case op < 0x38 && op&7 == 1, (op == 0x81 || op == 0x83) && sub != 7, op == 0xFF && sub <= 1,
		op == 0x89, op == 0xC7 && sub == 0: // arithmetic and MOV into r/m
		if isReg(in) {
			r[rmField(in)] = value{}
		}
	case op == 0x88, op == 0xC6 && sub == 0, op == 0x80 && sub != 7: // the same, one byte
		if isReg(in) {
			r.forgetByte(rmField(in), in.Rex)
		}
	case op < 0x38 && op&7 == 3, op == 0x8B, op == 0x63: // arithmetic, MOV, MOVSXD into a register
		r[regField(in)] = value{}
	case op == 0x8A:
		r.forgetByte(regField(in), in.Rex)
	case op >= 0x58 && op <= 0x5F: // POP
		r[op&7|in.Rex&rexB<<3] = value{}
	default:
		return false
	}
	return true
}

// harmless says whether the instruction writes no register that is followed.
func harmless(in amd64.Inst) bool {
	sub := in.ModRM >> 3 & 7
	switch op := in.Op; {
	case op >= 0x38 && op <= 0x3D, (op == 0x80 || op == 0x81 || op == 0x83) && sub == 7: // CMP
		return true
	case op == 0x84 || op == 0x85 || op == 0xA8 || op == 0xA9, (op == 0xF6 || op == 0xF7) && sub <= 1: // TEST
		return true
	case op>>4 == 7, op >= 0x50 && op <= 0x57, op == 0xFF && sub == 6: // Jcc, PUSH
		return true
	}
	return false
}
