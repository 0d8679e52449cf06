package amd64

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

// codeOf returns the bytes as a Code; they must fit.
func codeOf(t testing.TB, b []byte) Code {
	t.Helper()
	c := Code{N: uint8(len(b))}
	if copy(c.B[:], b) != len(b) {
		t.Fatalf("% x does not fit into a Code", b)
	}
	return c
}

// gnuText returns what x86asm reads in the bytes, written as objdump writes it.
func gnuText(t testing.TB, code []byte) string {
	t.Helper()
	in, err := x86asm.Decode(code, 64)
	if err != nil || in.Len != len(code) {
		t.Errorf("% x: x86asm decodes %d bytes: %v", code, in.Len, err)
		return ""
	}
	text := strings.Join(strings.Fields(x86asm.GNUSyntax(in, 0, nil)), " ")
	text = strings.Replace(text, "movzx ", "movzbl ", 1)
	// objdump prints immediates without a sign, in the size of the operand.
	if imm, ok := in.Args[1].(x86asm.Imm); ok && imm < 0 {
		unsigned := uint64(imm)
		if in.DataSize == 32 {
			unsigned = uint64(uint32(imm))
		}
		text = strings.Replace(text, fmt.Sprintf("$-%#x", uint64(-imm)), fmt.Sprintf("$%#x", unsigned), 1)
	}
	return text
}

type formRow struct {
	form            Form
	text, armedText string
	orig, armed     Code
	value           int64
}

func formRows(t testing.TB) (all []formRow) {
	t.Helper()
	names := map[string]Form{}
	for _, f := range []Form{CmpByte, MovzxByte, MovLong, MovQuad} {
		names[f.String()] = f
	}
	readTable(t, "forms.txt", 6, func(f []string) {
		v, err := strconv.ParseInt(f[3], 10, 64)
		if err != nil || names[f[0]] == FormNone {
			t.Fatalf("forms.txt: %q: %v", f, err)
		}
		all = append(all, formRow{
			form: names[f[0]], text: f[1], orig: codeOf(t, mustHex(t, f[2])), value: v,
			armed: codeOf(t, mustHex(t, f[4])), armedText: f[5],
		})
	})
	return all
}

// TestFormTable: recognizing and arming the originals of the table gives its
// armed forms, and x86asm reads both as the table does.
func TestFormTable(t *testing.T) {
	seen := map[Form]map[uint8]bool{CmpByte: {}, MovzxByte: {}, MovLong: {}, MovQuad: {}}
	for _, r := range formRows(t) {
		f, in, ok := Recognize(r.orig.Bytes())
		if !ok || f != r.form || in.Len != r.orig.N {
			t.Errorf("[%v] (%s): recognized as %v, length %d, want %v", r.orig, r.text, f, in.Len, r.form)
			continue
		}
		seen[f][in.reg()] = true
		armed, err := Armed(f, r.orig, r.value)
		if err != nil || armed != r.armed {
			t.Errorf("[%v] (%s) with %d: armed [%v], %v; want [%v]", r.orig, r.text, r.value, armed, err, r.armed)
		}
		if got := gnuText(t, r.orig.Bytes()); got != r.text {
			t.Errorf("[%v]: x86asm reads %q, the table says %q", r.orig, got, r.text)
		}
		if got := gnuText(t, armed.Bytes()); got != r.armedText {
			t.Errorf("[%v]: x86asm reads %q, the table says %q", armed, got, r.armedText)
		}
	}
	for f, regs := range seen {
		want := 15
		if f == CmpByte {
			want = 1
		}
		if len(regs) != want {
			t.Errorf("the table covers %d registers for %v, want %d", len(regs), f, want)
		}
	}
}

// TestArmedReversed goes the other way: what x86asm reads in the armed bytes
// is the register of the original and the value.
func TestArmedReversed(t *testing.T) {
	for _, orig := range moves() {
		f, _, ok := Recognize(orig.Bytes())
		if !ok {
			continue // RSP, see TestRecognizeRefuses
		}
		for _, v := range []int64{0, 1, 0x7F, 0x80, 0xFF} {
			armed, err := Armed(f, orig, v)
			if err != nil {
				t.Errorf("[%v]: %v", orig, err)
				continue
			}
			was, err1 := x86asm.Decode(orig.Bytes(), 64)
			is, err2 := x86asm.Decode(armed.Bytes(), 64)
			if err1 != nil || err2 != nil || is.Op != x86asm.MOV || is.Args[1] != x86asm.Imm(v) {
				t.Errorf("[%v] with %d: x86asm reads %v, %v, %v", orig, v, is, err1, err2)
				continue
			}
			if number(was.Args[0]) != number(is.Args[0]) {
				t.Errorf("[%v] writes %v, its armed form [%v] writes %v", orig, was.Args[0], armed, is.Args[0])
			}
		}
	}
}

