package amd64

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/quietpatch/quietpatch/internal/insn/amd64/exectest"
)

// compares returns compares with constants of every kind, of all encodings that
// can hold them.
func compares() (all []Code) {
	for _, k := range []int32{0, 1, 3, 127, 128, 1000, 1<<31 - 1, -1, -128, -129, -1 << 31} {
		imm := binary.LittleEndian.AppendUint32(nil, uint32(k))
		for _, rex := range [][]byte{nil, {0x48}} {
			all = append(all, Code{N: uint8(10 + len(rex))})
			copy(all[len(all)-1].B[:], join(rex, []byte{0x81, 0x3D, 0, 0, 0, 0}, imm))
			if k == int32(int8(k)) {
				all = append(all, Code{N: uint8(7 + len(rex))})
				copy(all[len(all)-1].B[:], join(rex, []byte{0x83, 0x3D, 0, 0, 0, 0}, imm[:1]))
			}
		}
	}
	return all
}

// around returns values of the form's width at which outcomes change.
func around(f Form, k int64) (all []int64) {
	for _, v := range []int64{
		k - 1, k, k + 1, 0, 1, -1, 0xF, 0x10, -k, k + 1<<31, k - 1<<31, 0x12345678,
		math.MaxInt32, math.MinInt32, math.MaxUint32, math.MaxInt64, math.MinInt64, k + math.MinInt64,
	} {
		if f == CmpLong {
			v = int64(int32(v))
		}
		all = append(all, v)
	}
	return all
}

// TestExecuteIntegerCompares runs compares with constants, for every condition, on
// values around the constants.
func TestExecuteIntegerCompares(t *testing.T) {
	armed, refused := 0, 0
	for _, orig := range compares() {
		f, in, ok := Recognize(orig.Bytes())
		if !ok {
			t.Fatalf("[%v] is no form", orig)
		}
		for _, v := range around(f, constant(orig, in)) {
			for _, conds := range condSets() {
				_, err := Armed(f, orig, conds, v)
				if err == nil {
					armed++
					continue
				}
				refused++
				if !errors.Is(err, ErrNoImmediate) || conds&^sureSigned == 0 || conds&^sureUnsigned == 0 {
					t.Errorf("%v", err)
				}
			}
		}
		runCompares(t, f, orig, around(f, constant(orig, in)), condSets())
	}
	t.Logf("%d armed, %d not", armed, refused)
	if armed < 10_000 || refused < 1000 || refused > armed/3 {
		t.Errorf("%d armed and %d not: expected others", armed, refused)
	}
}

// sureUnsigned are the conditions that one asks for unsigned numbers.
const sureUnsigned Conds = 0x3F << condB

// condSets are all conditions but those on parity, alone and two by two, and
// what one would ask for a number: everything signed, everything unsigned.
func condSets() (all []Conds) {
	for a := range uint8(16) {
		for b := range a + 1 {
			if c := Conds(1<<a | 1<<b); c&parity == 0 {
				all = append(all, c)
			}
		}
	}
	return append(all, sureSigned, sureUnsigned)
}

// runCompares executes the original for each value and the armed form of each
// condition, and compares the answers; Emulate must know all flags.
func runCompares(t *testing.T, f Form, orig Code, values []int64, conds []Conds) {
	t.Helper()
	executed := map[Code]uint64{}
	for _, v := range values {
		in := exectest.State{RFLAGS: uint64(v) & arithmeticFlags} // any: a compare writes all
		was := execute(t, orig, v, in).RFLAGS & arithmeticFlags
		emulation, err := Emulate(f, orig, v)
		if err != nil || emulation.FlagsSet != was || emulation.FlagsClear != arithmeticFlags || emulation.Reg != NoReg {
			t.Errorf("[%v] with %d: Emulate says %+v, %v, the CPU leaves flags %#x", orig, v, emulation, err, was)
		}
		for _, c := range conds {
			armed, err := Armed(f, orig, c, v)
			if err != nil {
				continue
			}
			is, known := executed[armed]
			if !known {
				out := execute(t, armed, v, in)
				sameRegs(t, armed.String(), out, in)
				is = out.RFLAGS
				executed[armed] = is
			}
			for cc := range uint8(16) {
				if c>>cc&1 != 0 && cpuAnswer(t, cc, is) != cpuAnswer(t, cc, was) {
					t.Errorf("[%v] with %d: condition %s is %v, with [%v] %v",
						orig, v, condNames[cc], cpuAnswer(t, cc, was), armed, cpuAnswer(t, cc, is))
				}
			}
		}
	}
}

