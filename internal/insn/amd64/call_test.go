package amd64

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

func callCode(opcode byte, rel int32) Code {
	c := Code{N: CallLen}
	c.B[0] = opcode
	binary.LittleEndian.PutUint32(c.B[1:], uint32(rel))
	return c
}

func TestRecognizeCall(t *testing.T) {
	for _, c := range []struct {
		code []byte
		form Form
	}{
		{[]byte{0xE8, 1, 2, 3, 4}, CallRel},
		{[]byte{0xE8, 1, 2, 3, 4, 0xC3}, CallRel},
		{[]byte{0xE9, 1, 2, 3, 4}, JumpRel},
		{[]byte{0xE8, 1, 2, 3}, FormNone},             // cut off
		{[]byte{0xEB, 1, 2, 3, 4}, FormNone},          // JMP rel8
		{[]byte{0x0F, 0x84, 1, 2, 3, 4}, FormNone},    // JE rel32
		{[]byte{0xFF, 0xD1, 0, 0, 0}, FormNone},       // CALL CX
		{[]byte{0x66, 0xE8, 1, 2, 3, 4}, FormNone},    // with a prefix
		{[]byte{0x48, 0xE8, 1, 2, 3, 4}, FormNone},    // with a REX
		{[]byte{0x0F, 0x1F, 0x44, 0, 0}, FormNone},    // a NOP is ours, not the compiler's
		{[]byte{0x80, 0x3D, 1, 2, 3, 4, 0}, FormNone}, // a compare
		{nil, FormNone},
	} {
		form, ok := RecognizeCall(c.code)
		if form != c.form || ok != (c.form != FormNone) {
			t.Errorf("% x: %v, %v; expected %v", c.code, form, ok, c.form)
		}
		if ok != form.Transfers() {
			t.Errorf("%v: Transfers is %v", form, form.Transfers())
		}
	}
	for _, f := range allForms {
		if f.Transfers() {
			t.Errorf("%v transfers", f)
		}
	}
	for _, f := range []Form{CallRel, JumpRel} {
		if f.Width() != 0 || f.Compares() {
			t.Errorf("%v reads %d bytes, compares: %v", f, f.Width(), f.Compares())
		}
	}
}

// TestArmedCall decodes every armed call by another decoder.
func TestArmedCall(t *testing.T) {
	const at = 0x400000
	for _, to := range []uint64{at + CallLen, at, at + 1000, at - 1000, at + CallLen + math.MaxInt32, at + CallLen + 1<<64 - 1<<31, 0x401234} {
		for form, op := range map[Form]x86asm.Op{CallRel: x86asm.CALL, JumpRel: x86asm.JMP} {
			code, err := ArmedCall(form, at, Callee{Entry: to})
			if err != nil {
				t.Errorf("%v to %#x: %v", form, to, err)
				continue
			}
			in, err := x86asm.Decode(code.Bytes(), 64)
			rel, isRel := in.Args[0].(x86asm.Rel)
			if err != nil || in.Op != op || in.Len != CallLen || !isRel || at+CallLen+uint64(int64(rel)) != to {
				t.Errorf("%v to %#x: [%v] is %v, %v", form, to, code, in, err)
			}
			if got, _ := RecognizeCall(code.Bytes()); got != form || CallTarget(at, code.Bytes()) != to {
				t.Errorf("[%v]: recognized as %v to %#x, expected %v to %#x", code, got, CallTarget(at, code.Bytes()), form, to)
			}
			em, err := EmulateCall(at, code)
			want := CallEmulation{Resume: to}
			if form == CallRel {
				want.Push = at + CallLen
			}
			if err != nil || em != want {
				t.Errorf("[%v]: emulated as %+v, %v; expected %+v", code, em, err, want)
			}
		}
	}
}

