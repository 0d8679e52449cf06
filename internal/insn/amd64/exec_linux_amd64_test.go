package amd64

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/quietpatch/quietpatch/internal/insn/amd64/exectest"
)

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
func checkExecution(t *testing.T, f Form, orig Code, conds Conds, v int64) {
	t.Helper()
	armed, err := Armed(f, orig, conds, v)
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
		sameRegs(t, what+", emulated against original", said, was)
		if said.RFLAGS&arithmeticFlags != was.RFLAGS&arithmeticFlags {
			t.Errorf("%s: Emulate says flags %#x, the CPU %#x", what, said.RFLAGS&arithmeticFlags, was.RFLAGS&arithmeticFlags)
		}
		if !f.Compares() {
			if is.RFLAGS&arithmeticFlags != was.RFLAGS&arithmeticFlags {
				t.Errorf("%s: flags %#x, the original leaves %#x", what, is.RFLAGS&arithmeticFlags, was.RFLAGS&arithmeticFlags)
			}
			continue
		}
		for cc := range uint8(16) {
			if conds>>cc&1 != 0 && cpuAnswer(t, cc, is.RFLAGS) != cpuAnswer(t, cc, was.RFLAGS) {
				t.Errorf("%s: condition %s is %v, of the original %v", what, condNames[cc], cpuAnswer(t, cc, is.RFLAGS), !cpuAnswer(t, cc, is.RFLAGS))
			}
		}
	}
}

// answers holds what SETcc said to flags.
var answers = map[[2]uint64]bool{}

// cpuAnswer asks the CPU, by SETcc AL, whether a condition holds with these flags.
func cpuAnswer(t *testing.T, cc uint8, flags uint64) bool {
	t.Helper()
	key := [2]uint64{uint64(cc), flags & arithmeticFlags}
	answer, known := answers[key]
	if !known {
		out := execute(t, Code{N: 3, B: [MaxLen]byte{0x0F, 0x90 | cc, 0xC0}}, 0, exectest.State{RFLAGS: flags})
		answer = out.Reg[0]&1 != 0
		answers[key] = answer
	}
	return answer
}

// TestHolding: the CPU answers every condition as holding does, for all flags.
func TestHolding(t *testing.T) {
	for flags := uint64(0); flags <= arithmeticFlags; flags++ {
		if flags&^arithmeticFlags != 0 {
			continue
		}
		c := holding(flags)
		for cc := range uint8(16) {
			if got := c>>cc&1 != 0; got != cpuAnswer(t, cc, flags) {
				t.Errorf("flags %#x: condition %s holds: %v, the CPU says %v", flags, condNames[cc], got, !got)
			}
			// A condition must not depend on other flags than it says.
			if other := holding(flags &^ uint64(Conds(1<<cc).Flags())); other>>cc&1 != holding(0)>>cc&1 {
				t.Errorf("condition %s depends on flags outside of %#x", condNames[cc], Conds(1<<cc).Flags())
			}
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
		checkExecution(t, CmpByte, orig, ^parity, v)
	}
}

// TestExecuteMoves runs every register form with every register but RSP.
func TestExecuteMoves(t *testing.T) {
	values := map[Form][]int64{
		MovzxByte: {0, 1, 2, 0x7F, 0x80, 0xFF},
		MovLong:   {0, 1, -1, 0x7FFFFFFF, -0x80000000, 0xFFFFFFFF, 0x12345678},
		MovQuad:   {0, 1, -1, 0x7FFFFFFF, -0x80000000, 0x12345678},
		MovslQuad: {0, 1, -1, 0x7FFFFFFF, -0x80000000, 0xFFFFFFFF},
	}
	ran := 0
	for _, orig := range moves() {
		in, err := Decode(orig.Bytes())
		if err != nil {
			t.Fatalf("[%v]: %v", orig, err)
		}
		if in.Reg() == regSP {
			continue
		}
		f, _, _ := Recognize(orig.Bytes())
		for _, v := range values[f] {
			checkExecution(t, f, orig, 0, v)
			ran++
		}
	}
	if want := 15 * (2*6 + 7 + 6 + 6); ran != want {
		t.Errorf("ran %d cases, want %d", ran, want)
	}
}

// TestExecuteEmulation: what Emulate says of values that no immediate holds.
func TestExecuteEmulation(t *testing.T) {
	for _, c := range []struct {
		f     Form
		code  Code
		value int64
	}{
		{MovQuad, Code{N: 7, B: [MaxLen]byte{0x48, 0x8B, 0x0D}}, math.MinInt64},
		{MovQuad, Code{N: 7, B: [MaxLen]byte{0x4C, 0x8B, 0x0D}}, 0x123456789ABCDEF0},
		{MovzxByte, Code{N: 7, B: [MaxLen]byte{0x0F, 0xB6, 0x0D}}, -1},
		{CmpByte, Code{N: 7, B: [MaxLen]byte{0x80, 0x3D}}, -1},
		{CmpByte, Code{N: 7, B: [MaxLen]byte{0x80, 0x3D}}, 0x80},
		{CmpByte, Code{N: 7, B: [MaxLen]byte{0x80, 0x3D}}, 3},
	} {
		e, err := Emulate(c.f, c.code, c.value)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range states() {
			was, said := execute(t, c.code, c.value, in), predict(in, e)
			sameRegs(t, c.code.String(), said, was)
			if said.RFLAGS&arithmeticFlags != was.RFLAGS&arithmeticFlags {
				t.Errorf("[%v] with %d: Emulate says flags %#x, the CPU %#x", c.code, c.value, said.RFLAGS, was.RFLAGS)
			}
		}
	}
}
