package amd64

import (
	"encoding/binary"
	"fmt"
	"math"
)

// RFLAGS bits (Intel SDM vol. 1, 3.4.3).
const (
	flagCF = 1 << 0
	flagPF = 1 << 2
	flagAF = 1 << 4
	flagZF = 1 << 6
	flagSF = 1 << 7
	flagOF = 1 << 11

	arithmeticFlags = flagCF | flagPF | flagAF | flagZF | flagSF | flagOF
)

// The armed CmpByte tests RSP against a mask. The low byte of the mask finds
// only bits that are 0 because RSP is a multiple of 8 in compiled Go code, so
// the mask 7 gives ZF=1. With FF in its high byte it is sign-extended to
// FFFFFFFF_FF000007 and meets the bits of RSP from 24 on, where every stack has
// one; SF is bit 63 of RSP, 0 in user space. TEST clears CF and OF (Intel SDM
// vol. 2, TEST), as comparing a byte of 0 or 1 with 0 does.
const (
	testMaskLow = 0x07
	testMaskOff = 0x00
	testMaskOn  = 0xFF
)

// prefixDS fills the armed form of an 8-byte original: without a memory operand
// a DS segment override does nothing.
const prefixDS = 0x3E

// NoReg in Emulation.Reg: no register is written.
const NoReg = 0xFF

// Emulation is what executing an armed form does besides advancing RIP.
type Emulation struct {
	Reg   uint8  // number of the register that is written, 0 to 15, or NoReg
	Value uint64 // its new value, all 64 bits
	// RFLAGS becomes RFLAGS &^ FlagsClear | FlagsSet. AF is among those cleared,
	// though TEST leaves it undefined.
	FlagsClear, FlagsSet uint64
}

// Armed returns the instruction of the same length as orig that holds v.
// orig must be an instruction of the form f.
func Armed(f Form, orig Code, v int64) (Code, error) {
	in, err := check(f, orig, v)
	if err != nil {
		return Code{}, err
	}
	if f == CmpByte {
		c := Code{N: 7, B: [MaxLen]byte{0x48, 0xF7, 0xC4, testMaskLow, 0, 0, testMaskOff}}
		if v != 0 {
			c.B[6] = testMaskOn
		}
		return c, nil
	}
	return armedMove(f, in, v), nil
}

// armedMove returns C7 /0 with the prefixes that the form and the register need.
func armedMove(f Form, in Inst, v int64) Code {
	var c Code
	if f == MovzxByte && in.Len == 8 {
		c.B[c.N] = prefixDS
		c.N++
	}
	rex := uint8(rexBase | rexW)
	if f == MovLong {
		rex = rexBase
	}
	rex |= in.reg() >> 3 * rexB
	if rex != rexBase {
		c.B[c.N] = rex
		c.N++
	}
	c.B[c.N], c.B[c.N+1] = 0xC7, 0xC0|in.reg()&7
	binary.LittleEndian.PutUint32(c.B[c.N+2:], uint32(v))
	c.N += 6
	return c
}

// ToggleOffset returns the offset, in the armed form of orig, of the byte that
// depends on the value, or of the first of four with MovLong and MovQuad. It
// returns -1 when orig is not of the form f.
func ToggleOffset(f Form, orig Code) int {
	in, err := parse(f, orig)
	switch {
	case err != nil:
		return -1
	case f == CmpByte:
		return 6
	}
	return int(in.Len) - 4
}

// Emulate returns what the armed form of orig that holds v does.
func Emulate(f Form, orig Code, v int64) (Emulation, error) {
	in, err := check(f, orig, v)
	if err != nil {
		return Emulation{}, err
	}
	switch f {
	case CmpByte:
		// The low byte of RSP & mask is 0 for both values, which is even parity.
		e := Emulation{Reg: NoReg, FlagsClear: arithmeticFlags, FlagsSet: flagPF}
		if v == 0 {
			e.FlagsSet |= flagZF
		}
		return e, nil
	case MovLong:
		return Emulation{Reg: in.reg(), Value: uint64(uint32(v))}, nil
	}
	return Emulation{Reg: in.reg(), Value: uint64(v)}, nil
}

// parse decodes orig and makes sure that it is of the form f.
func parse(f Form, orig Code) (Inst, error) {
	got, in, _ := Recognize(orig.Bytes())
	if got == FormNone || got != f || in.Len != orig.N {
		return Inst{}, fmt.Errorf("amd64: [%v] is not one instruction of the form %v (found: %v); leave it as it is",
			orig, f, got)
	}
	return in, nil
}

// check parses orig and makes sure that its armed form can hold v.
func check(f Form, orig Code, v int64) (Inst, error) {
	in, err := parse(f, orig)
	if err != nil {
		return Inst{}, err
	}
	low, high := int64(0), int64(1)
	switch f {
	case MovzxByte:
		high = math.MaxUint8
	case MovLong:
		low, high = math.MinInt32, math.MaxUint32
	case MovQuad:
		low, high = math.MinInt32, math.MaxInt32
	}
	if v < low || v > high {
		return Inst{}, fmt.Errorf("amd64: the armed form of [%v] (%v) holds %d to %d, not %d; leave the site reading memory",
			orig, f, low, high, v)
	}
	return in, nil
}