func TestArmedCallOfNothing(t *testing.T) {
	const at = 0x400000
	nothing := Callee{Entry: 0x500000, Nothing: true}
	code, err := ArmedCall(CallRel, at, nothing)
	if in, err2 := x86asm.Decode(code.Bytes(), 64); err != nil || err2 != nil || in.Op != x86asm.NOP || in.Len != CallLen {
		t.Errorf("a call of nothing: [%v] is %v, %v, %v", code, in, err, err2)
	}
	if em, err := EmulateCall(at, code); err != nil || em != (CallEmulation{Resume: at + CallLen}) {
		t.Errorf("emulated as %+v, %v", em, err)
	}
	// A jump must not go on behind itself: that is another function.
	code, err = ArmedCall(JumpRel, at, nothing)
	if em, err2 := EmulateCall(at, code); err != nil || err2 != nil || em != (CallEmulation{Resume: 0x500000}) {
		t.Errorf("a jump to nothing: [%v], %v, %v, %+v", code, err, err2, em)
	}
	// A call of nothing reaches from anywhere.
	if _, err := ArmedCall(CallRel, at, Callee{Entry: 1 << 46, Nothing: true}); err != nil {
		t.Error(err)
	}
}

func TestArmedCallRefuses(t *testing.T) {
	const at = 0x400000
	for _, to := range []uint64{at + CallLen + math.MaxInt32 + 1, 1<<64 + at + CallLen - 1<<31 - 1, 0x7fff_0000_0000, 1 << 63} {
		for _, form := range []Form{CallRel, JumpRel} {
			_, err := ArmedCall(form, at, Callee{Entry: to})
			if !errors.Is(err, ErrNoImmediate) || !strings.Contains(err.Error(), "0x400000") {
				t.Errorf("%v to %#x: %v", form, to, err)
			}
		}
	}
	for _, form := range append(allForms, FormNone) {
		if code, err := ArmedCall(form, at, Callee{Entry: at}); err == nil {
			t.Errorf("%v became a call: [%v]", form, code)
		}
	}
	for _, code := range []Code{
		{}, {N: CallLen}, callCode(0xEB, 0), callCode(0xCC, 0), callCode(0x0F, 0x00441F00), // a NOP, but the wrong one
		{N: 4, B: callCode(0xE8, 1).B}, {N: 6, B: callCode(0xE8, 1).B},
	} {
		if em, err := EmulateCall(at, code); err == nil {
			t.Errorf("[%v] (%d bytes) emulated as %+v", code, code.N, em)
		}
	}
}

// TestCallDiff: whatever a call turns into, the first byte changes only where a NOP comes
// or goes. Else one store of the displacement would not do.
func TestCallDiff(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		at := 0x400000 + uint64(rnd.IntN(1<<24))
		a, err1 := ArmedCall(CallRel, at, Callee{Entry: 0x400000 + uint64(rnd.IntN(1<<24))})
		b, err2 := ArmedCall(CallRel, at, Callee{Entry: 0x400000 + uint64(rnd.IntN(1<<24))})
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if off, n := Diff(a, b); n > 0 && (off < 1 || off+n > CallLen) {
			t.Fatalf("[%v] and [%v] differ in %d bytes from %d on", a, b, n, off)
		}
	}
}

func FuzzEmulateCall(f *testing.F) {
	f.Add(uint64(0x400000), []byte{0xE8, 1, 2, 3, 4})
	f.Add(uint64(0x400000), []byte{0x0F, 0x1F, 0x44, 0, 0})
	f.Fuzz(func(t *testing.T, at uint64, b []byte) {
		if len(b) != CallLen {
			return
		}
		code := codeOf(t, b)
		em, err := EmulateCall(at, code)
		in, decodeErr := x86asm.Decode(b, 64)
		if err != nil {
			if form, ok := RecognizeCall(b); ok {
				t.Errorf("[%v]: %v, but not emulated: %v", code, form, err)
			}
			return
		}
		rel, isRel := in.Args[0].(x86asm.Rel)
		next := at + CallLen
		switch {
		case decodeErr != nil || in.Len != CallLen:
			t.Errorf("[%v]: emulated as %+v, decoded as %v, %v", code, em, in, decodeErr)
		case in.Op == x86asm.NOP && em == CallEmulation{Resume: next}:
		case in.Op == x86asm.CALL && isRel && em == CallEmulation{Resume: next + uint64(int64(rel)), Push: next}:
		case in.Op == x86asm.JMP && isRel && em == CallEmulation{Resume: next + uint64(int64(rel))}:
		default:
			t.Errorf("[%v] is %v: emulated as %+v at %#x", code, in, em, at)
		}
	})
}
