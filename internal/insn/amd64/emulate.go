package amd64

import (
	"encoding/binary"
	"math/bits"
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

// NoReg in Emulation.Reg: no register is written.
const NoReg = 0xFF

// Emulation is what the original does besides advancing RIP.
type Emulation struct {
	Reg   uint8  // number of the register that is written, 0 to 15, or NoReg
	Value uint64 // its new value, all 64 bits
	// RFLAGS becomes RFLAGS &^ FlagsClear | FlagsSet.
	FlagsClear, FlagsSet uint64
}

// Emulate returns what orig, which must be of the form f, does when its key holds
// v: all flags of a compare, all bits of a register. It knows every value of the
// key's width, whether [Armed] does or not.
func Emulate(f Form, orig Code, v int64) (Emulation, error) {
	in, err := check(f, orig, v)
	if err != nil {
		return Emulation{}, err
	}
	e := Emulation{Reg: in.Reg()}
	switch f {
	case CmpByte, CmpLong, CmpQuad:
		return Emulation{Reg: NoReg, FlagsClear: arithmeticFlags, FlagsSet: compareFlags(f, orig, in, v)}, nil
	case MovzxByte:
		e.Value = uint64(uint8(v))
	case MovLong: // writing 32 bits of a register clears the others (Intel SDM vol. 1, 3.4.1.1)
		e.Value = uint64(uint32(v))
	case MovslQuad:
		e.Value = uint64(int64(int32(v)))
	default:
		e.Value = uint64(v)
	}
	return e, nil
}

// compareFlags returns the flags that the compare orig leaves when it reads v:
// those of v minus the constant (Intel SDM vol. 2, CMP).
func compareFlags(f Form, orig Code, in Inst, v int64) uint64 {
	width := 8 * f.Width()
	mask, sign := ^uint64(0)>>(64-width), uint64(1)<<(width-1)
	a, b := uint64(v)&mask, uint64(constant(orig, in))&mask
	d := (a - b) & mask
	var flags uint64
	if a < b {
		flags |= flagCF
	}
	if bits.OnesCount8(uint8(d))%2 == 0 {
		flags |= flagPF
	}
	if a&0xF < b&0xF {
		flags |= flagAF
	}
	if d == 0 {
		flags |= flagZF
	}
	if d&sign != 0 {
		flags |= flagSF
	}
	if (a^b)&(a^d)&sign != 0 {
		flags |= flagOF
	}
	return flags
}

// constant returns the immediate of a compare, which is sign-extended.
func constant(orig Code, in Inst) int64 {
	if in.ImmLen == 1 {
		return int64(int8(orig.B[in.ImmOff]))
	}
	return int64(int32(binary.LittleEndian.Uint32(orig.B[in.ImmOff:])))
}