// number returns the hardware number of a register of 32 or 64 bits.
func number(a x86asm.Arg) int {
	r, _ := a.(x86asm.Reg)
	switch {
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX)
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX)
	}
	return -1
}

func TestRecognizeRefuses(t *testing.T) {
	behind := bytes.Repeat([]byte{0x90}, 8)
	for _, c := range []struct{ hex, reason string }{
		{"80 3d 01 02 03 04 01", "compares with 1"},
		{"80 3c 25 01 02 03 04 00", "absolute address"},
		{"80 3b 00", "through a register"},
		{"80 25 01 02 03 04 00", "AND, not CMP"},
		{"40 80 3d 01 02 03 04 00", "REX"},
		{"66 80 3d 01 02 03 04 00", "66"},
		{"64 80 3d 01 02 03 04 00", "FS"},
		{"67 80 3d 01 02 03 04 00", "relative to EIP"},
		{"f0 80 3d 01 02 03 04 00", "LOCK"},
		{"3e 80 3d 01 02 03 04 00", "DS"},
		{"83 3d 01 02 03 04 00", "CMPL"},
		{"38 05 01 02 03 04", "CMPB with a register"},
		{"0f b6 25 01 02 03 04", "into ESP"},
		{"48 0f b6 25 01 02 03 04", "into RSP"},
		{"8b 25 01 02 03 04", "into ESP"},
		{"48 8b 25 01 02 03 04", "into RSP"},
		{"0f b6 c0", "from a register"},
		{"0f b6 00", "through a register"},
		{"0f b6 40 01", "disp8"},
		{"0f b7 05 01 02 03 04", "two bytes"},
		{"0f be 05 01 02 03 04", "MOVSX"},
		{"66 0f b6 05 01 02 03 04", "into AX"},
		{"40 0f b6 05 01 02 03 04", "empty REX"},
		{"41 0f b6 05 01 02 03 04", "REX.B"},
		{"46 0f b6 05 01 02 03 04", "REX.X"},
		{"8a 05 01 02 03 04", "one byte into AL"},
		{"66 8b 05 01 02 03 04", "into AX"},
		{"40 8b 05 01 02 03 04", "empty REX"},
		{"4a 8b 05 01 02 03 04", "REX.X"},
		{"89 05 01 02 03 04", "store"},
		{"8d 05 01 02 03 04", "LEA"},
		{"c4 e2 78 b6 05 01 02 03 04", "VEX"},
		{"44 48 8b 05 01 02 03 04", "an ignored REX"},
		{"48 44 8b 05 01 02 03 04", "an ignored REX"},
		{"44 44 0f b6 05 01 02 03 04", "two REX"},
		{"44 41 0f b6 05 01 02 03 04", "two REX"},
		{"48 66 8b 05 01 02 03 04", "66 behind a REX"},
		{"48 64 8b 05 01 02 03 04", "FS behind a REX"},
		{"48 80 3d 01 02 03 04 00", "REX"},
		{"44 80 3d 01 02 03 04 00", "REX"},
		{"90", "NOP"},
		{"06", "invalid"},
	} {
		if f, in, ok := Recognize(join(mustHex(t, c.hex), behind)); ok || f != FormNone || in != (Inst{}) {
			t.Errorf("%s (%s): recognized as %v, %+v", c.hex, c.reason, f, in)
		}
	}
	for _, r := range formRows(t) {
		for n := range int(r.orig.N) {
			if f, _, ok := Recognize(r.orig.Bytes()[:n]); ok {
				t.Errorf("[%v], first %d bytes: recognized as %v", r.orig, n, f)
			}
		}
	}
}

func TestArmedRefuses(t *testing.T) {
	cmp := codeOf(t, mustHex(t, "80 3d 01 02 03 04 00"))
	movzx := codeOf(t, mustHex(t, "44 0f b6 05 01 02 03 04"))
	long := codeOf(t, mustHex(t, "8b 05 01 02 03 04"))
	quad := codeOf(t, mustHex(t, "48 8b 05 01 02 03 04"))
	short, tooLong := cmp, cmp
	short.N, tooLong.N = 6, 9
	for _, c := range []struct {
		f    Form
		orig Code
		v    int64
		ok   bool
	}{
		{CmpByte, cmp, 0, true},
		{CmpByte, cmp, 1, true},
		{CmpByte, cmp, 2, false},
		{CmpByte, cmp, -1, false},
		{MovzxByte, movzx, 0, true},
		{MovzxByte, movzx, 255, true},
		{MovzxByte, movzx, 256, false},
		{MovzxByte, movzx, -1, false},
		{MovLong, long, -1 << 31, true},
		{MovLong, long, 1<<32 - 1, true},
		{MovLong, long, -1<<31 - 1, false},
		{MovLong, long, 1 << 32, false},
		{MovQuad, quad, -1 << 31, true},
		{MovQuad, quad, 1<<31 - 1, true},
		{MovQuad, quad, -1<<31 - 1, false},
		{MovQuad, quad, 1 << 31, false},
		{MovzxByte, cmp, 0, false},
		{CmpByte, movzx, 0, false},
		{MovQuad, long, 0, false},
		{MovLong, quad, 0, false},
		{FormNone, cmp, 0, false},
		{FormNone, Code{}, 0, false},
		{Form(99), cmp, 0, false},
		{CmpByte, Code{}, 0, false},
		{CmpByte, short, 0, false},
		{CmpByte, tooLong, 0, false},
	} {
		armed, err := Armed(c.f, c.orig, c.v)
		emulation, eerr := Emulate(c.f, c.orig, c.v)
		if (err == nil) != c.ok || (eerr == nil) != c.ok {
			t.Errorf("%v [%v] with %d: Armed %v, Emulate %v, want ok %v", c.f, c.orig, c.v, err, eerr, c.ok)
		}
		if err != nil && (armed != Code{} || emulation != Emulation{} || !strings.Contains(err.Error(), c.orig.String())) {
			t.Errorf("%v [%v] with %d: %v, %+v and the error %q", c.f, c.orig, c.v, armed, emulation, err)
		}
	}
}

