package amd64

// Encoding is the way in which an instruction names its opcode map.
type Encoding uint8

// The encodings.
const (
	Legacy Encoding = iota // no VEX-like prefix
	VEX                    // C4 and C5
	EVEX                   // 62
	XOP                    // 8F with a map number of 8 or more (AMD)
)

// Prefix is a set of legacy prefixes.
type Prefix uint8

// The legacy prefixes. The SIMD prefix that VEX, EVEX and XOP hold in their
// pp field is not among them.
const (
	OpSize   Prefix = 1 << iota // 66
	AddrSize                    // 67
	Rep                         // F3
	RepNE                       // F2
	Lock                        // F0
	Segment                     // 26, 2E, 36, 3E, 64, 65
)

// The bits of a REX prefix (Intel SDM vol. 2, 2.2.1.2).
const (
	rexBase = 0x40
	rexB    = 0x01
	rexR    = 0x04
	rexW    = 0x08
)

// Inst is one decoded instruction. The offsets count from its first byte.
type Inst struct {
	Len      uint8
	Enc      Encoding
	Map      uint8 // opcode map: 0 one-byte, 1 0F, 2 0F38, 3 0F3A; else as the prefix says
	Op       byte  // last byte of the opcode; for 3DNow! 0F, its suffix is the immediate
	Rex      byte  // the REX prefix in force, 0 = none; only with Legacy
	Prefixes Prefix

	HasModRM bool
	ModRM    byte

	DispOff, DispLen uint8 // displacement, or the address of MOV moffs
	ImmOff, ImmLen   uint8 // all immediates together; branch offsets are immediates
}

// RIPRelative reports whether the memory operand is addressed relative to the
// end of the instruction. With an address-size prefix the operand is relative
// to EIP, which is something else.
func (in Inst) RIPRelative() bool {
	// DispLen: in MOV to and from control registers the same ModRM names a register.
	return in.HasModRM && in.ModRM&0xC7 == 0x05 && in.DispLen == 4 && in.Prefixes&AddrSize == 0
}

// Cond returns the condition code of a Jcc, SETcc or CMOVcc.
func (in Inst) Cond() (cc byte, ok bool) {
	if in.Enc != Legacy {
		return 0, false
	}
	switch {
	case in.Map == 0 && in.Op&0xF0 == 0x70, // Jcc rel8
		in.Map == 1 && in.Op&0xF0 == 0x40, // CMOVcc
		in.Map == 1 && in.Op&0xF0 == 0x80, // Jcc rel32
		in.Map == 1 && in.Op&0xF0 == 0x90: // SETcc
		return in.Op & 0x0F, true
	}
	return 0, false
}

// Reg returns the register number in ModRM.reg, extended by REX.R.
func (in Inst) Reg() uint8 {
	return in.ModRM>>3&7 | in.Rex&rexR<<1
}
