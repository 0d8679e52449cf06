package amd64

import (
	"bytes"
	"fmt"
	"slices"
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
	text = strings.Replace(text, "movsxd ", "movslq ", 1)
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
	conds           Conds
	value           int64
}

var allForms = []Form{CmpByte, MovzxByte, MovLong, MovQuad, MovslQuad, CmpLong, CmpQuad}

// condsOf reads what Conds.String writes.
func condsOf(t testing.TB, names string) (c Conds) {
	t.Helper()
	for name := range strings.SplitSeq(names, ",") {
		cc := slices.Index(condNames[:], name)
		if cc < 0 {
			t.Fatalf("%q: no such condition", names)
		}
		c |= 1 << cc
	}
	return c
}

// formRows are the rows of forms.txt and compares.txt.
func formRows(t testing.TB) (all []formRow) {
	t.Helper()
	names := map[string]Form{}
	for _, f := range allForms {
		names[f.String()] = f
	}
	row := func(f []string, conds Conds) {
		v, err := strconv.ParseInt(f[3], 10, 64)
		if err != nil || names[f[0]] == FormNone {
			t.Fatalf("%q: %v", f, err)
		}
		all = append(all, formRow{
			form: names[f[0]], text: f[1], orig: codeOf(t, mustHex(t, f[2])), value: v,
			armed: codeOf(t, mustHex(t, f[4])), armedText: f[5], conds: conds,
		})
	}
	readTable(t, "forms.txt", 6, func(f []string) { row(f, 0) })
	readTable(t, "compares.txt", 7, func(f []string) { row(slices.Delete(slices.Clone(f), 3, 4), condsOf(t, f[3])) })
	return all
}

// TestFormTable: recognizing and arming the originals of the tables gives their
// armed forms, and x86asm reads both as the tables do.
func TestFormTable(t *testing.T) {
	seen := map[Form]map[uint8]bool{}
	for _, f := range allForms {
		seen[f] = map[uint8]bool{}
	}
	for _, r := range formRows(t) {
		f, in, ok := Recognize(r.orig.Bytes())
		if !ok || f != r.form || in.Len != r.orig.N {
			t.Errorf("[%v] (%s): recognized as %v, length %d, want %v", r.orig, r.text, f, in.Len, r.form)
			continue
		}
		seen[f][in.Reg()] = true
		armed, err := Armed(f, r.orig, r.conds, r.value)
		if err != nil || armed != r.armed {
			t.Errorf("[%v] (%s) with %d, %v: armed [%v], %v; want [%v]", r.orig, r.text, r.value, r.conds, armed, err, r.armed)
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
		if f.Compares() {
			want = 1
		}
		if len(regs) != want {
			t.Errorf("the tables cover %d registers for %v, want %d", len(regs), f, want)
		}
	}
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
		{"66 83 3d 01 02 03 04 00", "CMPW"},
		{"66 81 3d 01 02 03 04 00 01", "CMPW"},
		{"83 05 01 02 03 04 03", "ADDL, not CMPL"},
		{"81 2d 01 02 03 04 03 00 00 00", "SUBL, not CMPL"},
		{"48 83 25 01 02 03 04 03", "ANDQ, not CMPQ"},
		{"40 83 3d 01 02 03 04 03", "empty REX"},
		{"44 83 3d 01 02 03 04 03", "REX.R"},
		{"4c 83 3d 01 02 03 04 03", "REX.R"},
		{"4c 81 3d 01 02 03 04 03 00 00 00", "REX.R"},
		{"49 83 3d 01 02 03 04 03", "REX.B"},
		{"44 48 83 3d 01 02 03 04 03", "an ignored REX"},
		{"67 83 3d 01 02 03 04 03", "relative to EIP"},
		{"83 3c 25 01 02 03 04 03", "absolute address"},
		{"48 83 38 03", "through a register"},
		{"48 81 f8 01 02 03 04", "a register"},
		{"39 05 01 02 03 04", "CMPL with a register"},
		{"48 3b 05 01 02 03 04", "CMPQ with a register"},
		{"63 05 01 02 03 04", "MOVSXD to 32 bits"},
		{"44 63 05 01 02 03 04", "MOVSXD to 32 bits"},
		{"48 63 25 01 02 03 04", "into RSP"},
		{"48 63 c0", "from a register"},
		{"66 48 63 05 01 02 03 04", "66"},
		{"4a 63 05 01 02 03 04", "REX.X"},
		{"66 48 83 3d 01 02 03 04 03", "66"},
		{"f0 48 83 3d 01 02 03 04 03", "LOCK"},
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
		MovLong: {"mov-long", 4}, MovQuad: {"mov-quad", 8}, MovslQuad: {"movsl-quad", 4},
		CmpLong: {"cmp-long", 4}, CmpQuad: {"cmp-quad", 8}, Form(99): {"form-99", 0},
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
