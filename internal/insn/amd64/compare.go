package amd64

import (
	"encoding/binary"
	"fmt"
)

// An armed compare must not read the key, may not write a register, and must
// leave flags that answer what is asked of them. The only register of which
// something is known at every site is RSP. Sites lie in compiled Go code outside of
// runtime and internal (package site sees to that), which runs on goroutine stacks
// and on no other, and those are Go heap:
//
//   - it is a multiple of 8;
//   - it is at least 2^24: the heap does not lie lower;
//   - it is less than 2^56: user space ends there or, with 4-level paging, at 2^47
//     (Linux, Documentation/arch/x86/x86_64/mm.rst).
//
// What follows from that: (1) RSP&7 is 0. (2) RSP&0xFFFFFFFFFF000007 is positive.
// (3) RSP is above 0, and below 0xFFFFFFFFFF000000 as an unsigned number, and the
// differences are positive. (4) ESP, taken as a signed number, is less than
// 0x7FFFFFFF, and SPL less than 0x7F, because those are no multiples of 8, and
// nothing of that size is greater. (5) SPL is not less than -0x80, because nothing is.
//
// TEST clears CF and OF (Intel SDM vol. 2, TEST). AF is never sure, PF not worth it.

// sureTest are the instructions that are tried. Two that differ in one byte stand next
// to each other.
type sureTest struct {
	op     [3]byte // REX, opcode, ModRM
	imm    uint32
	immLen uint8
	flags  uint64 // the flags that it leaves, as far as the conditions in sure tell
	sure   Conds  // the conditions of which the answer is known
}

// The conditions that are known of a test, by what of its flags is.
const (
	sureAll    = ^parity
	sureSigned = less | 1<<condE | 1<<condNE | 1<<condLE | 1<<condG
	less       = Conds(1<<condL | 1<<condGE)
)

// testPair[0] leaves the flags of a compare of equals, testPair[1] of a greater
// number with a lower one, with and without signs.
var testPair = [...]sureTest{
	{[3]byte{0x48, 0xF7, 0xC4}, 0x00000007, 4, flagZF, sureAll}, // TESTQ $7, SP (1)
	{[3]byte{0x48, 0xF7, 0xC4}, 0xFF000007, 4, 0, sureAll},      // TESTQ $-0xFFFFF9, SP (2)
}

// belowPair answers what unsigned numbers of less and not less are asked.
var belowPair = [...]sureTest{
	{[3]byte{0x48, 0x81, 0xFC}, 0x00000000, 4, 0, sureAll},      // CMPQ SP, $0 (3)
	{[3]byte{0x48, 0x81, 0xFC}, 0xFF000000, 4, flagCF, sureAll}, // CMPQ SP, $-0x1000000 (3)
}

// lessPair does that for signed numbers. Seven bytes and more are reached with
// three prefixes, ten are not.
var lessPair = [...]sureTest{
	{[3]byte{0x40, 0x80, 0xFC}, 0x80, 1, 0, less},            // CMPB SPL, $-0x80 (5)
	{[3]byte{0x40, 0x80, 0xFC}, 0x7F, 1, flagSF, sureSigned}, // CMPB SPL, $0x7F (4)
}

// lessLong is lessPair[1] for any length.
var lessLong = sureTest{[3]byte{0x40, 0x81, 0xFC}, 0x7FFFFFFF, 4, flagSF, sureSigned} // CMPL SP, $0x7FFFFFFF (4)

// pairs says which of them serves for every value, where no more than these
// conditions are read: only one byte ever changes there.
var pairs = [...]struct {
	conds Conds
	tests *[2]sureTest
}{
	{1<<condE | 1<<condNE, &testPair},
	{1<<condLE | 1<<condG, &testPair},
	{1<<condBE | 1<<condA, &testPair},
	{1<<condB | 1<<condAE, &belowPair},
	{less, &lessPair},
}

// mixed are tried, in this order, where no pair serves.
var mixed = [...]*sureTest{&testPair[0], &testPair[1], &belowPair[1], &lessLong}

// armedCompare picks the instruction for a compare.
func armedCompare(f Form, orig Code, in Inst, conds Conds, v int64) (Code, error) {
	if conds == 0 {
		return Code{}, fmt.Errorf("amd64: [%v] (%v): no condition is given that reads its flags; leave it as it is", orig, f)
	}
	real := holding(compareFlags(f, orig, in, v))
	if t := pick(conds, real, orig.N); t != nil {
		return t.code(orig.N), nil
	}
	return Code{}, fmt.Errorf("amd64: [%v] (%v) with %d, asked for %v: %w; let it read memory meanwhile",
		orig, f, v, conds, ErrNoImmediate)
}

// pick returns the instruction of n bytes that answers conds as real does, or nil.
func pick(conds, real Conds, n uint8) *sureTest {
	for i := range pairs {
		if p := &pairs[i]; conds&^p.conds == 0 && n <= p.tests[0].length()+prefixMax {
			if p.tests[0].answers(conds, real) {
				return &p.tests[0]
			}
			return &p.tests[1]
		}
	}
	for _, t := range mixed {
		if t.answers(conds, real) {
			return t
		}
	}
	return nil
}

// answers reports whether each of conds holds behind t if and only if it is in real.
func (t *sureTest) answers(conds, real Conds) bool {
	return conds&^t.sure == 0 && (holding(t.flags)^real)&conds == 0
}

func (t *sureTest) length() uint8 { return uint8(len(t.op)) + t.immLen }

// code returns t with prefixes, n bytes long.
func (t *sureTest) code(n uint8) Code {
	c := Code{N: n}
	at := n - t.length()
	for i := range at {
		c.B[i] = prefixDS
	}
	copy(c.B[at:], t.op[:])
	at += uint8(len(t.op))
	if t.immLen == 1 {
		c.B[at] = byte(t.imm)
	} else {
		binary.LittleEndian.PutUint32(c.B[at:], t.imm)
	}
	return c
}
