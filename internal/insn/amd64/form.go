package amd64

import (
	"encoding/binary"
	"fmt"
)

// MaxLen is the length of the longest instruction that is replaced.
const MaxLen = 11

// Code holds the bytes of one instruction.
type Code struct {
	B [MaxLen]byte
	N uint8
}

// Bytes returns the bytes of the instruction. They are those of c, not a copy.
func (c *Code) Bytes() []byte { return c.B[:min(c.N, MaxLen)] }

// String returns the bytes in hexadecimal.
func (c Code) String() string { return fmt.Sprintf("% x", c.Bytes()) }

// Form is a kind of instruction that can be replaced by one of the same length: one
// that reads a key from memory, RIP-relative, by one that holds the value; a direct call
// by one that goes elsewhere.
type Form uint8

// The forms, with the bytes of the original and of the armed instruction. In
// the originals d32 is the displacement, in the armed ones r is the register.
const (
	FormNone  Form = iota
	CmpByte        // 80 3D d32 00             48 F7 C4 07 00 00 xx        CMPB $0, key    -> TESTQ $imm, SP
	MovzxByte      // [44|48|4C] 0F B6 /r d32  [3E] (48|49) C7 C0+r imm32  MOVBLZX key, r  -> MOVQ $imm, r
	MovLong        // [44] 8B /r d32           [41] C7 C0+r imm32          MOVL key, r     -> MOVL $imm, r
	MovQuad        // (48|4C) 8B /r d32        (48|49) C7 C0+r imm32       MOVQ key, r     -> MOVQ $imm, r
	MovslQuad      // (48|4C) 63 /r d32        (48|49) C7 C0+r imm32       MOVLQSX key, r  -> MOVQ $imm, r
	CmpLong        // 83 3D d32 ib, 81 3D d32 id        see compare.go     CMPL key, $imm  -> TEST or CMP with SP
	CmpQuad        // 48 83 3D d32 ib, 48 81 3D d32 id  see compare.go     CMPQ key, $imm  -> TEST or CMP with SP
	CallRel        // E8 d32                   E8 d32, 0F 1F 44 00 00      CALL forwarder  -> CALL callee, NOP (call.go)
	JumpRel        // E9 d32                   E9 d32                      JMP forwarder   -> JMP callee
)

// String returns the name of the form, as it stands in JSON output.
func (f Form) String() string {
	switch f {
	case FormNone:
		return "none"
	case CmpByte:
		return "cmp-byte"
	case MovzxByte:
		return "movzx-byte"
	case MovLong:
		return "mov-long"
	case MovQuad:
		return "mov-quad"
	case MovslQuad:
		return "movsl-quad"
	case CmpLong:
		return "cmp-long"
	case CmpQuad:
		return "cmp-quad"
	case CallRel:
		return "call"
	case JumpRel:
		return "jump"
	}
	return fmt.Sprintf("form-%d", uint8(f))
}

// Width returns how many bytes the original reads from memory, 0 for a call.
func (f Form) Width() int {
	switch f {
	case CmpByte, MovzxByte:
		return 1
	case MovLong, MovslQuad, CmpLong:
		return 4
	case MovQuad, CmpQuad:
		return 8
	}
	return 0
}

// Compares reports whether the form leaves flags, and no register.
func (f Form) Compares() bool { return f == CmpByte || f == CmpLong || f == CmpQuad }

// regSP is the number of RSP. No form writes it: the armed form would be right,
// but a site that moves the stack pointer is nothing that a compiler emits.
const regSP = 4

// Recognize reports whether the instruction at code[0] is one of the forms.
// Another prefix, another operand or another encoding of the same operation is
// none: such a site goes on reading memory.
func Recognize(code []byte) (Form, Inst, bool) {
	if !mayBeForm(code) {
		return FormNone, Inst{}, false
	}
	in, err := Decode(code)
	if err != nil {
		return FormNone, Inst{}, false
	}
	f := RecognizeInst(in, code)
	if f == FormNone {
		return FormNone, Inst{}, false
	}
	return f, in, true
}

// RecognizeInst is Recognize for an instruction that is decoded already.
func RecognizeInst(in Inst, code []byte) Form {
	if !mayBeForm(code) || !in.RIPRelative() || !plain(in) {
		return FormNone
	}
	return formOf(in, code)
}

// mayBeForm looks at the first byte only: nearly all of text ends here. It
// lets through the opcodes, and of the REX prefixes those with W, R or both.
// REX.B and REX.X have no meaning with a RIP-relative operand, so compilers do
// not set them.
func mayBeForm(code []byte) bool {
	if len(code) == 0 {
		return false
	}
	switch code[0] {
	case 0x80, 0x81, 0x83, 0x0F, 0x8B, rexBase | rexR, rexBase | rexW, rexBase | rexW | rexR:
		return true
	}
	return false
}

// plain reports whether nothing stands before the opcode but the REX in force.
// A second REX is ignored by the CPU, but makes the instruction longer than its
// form says.
func plain(in Inst) bool {
	beforeDisp := in.Map + 2 // escape, opcode, ModRM
	if in.Rex != 0 {
		beforeDisp++
	}
	return in.DispOff == beforeDisp
}

// formOf tells the forms apart by opcode and REX.
func formOf(in Inst, code []byte) Form {
	switch {
	case in.Map == 0 && in.Op >= 0x80 && in.Op <= 0x83:
		return compareOf(in, code)
	case in.Reg() == regSP:
	case in.Map == 1 && in.Op == 0xB6:
		return MovzxByte
	case in.Map == 0 && in.Op == 0x63 && in.Rex&rexW != 0:
		return MovslQuad
	case in.Map == 0 && in.Op == 0x8B:
		if in.Rex&rexW != 0 {
			return MovQuad
		}
		return MovLong
	}
	return FormNone
}

// compareOf tells the compares from the other instructions of group 1, of
// which CMP is /7.
func compareOf(in Inst, code []byte) Form {
	switch {
	case in.Reg() != 7 || in.Op == 0x82:
	case in.Op == 0x80:
		if in.Rex == 0 && code[in.ImmOff] == 0 {
			return CmpByte
		}
	case in.Rex == 0:
		return CmpLong
	case in.Rex == rexBase|rexW:
		return CmpQuad
	}
	return FormNone
}

// Target returns the address that the RIP-relative operand of the instruction
// in at addr refers to; code holds its bytes. It returns 0 when the operand is
// not RIP-relative or code is too short.
func Target(addr uint64, in Inst, code []byte) uint64 {
	if !in.RIPRelative() || len(code) < int(in.DispOff)+4 {
		return 0
	}
	disp := int32(binary.LittleEndian.Uint32(code[in.DispOff:]))
	return addr + uint64(in.Len) + uint64(int64(disp))
}
