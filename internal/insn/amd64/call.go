package amd64

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Direct calls and tail jumps are sites, too: five bytes, an opcode and the distance
// to the callee from the end of the instruction (Intel SDM vol. 2, CALL and JMP).

// CallLen is the length of a direct call, and of a jump of the same reach.
const CallLen = 5

const (
	opCall = 0xE8 // CALL rel32
	opJump = 0xE9 // JMP rel32
)

// nop5 is the NOP of five bytes that both manuals recommend (Intel SDM vol. 2, NOP;
// the kernel's BYTES_NOP5).
var nop5 = [CallLen]byte{0x0F, 0x1F, 0x44, 0x00, 0x00}

// Callee is where a call goes. The zero value is nowhere.
type Callee struct {
	Entry uint64
	// Nothing: a function without results that does nothing. A call of it may
	// become a NOP.
	Nothing bool
}

// Transfers reports whether the form is a call or a tail jump, not a read.
func (f Form) Transfers() bool { return f == CallRel || f == JumpRel }

// RecognizeCall reports whether the instruction at code[0] is a direct call or a jump
// of the same length.
func RecognizeCall(code []byte) (Form, bool) {
	if len(code) < CallLen {
		return FormNone, false
	}
	switch code[0] {
	case opCall:
		return CallRel, true
	case opJump:
		return JumpRel, true
	}
	return FormNone, false
}

// CallTarget returns where the direct call or jump code, which stands at addr, goes.
func CallTarget(addr uint64, code []byte) uint64 {
	return addr + CallLen + uint64(int64(int32(binary.LittleEndian.Uint32(code[1:]))))
}

// ArmedCall returns the instruction at addr that goes to the callee. A call of nothing
// is a NOP; a jump to nothing goes to its entry, which returns.
func ArmedCall(f Form, addr uint64, to Callee) (Code, error) {
	c := Code{N: CallLen}
	switch {
	case f == CallRel && to.Nothing:
		copy(c.B[:], nop5[:])
		return c, nil
	case f == CallRel:
		c.B[0] = opCall
	case f == JumpRel:
		c.B[0] = opJump
	default:
		return Code{}, fmt.Errorf("amd64: at %#x: %v is no call; leave it as it is", addr, f)
	}
	if to.Entry == 0 {
		return Code{}, fmt.Errorf("amd64: the call at %#x goes nowhere: %w; let it go by way of the forwarder", addr, ErrNoImmediate)
	}
	rel := int64(to.Entry - addr - CallLen)
	if rel < math.MinInt32 || rel > math.MaxInt32 {
		return Code{}, fmt.Errorf("amd64: a call at %#x reaches from %#x to %#x, not %#x: %w; let it go by way of the forwarder",
			addr, addr+CallLen-1<<31, addr+CallLen+math.MaxInt32, to.Entry, ErrNoImmediate)
	}
	binary.LittleEndian.PutUint32(c.B[1:], uint32(rel))
	return c, nil
}

// CallEmulation is what an armed call does: it goes on at Resume, with Push on the
// stack unless that is 0.
type CallEmulation struct{ Resume, Push uint64 }

// EmulateCall returns what code, standing at addr, does: a direct call, a direct
// jump or the NOP that stands for a call of nothing.
func EmulateCall(addr uint64, code Code) (CallEmulation, error) {
	next := addr + CallLen
	if code.N == CallLen {
		switch {
		case code.B[0] == opCall:
			return CallEmulation{Resume: CallTarget(addr, code.B[:]), Push: next}, nil
		case code.B[0] == opJump:
			return CallEmulation{Resume: CallTarget(addr, code.B[:])}, nil
		case [CallLen]byte(code.B[:CallLen]) == nop5:
			return CallEmulation{Resume: next}, nil
		}
	}
	return CallEmulation{}, fmt.Errorf("amd64: at %#x: [%v] is neither a direct call nor a jump; leave it as it is", addr, code)
}