// TestExecuteCompareOnStacks runs compares on new goroutines, at many depths of
// their stacks and with every low byte of RSP, because the armed forms read it.
func TestExecuteCompareOnStacks(t *testing.T) {
	seen := map[uint64]bool{}
	for n := range 4 {
		t.Run(fmt.Sprint(n), func(t *testing.T) { deep(t, 20, seen) })
	}
	for n := range 32 {
		narrow(31, n, func() { compareHere(t, seen) })
	}
	if len(seen) != 32 {
		t.Errorf("%d values of SPL were met, expected all 32 multiples of 8", len(seen))
	}
}

// deep calls itself with large frames between the calls.
func deep(t *testing.T, n int, seen map[uint64]bool) byte {
	var frame [2081]byte
	frame[n] = byte(n)
	if n == 0 {
		return frame[0]
	}
	compareHere(t, seen)
	return frame[n] + deep(t, n-1, seen)
}

// narrow makes n calls and then that of f. The frames of wide of them have 8 bytes more than
// the others, so that all multiples of 8 come by, whatever the frames are.
//
//go:noinline
func narrow(n, wide int, f func()) (b byte) {
	var frame [8]byte
	frame[n&7] = 1
	switch {
	case n == 0:
		f()
	case n <= wide:
		b = wider(n-1, wide, f)
	default:
		b = narrow(n-1, wide, f)
	}
	return b + frame[wide&7]
}

//go:noinline
func wider(n, wide int, f func()) (b byte) {
	var frame [16]byte
	frame[n&7] = 1
	switch {
	case n == 0:
		f()
	case n <= wide:
		b = wider(n-1, wide, f)
	default:
		b = narrow(n-1, wide, f)
	}
	return b + frame[wide&7]
}

func compareHere(t *testing.T, seen map[uint64]bool) {
	nop := execute(t, Code{N: 1, B: [MaxLen]byte{0x90}}, 0, exectest.State{})
	seen[nop.Reg[regSP]&0xFF] = true
	for v := range int64(2) {
		checkExecution(t, CmpByte, Code{N: 7, B: [MaxLen]byte{0x80, 0x3D}}, ^parity, v)
	}
	all := []Conds{1 << condE, 1 << condG, 1 << condL, 1 << condB, 1 << condA}
	for _, orig := range []Code{{N: 7, B: [MaxLen]byte{0x83, 0x3D, 6: 9}}, {N: 11, B: [MaxLen]byte{0x48, 0x81, 0x3D, 8: 1}}} {
		f, in, _ := Recognize(orig.Bytes())
		k := constant(orig, in)
		runCompares(t, f, orig, []int64{k - 1, k, k + 1}, all)
	}
}

// FuzzCompare: whatever Armed makes of a compare answers all that is asked as the
// original does when the CPU runs both; Emulate knows all flags.
func FuzzCompare(f *testing.F) {
	f.Add(byte(0), int32(3), int64(3), uint16(1<<condE))
	f.Add(byte(1), int32(1000), int64(-1), uint16(1<<condL|1<<condE))
	f.Add(byte(2), int32(-1), int64(math.MinInt64), uint16(less))
	f.Add(byte(3), int32(-1<<31), int64(math.MaxInt64), uint16(3<<condB))
	f.Fuzz(func(t *testing.T, kind byte, k int32, v int64, conds uint16) {
		var code []byte
		form := CmpLong
		if kind&2 != 0 {
			code, form = []byte{0x48}, CmpQuad
		} else {
			v = int64(int32(v))
		}
		if kind&1 != 0 {
			code = binary.LittleEndian.AppendUint32(append(code, 0x81, 0x3D, 0, 0, 0, 0), uint32(k))
		} else {
			code = append(code, 0x83, 0x3D, 0, 0, 0, 0, byte(k))
		}
		runCompares(t, form, codeOf(t, code), []int64{v}, []Conds{Conds(conds)})
	})
}
