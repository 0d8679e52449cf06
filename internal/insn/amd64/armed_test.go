package amd64

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

// TestArmedReversed goes the other way: what x86asm reads in the armed bytes
// is the register of the original and the value.
func TestArmedReversed(t *testing.T) {
	for _, orig := range moves() {
		f, _, ok := Recognize(orig.Bytes())
		if !ok {
			continue // RSP, see TestRecognizeRefuses
		}
		for _, v := range []int64{0, 1, 0x7F, 0x80, 0xFF} {
			armed, err := Armed(f, orig, 0, v)
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

func TestArmedRefuses(t *testing.T) {
	cmp := codeOf(t, mustHex(t, "80 3d 01 02 03 04 00"))
	movzx := codeOf(t, mustHex(t, "44 0f b6 05 01 02 03 04"))
	long := codeOf(t, mustHex(t, "8b 05 01 02 03 04"))
	quad := codeOf(t, mustHex(t, "48 8b 05 01 02 03 04"))
	movsl := codeOf(t, mustHex(t, "48 63 05 01 02 03 04"))
	cmpl := codeOf(t, mustHex(t, "83 3d 01 02 03 04 03"))
	cmpq := codeOf(t, mustHex(t, "48 81 3d 01 02 03 04 00 01 00 00"))
	short, tooLong := cmp, cmp
	short.N, tooLong.N = 6, 9
	type verdict int
	const (
		armed verdict = iota // both
		never                // neither Armed nor Emulate
		later                // Emulate only, and ErrNoImmediate
		call                 // Emulate only, and the call is wrong
	)
	const e, l, b, p = 1 << condE, 1 << condL, 1 << condB, 1 << condP
	for _, c := range []struct {
		f     Form
		orig  Code
		conds Conds
		v     int64
		want  verdict
	}{
		{CmpByte, cmp, e, 0, armed},
		{CmpByte, cmp, 0, 1, armed},
		{CmpByte, cmp, e, 2, later},
		{CmpByte, cmp, e, -1, later},
		{CmpByte, cmp, p, 0, later},
		{CmpByte, cmp, e, 256, never},
		{CmpByte, cmp, e, -129, never},
		{MovzxByte, movzx, 0, 0, armed},
		{MovzxByte, movzx, 0, 255, armed},
		{MovzxByte, movzx, 0, 256, never},
		{MovzxByte, movzx, 0, -1, later},
		{MovLong, long, 0, -1 << 31, armed},
		{MovLong, long, 0, 1<<32 - 1, armed},
		{MovLong, long, 0, -1<<31 - 1, never},
		{MovLong, long, 0, 1 << 32, never},
		{MovslQuad, movsl, 0, -1 << 31, armed},
		{MovslQuad, movsl, 0, 1<<32 - 1, armed},
		{MovslQuad, movsl, 0, 1 << 32, never},
		{MovQuad, quad, 0, -1 << 31, armed},
		{MovQuad, quad, 0, 1<<31 - 1, armed},
		{MovQuad, quad, 0, -1<<31 - 1, later},
		{MovQuad, quad, 0, 1 << 31, later},
		{MovQuad, quad, 0, math.MinInt64, later},
		{CmpLong, cmpl, l, -1 << 31, armed},
		{CmpLong, cmpl, b, 1<<32 - 1, armed},
		{CmpLong, cmpl, l, 1 << 32, never},
		{CmpLong, cmpl, l, -1<<31 - 1, never},
		{CmpLong, cmpl, 0, 3, call},
		{CmpLong, cmpl, p, 3, later},
		{CmpLong, cmpl, l | b, 5, armed},
		{CmpLong, cmpl, l | b, 2, later},
		{CmpLong, cmpl, 1 << condS, 5, armed},
		{CmpLong, cmpl, 1 << condS, 2, later},
		{CmpLong, cmpl, 1 << condO, -1 << 31, later},
		{CmpQuad, cmpq, l, math.MinInt64, armed},
		{CmpQuad, cmpq, b, math.MaxInt64, armed},
		{CmpQuad, cmpq, 1<<condGE | 1<<condE | 1<<condG, 5, armed},
		{CmpQuad, cmpq, 0, 0, call},
		{CmpLong, cmpq, e, 0, never},
		{CmpQuad, cmpl, e, 0, never},
		{MovzxByte, cmp, 0, 0, never},
		{CmpByte, movzx, 0, 0, never},
		{MovQuad, long, 0, 0, never},
		{MovLong, quad, 0, 0, never},
		{MovslQuad, quad, 0, 0, never},
		{FormNone, cmp, 0, 0, never},
		{FormNone, Code{}, 0, 0, never},
		{Form(99), cmp, 0, 0, never},
		{CmpByte, Code{}, 0, 0, never},
		{CmpByte, short, 0, 0, never},
		{CmpByte, tooLong, 0, 0, never},
	} {
		code, err := Armed(c.f, c.orig, c.conds, c.v)
		emulation, eerr := Emulate(c.f, c.orig, c.v)
		if (err == nil) != (c.want == armed) || (eerr != nil) != (c.want == never) || errors.Is(err, ErrNoImmediate) != (c.want == later) {
			t.Errorf("%v [%v], %v, with %d: Armed %v, Emulate %v", c.f, c.orig, c.conds, c.v, err, eerr)
		}
		if err != nil && (code != Code{} || !strings.Contains(err.Error(), c.orig.String())) ||
			eerr != nil && (emulation != Emulation{} || !strings.Contains(eerr.Error(), c.orig.String())) {
			t.Errorf("%v [%v] with %d: [%v], %+v and the errors %q, %q", c.f, c.orig, c.v, code, emulation, err, eerr)
		}
	}
}

// TestArmedChangesLittle: how many bytes lie between the armed forms of two values.
func TestArmedChangesLittle(t *testing.T) {
	values := []int64{-1 << 31, -1000, -1, 0, 1, 2, 3, 4, 255, 256, 257, 1<<31 - 1}
	pairs := []string{"e", "ne", "e,ne", "le", "g", "g,le", "be", "a", "b", "ae", "b,ae", "l", "ge", "l,ge"}
	for _, hex := range []string{"83 3d 01 02 03 04 03", "48 83 3d 01 02 03 04 03", "81 3d 01 02 03 04 00 01 00 00", "48 81 3d 01 02 03 04 00 01 00 00"} {
		orig := codeOf(t, mustHex(t, hex))
		f, _, _ := Recognize(orig.Bytes())
		for _, conds := range pairs {
			seen := map[Code]bool{}
			for _, v := range values {
				c, err := Armed(f, orig, condsOf(t, conds), v)
				if err != nil {
					t.Errorf("[%v], %s, with %d: %v", orig, conds, v, err)
				}
				seen[c] = true
			}
			codes := slices.Collect(maps.Keys(seen))
			if len(codes) != 2 {
				t.Fatalf("[%v], %s: %d armed forms, expected 2: %v", orig, conds, len(codes), codes)
			}
			if _, n := Diff(codes[0], codes[1]); n != 1 && (orig.N <= 8 || conds[0] != 'l' && conds != "ge" || conds == "le") {
				t.Errorf("[%v], %s: %d bytes between [%v] and [%v]", orig, conds, n, codes[0], codes[1])
			}
		}
	}
	for _, r := range formRows(t) {
		zero, err0 := Armed(r.form, r.orig, 1<<condE, 0)
		one, err1 := Armed(r.form, r.orig, 1<<condE, 1)
		off, n := Diff(zero, one)
		if err0 != nil || err1 != nil || !r.form.Compares() && (n != 1 || off != int(r.orig.N)-4) {
			t.Errorf("[%v]: %d bytes at %d between 0 and 1; %v, %v", r.orig, n, off, err0, err1)
		}
	}
}

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		a, b   string
		off, n int
	}{
		{"", "", 0, 0},
		{"01 02 03", "01 02 03", 0, 0},
		{"01 02 03", "00 02 03", 0, 1},
		{"01 02 03", "01 02 00", 2, 1},
		{"01 02 03", "00 02 00", 0, 3},
		{"01 02 03 04", "01 00 00 04", 1, 2},
		{"01 02 03", "01 02", 0, 3},
		{"01", "01 02", 0, 2},
	} {
		a, b := codeOf(t, mustHex(t, c.a)), codeOf(t, mustHex(t, c.b))
		a.B[MaxLen-1] = 1 // behind the end, does not count
		if off, n := Diff(a, b); off != c.off || n != c.n {
			t.Errorf("Diff(%s, %s) = %d, %d, want %d, %d", c.a, c.b, off, n, c.off, c.n)
		}
	}
}

func TestArmedAllocatesNothing(t *testing.T) {
	orig := codeOf(t, mustHex(t, "44 0f b6 05 01 02 03 04"))
	cmp := codeOf(t, mustHex(t, "48 83 3d 01 02 03 04 03"))
	n := testing.AllocsPerRun(100, func() {
		zero, _ := Armed(MovzxByte, orig, 0, 0)
		one, _ := Armed(MovzxByte, orig, 0, 1)
		_, _ = Diff(zero, one)
		_, _ = Emulate(MovzxByte, orig, 1)
		_, _ = Armed(CmpQuad, cmp, 1<<condL, 1)
		_, _ = Emulate(CmpQuad, cmp, 1)
	})
	if n != 0 {
		t.Errorf("arming allocates %v times", n)
	}
}
