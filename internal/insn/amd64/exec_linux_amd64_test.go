package amd64

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/quietpatch/quietpatch/internal/insn/amd64/exectest"
)

// comparedFlags are those on which an armed compare must agree with the original.
const comparedFlags = flagZF | flagSF | flagCF | flagOF

// execute runs one instruction whose operand, if it is RIP-relative, is the
// start of the data, which holds v.
func execute(t *testing.T, c Code, v int64, in exectest.State) exectest.State {
	t.Helper()
	page, err := exectest.NewPage()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := page.Close(); err != nil {
			t.Error(err)
		}
	}()
	if d, err := Decode(c.Bytes()); err == nil && d.RIPRelative() {
		binary.LittleEndian.PutUint32(c.B[d.DispOff:], uint32(page.DataOffset()-int(d.Len)))
		data := uint64(page.DataOffset()) + page.Addr()
		if got := Target(page.Addr(), d, c.Bytes()); got != data {
			t.Fatalf("Target says %#x, the data is at %#x", got, data)
		}
	}
	binary.LittleEndian.PutUint64(page.Data(), uint64(v))
	if err := page.Seal(c.Bytes()); err != nil {
		t.Fatal(err)
	}
	out, err := page.Run(in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// states are the registers and flags that each instruction is run with: all
// flags clear and all set, registers with and without high bits.
func states() (all []exectest.State) {
	for _, flags := range []uint64{0, arithmeticFlags} {
		for _, fill := range []uint64{0, 0xA5A5_5A5A_F00D_0000} {
			s := exectest.State{RFLAGS: flags}
			for r := range s.Reg {
				s.Reg[r] = fill + uint64(r)
			}
			all = append(all, s)
		}
	}
	return all
}

// sameRegs compares all registers. RSP is the same for the same depth of calls.
func sameRegs(t *testing.T, what string, got, want exectest.State) {
	t.Helper()
	for r := range got.Reg {
		if got.Reg[r] != want.Reg[r] && r != regSP {
			t.Errorf("%s: register %d is %#x, want %#x", what, r, got.Reg[r], want.Reg[r])
		}
	}
}

// predict applies an Emulation.
func predict(in exectest.State, e Emulation) exectest.State {
	in.RFLAGS = in.RFLAGS&^e.FlagsClear | e.FlagsSet
	if e.Reg != NoReg {
		in.Reg[e.Reg] = e.Value
	}
	return in
}

// checkExecution runs original and armed form, and compares both with each
// other and with Emulate.
func checkExecution(t *testing.T, f Form, orig Code, v int64) {
	t.Helper()
	armed, err := Armed(f, orig, v)
	if err != nil {
		t.Fatal(err)
	}
	emulation, err := Emulate(f, orig, v)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range states() {
		what := fmt.Sprintf("%v [%v] -> [%v], value %d, flags %#x", f, orig, armed, v, in.RFLAGS)
		was, is, said := execute(t, orig, v, in), execute(t, armed, v, in), predict(in, emulation)
		sameRegs(t, what+", armed against original", is, was)
		sameRegs(t, what+", emulated against armed", said, is)
		mask, emulated := uint64(arithmeticFlags), uint64(arithmeticFlags)
		if f == CmpByte {
			mask, emulated = comparedFlags, arithmeticFlags&^flagAF
		}
		if is.RFLAGS&mask != was.RFLAGS&mask {
			t.Errorf("%s: flags %#x, the original leaves %#x", what, is.RFLAGS&mask, was.RFLAGS&mask)
		}
		if said.RFLAGS&emulated != is.RFLAGS&emulated {
			t.Errorf("%s: Emulate says flags %#x, the CPU %#x", what, said.RFLAGS&emulated, is.RFLAGS&emulated)
		}
	}
}

// TestExecuteTrampoline makes sure that the other tests measure something: the
// flags and registers that a known instruction leaves arrive, and g survives.
func TestExecuteTrampoline(t *testing.T) {
	for _, in := range states() {
		nop := execute(t, Code{N: 1, B: [MaxLen]byte{0x90}}, 0, in)
		sameRegs(t, "NOP", nop, in)
		if nop.RFLAGS&arithmeticFlags != in.RFLAGS {
			t.Errorf("NOP: flags %#x, want %#x", nop.RFLAGS&arithmeticFlags, in.RFLAGS)
		}
		if nop.Reg[regSP]%8 != 0 || nop.Reg[regSP]>>24 == 0 || nop.Reg[regSP]>>63 != 0 {
			t.Errorf("RSP is %#x: not what the armed compare rests on", nop.Reg[regSP])
		}
		stc := execute(t, Code{N: 1, B: [MaxLen]byte{0xF9}}, 0, in)
		if stc.RFLAGS&flagCF == 0 {
			t.Errorf("STC: flags %#x", stc.RFLAGS)
		}
		for r := range byte(16) {
			if r == regSP {
				continue
			}
			// MOV $0x12345678, r
			mov := Code{N: 7, B: [MaxLen]byte{0x48 | r>>3, 0xC7, 0xC0 | r&7, 0x78, 0x56, 0x34, 0x12}}
			want := in
			want.Reg[r] = 0x12345678
			sameRegs(t, fmt.Sprintf("MOV to register %d", r), execute(t, mov, 0, in), want)
		}
	}
	runtime.GC() // needs a sound g and stack
}

func TestExecuteCompare(t *testing.T) {
	orig := Code{N: 7, B: [MaxLen]byte{0x80, 0x3D}}
	for v := range int64(2) {
		checkExecution(t, CmpByte, orig, v)
	}
}

// TestExecuteCompareOnStacks runs the compare on new goroutines and at many
// depths of their stacks, because the armed form reads RSP.
func TestExecuteCompareOnStacks(t *testing.T) {
	orig := Code{N: 7, B: [MaxLen]byte{0x80, 0x3D}}
	for n := range 4 {
		t.Run(fmt.Sprint(n), func(t *testing.T) { deep(t, 50, orig) })
	}
}

// deep calls itself with odd frames between the calls.
func deep(t *testing.T, n int, orig Code) byte {
	var frame [2081]byte
	frame[n] = byte(n)
	if n == 0 {
		return frame[0]
	}
	if n%10 == 0 {
		for v := range int64(2) {
			checkExecution(t, CmpByte, orig, v)
		}
	}
	return frame[n] + deep(t, n-1, orig)
}

// TestExecuteMoves runs every register form with every register but RSP.
func TestExecuteMoves(t *testing.T) {
	values := map[Form][]int64{
		MovzxByte: {0, 1, 2, 0x7F, 0x80, 0xFF},
		MovLong:   {0, 1, -1, 0x7FFFFFFF, -0x80000000, 0xFFFFFFFF, 0x12345678},
		MovQuad:   {0, 1, -1, 0x7FFFFFFF, -0x80000000, 0x12345678},
	}
	ran := 0
	for _, orig := range moves() {
		in, err := Decode(orig.Bytes())
		if err != nil {
			t.Fatalf("[%v]: %v", orig, err)
		}
		if in.reg() == regSP {
			continue
		}
		f, _, _ := Recognize(orig.Bytes())
		for _, v := range values[f] {
			checkExecution(t, f, orig, v)
			ran++
		}
	}
	if want := 15 * (2*6 + 7 + 6); ran != want {
		t.Errorf("ran %d cases, want %d", ran, want)
	}
}