// TestToggleOffset: the armed forms of two values differ only where ToggleOffset
// says, in one byte for the forms of one byte.
func TestToggleOffset(t *testing.T) {
	for _, r := range formRows(t) {
		off := ToggleOffset(r.form, r.orig)
		width := 4
		if r.form.Width() == 1 {
			width = 1
		}
		zero, err0 := Armed(r.form, r.orig, 0)
		one, err1 := Armed(r.form, r.orig, 1)
		if err0 != nil || err1 != nil || off < 0 || off+width > int(r.orig.N) {
			t.Errorf("[%v] (%s): ToggleOffset %d, %v, %v", r.orig, r.text, off, err0, err1)
			continue
		}
		if zero == one || zero.B[off] == one.B[off] {
			t.Errorf("[%v] and [%v] do not differ at %d", zero, one, off)
		}
		for _, c := range []*Code{&zero, &one} {
			copy(c.B[off:off+width], make([]byte, width))
		}
		if zero != one {
			t.Errorf("[%v] and [%v] differ outside of %d+%d", zero, one, off, width)
		}
	}
	if off := ToggleOffset(MovQuad, Code{}); off != -1 {
		t.Errorf("ToggleOffset of nothing is %d", off)
	}
}

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		hex  string
		addr uint64
		want uint64
	}{
		{"80 3d 00 00 00 00 00", 0x401000, 0x401007},
		{"80 3d fc ff ff ff 00", 0x401000, 0x401003},
		{"48 8b 05 00 00 00 80", 0x80401000, 0x401007},
		{"0f b6 05 ff ff ff 7f", 0x401000, 0x80401006},
		{"48 8b 00", 0x401000, 0},                // not RIP-relative
		{"67 48 8b 05 01 00 00 00", 0x401000, 0}, // relative to EIP
	} {
		code := mustHex(t, c.hex)
		in, err := Decode(code)
		if err != nil {
			t.Fatal(err)
		}
		if got := Target(c.addr, in, code); got != c.want {
			t.Errorf("%s at %#x: target %#x, want %#x", c.hex, c.addr, got, c.want)
		}
		if got := Target(c.addr, in, code[:2]); got != 0 {
			t.Errorf("%s cut off: target %#x", c.hex, got)
		}
	}
}

func TestFormNames(t *testing.T) {
	for f, want := range map[Form]struct {
		name  string
		width int
	}{
		FormNone: {"none", 0}, CmpByte: {"cmp-byte", 1}, MovzxByte: {"movzx-byte", 1},
		MovLong: {"mov-long", 4}, MovQuad: {"mov-quad", 8}, Form(99): {"form-99", 0},
	} {
		if f.String() != want.name || f.Width() != want.width {
			t.Errorf("form %d: %q, %d bytes; want %q, %d", uint8(f), f, f.Width(), want.name, want.width)
		}
	}
	c := Code{N: 2, B: [MaxLen]byte{0x0F, 0x0B}}
	if c.String() != "0f 0b" {
		t.Errorf("Code prints as %q", c)
	}
	c.N = 200
	if len(c.Bytes()) != MaxLen {
		t.Errorf("a Code with a wrong length gives %d bytes", len(c.Bytes()))
	}
}

func TestArmedAllocatesNothing(t *testing.T) {
	orig := codeOf(t, mustHex(t, "44 0f b6 05 01 02 03 04"))
	n := testing.AllocsPerRun(100, func() {
		_, _ = Armed(MovzxByte, orig, 1)
		_, _ = Emulate(MovzxByte, orig, 1)
		_ = ToggleOffset(MovzxByte, orig)
	})
	if n != 0 {
		t.Errorf("arming allocates %v times", n)
	}
}
