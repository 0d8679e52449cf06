package amd64

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrNoImmediate: the value is one that the key can have, but no instruction of
// the same length stands for it. The site reads memory as long as the key has it.
var ErrNoImmediate = errors.New("no instruction of the same length holds the value")

// prefixDS lengthens an armed form to the length of the original. In 64-bit mode
// the segment overrides CS, DS, ES and SS have no effect, and AMD counts any
// number of them as null prefixes (APM vol. 3, 1.2.4; the exception made there,
// Upper Address Ignore, is about memory operands, of which an armed form has
// none). With Intel the base of DS is 0 in 64-bit mode, for memory operands, too
// (SDM vol. 1, 3.7.4.1), and 3E means something else only before branches (SDM
// vol. 2, 2.1.1). A REX must stay next to the opcode (SDM vol. 2, 2.2.1), so
// these prefixes stand in front of it.
const prefixDS = 0x3E

// prefixMax is how many of them an instruction may have. Decoders of some CPUs
// are slow with many.
const prefixMax = 4

// Armed returns the instruction of the same length as orig that stands for the
// value v of the key. orig must be an instruction of the form f. Of a compare only
// the conditions in conds are read; for other forms conds means nothing, nor for
// CmpByte, whose armed form answers all conditions but the two on parity.
//
// The error wraps [ErrNoImmediate] where v is a value of the key that has no such
// instruction. Values of 4 bytes are taken with a sign or without.
func Armed(f Form, orig Code, conds Conds, v int64) (Code, error) {
	in, err := check(f, orig, v)
	if err != nil {
		return Code{}, err
	}
	if !holds(f, conds, v) {
		return Code{}, fmt.Errorf("amd64: [%v] (%v) with %d: %w; let it read memory meanwhile", orig, f, v, ErrNoImmediate)
	}
	switch f {
	case CmpByte:
		return testPair[v&1].code(orig.N), nil
	case CmpLong, CmpQuad:
		return armedCompare(f, orig, in, conds, v)
	}
	return armedMove(f, in, v), nil
}

// holds reports whether the value fits, as far as that does not depend on the
// constant of a compare.
func holds(f Form, conds Conds, v int64) bool {
	switch f {
	case CmpByte:
		return (v == 0 || v == 1) && conds&parity == 0
	case MovzxByte:
		return v >= 0
	case MovQuad:
		return v == int64(int32(v))
	}
	return true
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
	rex |= in.Reg() >> 3 * rexB
	if rex != rexBase {
		c.B[c.N] = rex
		c.N++
	}
	c.B[c.N], c.B[c.N+1] = 0xC7, 0xC0|in.Reg()&7
	binary.LittleEndian.PutUint32(c.B[c.N+2:], uint32(v))
	c.N += 6
	return c
}

// Diff returns the span of bytes in which two codes differ; n is 0 if they are
// equal. Codes of different lengths differ in all bytes.
func Diff(a, b Code) (off, n int) {
	if a.N != b.N {
		return 0, int(max(a.N, b.N))
	}
	x, y := a.Bytes(), b.Bytes()
	end := len(x)
	for off < end && x[off] == y[off] {
		off++
	}
	if off == end {
		return 0, 0
	}
	for x[end-1] == y[end-1] {
		end--
	}
	return off, end - off
}

// cmpByte is what Decode returns for each instruction of that form.
var cmpByte = Inst{Len: 7, Op: 0x80, HasModRM: true, ModRM: 0x3D, DispOff: 2, DispLen: 4, ImmOff: 6, ImmLen: 1}

// parse decodes orig and makes sure that it is of the form f.
func parse(f Form, orig Code) (Inst, error) {
	if f == CmpByte && orig.N == cmpByte.Len && orig.B[0] == cmpByte.Op && orig.B[1] == cmpByte.ModRM && orig.B[cmpByte.ImmOff] == 0 {
		return cmpByte, nil // 100,000 sites may be asked about, and most are such
	}
	got, in, _ := Recognize(orig.Bytes())
	if got == FormNone || got != f || in.Len != orig.N {
		return Inst{}, fmt.Errorf("amd64: [%v] is not one instruction of the form %v (found: %v); leave it as it is",
			orig, f, got)
	}
	return in, nil
}

// check parses orig and makes sure that v is a value of the key's width.
func check(f Form, orig Code, v int64) (Inst, error) {
	in, err := parse(f, orig)
	if err != nil {
		return Inst{}, err
	}
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	if bits := 8 * f.Width(); bits < 64 {
		low, high = -1<<(bits-1), 1<<bits-1
	}
	if v < low || v > high {
		return Inst{}, fmt.Errorf("amd64: [%v] (%v) reads %d bytes: expected a value from %d to %d, got %d; give the key's value",
			orig, f, f.Width(), low, high, v)
	}
	return in, nil
}
