package site

import (
	"fmt"
	"strings"
	"testing"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// TestFlagReaders: what reads the flags of a compare, on every path. The code
// stands behind CMPL key, $3.
func TestFlagReaders(t *testing.T) {
	for _, c := range []struct {
		name, code string
		conds, why string
	}{
		{"one branch", "7e 01 c3 c3", "le", ""},
		{"both paths", "7e 04 0f 94 c0 c3 0f 9c c0 c3", "e,l,le", ""},
		{"three ways", "7e 01 c3 75 01 c3 7c 00 c3", "ne,l,le", ""},
		{"cmov and branch", "48 0f 47 c1 76 00 c3", "be,a", ""},
		{"overwritten on one path", "7e 06 31 c0 0f 94 c0 c3 0f 9c c0 c3", "l,le", ""},
		{"overwritten on both", "7e 06 31 c0 0f 94 c0 c3 85 c0 0f 9c c0 c3", "le", ""},
		{"the next compare is not looked at", "7e 09 83 f8 05 0f 9a c0 0f 94 c0 c3", "le", ""},
		{"INC leaves CF", "74 00 ff c0 72 00 c3", "b,e", ""},
		{"INC writes ZF", "7f 00 ff c0 74 00 c3", "g", ""},
		{"INC writes PF", "7f 00 ff c0 7a 00 c3", "g", ""},
		{"met again with more flags", "7e 04 ff c0 eb 02 eb 00 74 00 c3", "e,le", ""},
		{"half of the flags are those of INC", "7f 00 ff c0 76 00 c3", "", "of another instruction"},
		{"IMUL leaves ZF, maybe", "72 00 0f af c1 74 00 c3", "b,e", ""},
		{"BT writes CF", "74 00 0f a3 c8 72 00 c3", "e", ""},
		{"BT leaves ZF, maybe", "72 00 0f a3 c8 76 00 c3", "", "of another instruction"},
		{"a shift by a count, maybe 0", "48 d3 e0 74 00 c3", "e", ""},
		{"ADC reads CF", "83 d0 00 74 00 c3", "b", ""},
		{"SBB reads CF", "7f 00 19 c0 c3", "b,g", ""},
		{"a jump", "eb 01 cc 74 00 c3", "e", ""},
		{"a jump backwards, behind RET", "eb 04 0f 94 c0 c3 74 fa c3", "e", ""},
		{"a branch to itself", "74 fe c3", "e", ""},
		{"a loop", "48 8b 00 7f fb c3", "g", ""},
		{"a loop that never ends", "7f 00 48 8b 00 eb fb", "g", ""},
		{"back in front of the compare", "7f f7 c3", "g", ""},
		{"a trap that ends the path", "74 02 0f 0b c3", "e", ""},
		{"a call", "7e 00 e8 other 0f 94 c0 c3", "le", ""},
		{"a call through a register", "7e 00 ff d0 0f 94 c0 c3", "le", ""},
		{"duffzero keeps flags", "7e 00 e8 duffzero 0f 94 c0 c3", "e,le", ""},
		{"a jump to another function", "7e 00 e9 other 0f 94 c0 c3", "le", ""},
		{"a jump into another function", "7e 00 e9 inside 0f 94 c0 c3", "", "out of the function"},
		{"a jump into nothing", "7e 00 e9 00 00 00 40 c3", "", "out of the function"},

		{"nothing reads", "c3", "", "nothing does"},
		{"overwritten at once", "85 c0 74 00 c3", "", "nothing does"},
		{"parity", "7a 00 c3", "", "parity"},
		{"no parity", "0f 9b c0 c3", "", "parity"},
		{"parity on the other path", "7e 01 c3 7a 00 c3", "", "parity"},
		{"parity behind the first reader", "0f 94 c0 0f 9a c0 c3", "", "parity"},
		{"jump through a register", "74 00 ff e0", "", "not known what reads"},
		{"jump table", "74 00 ff 24 c8", "", "not known what reads"},
		{"PUSHF", "74 00 9c c3", "", "not known what reads"},
		{"LAHF on the other path", "74 01 c3 9f c3", "", "not known what reads"},
		{"RCL", "74 00 48 d1 d0 c3", "", "not known what reads"},
		{"a breakpoint", "74 00 cc c3", "", "not known what reads"},
		{"a system call", "74 00 0f 05 c3", "", "not known what reads"},
		{"JRCXZ", "e3 00 74 00 c3", "", "not known what reads"},
		{"not an instruction", "74 00 06 c3", "", "behind the compare"},
		{"the function ends", "74 00", "", "behind the compare"},
		{"a branch to another function", "74 01 c3", "e", ""},
		{"a branch into another function", "74 02 c3", "", "out of the function"},
		{"far away", strings.Repeat("90 ", stepsMax-2) + "74 00 c3", "e", ""},
		{"too far away", strings.Repeat("90 ", stepsMax) + "74 00 c3", "", "more than 256 instructions"},
		{"many paths", strings.Repeat("74 00 ", pathsMax-1) + "c3", "e", ""},
		{"too many paths", strings.Repeat("74 00 ", pathsMax) + "c3", "", "more than 32 paths"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var img fakeImage
			img.add("main.before", "74 00 c3")
			duff := img.add("runtime.duffzero", "0f 11 3f 0f 11 3f c3")
			other := img.add("main.other", "90 90 c3")
			img.targets = map[string]uint64{"duffzero": duff + 3, "other": other, "inside": other + 1}
			img.add("main.f", "83 3d K+1 03 "+c.code)
			img.add("main.behind", "74 00 c3")
			checkReaders(t, Find(&img, []Key{{Addr: keyAt, Width: 4}}), c.conds, c.why)
		})
	}
}

func checkReaders(t *testing.T, got []Site, conds, why string) {
	t.Helper()
	if len(got) != 1 || got[0].Form != insn.CmpLong {
		t.Fatalf("found %+v, expected one compare", got)
	}
	s := got[0]
	if s.Conds.String() != conds || s.Patchable() != (why == "") || !strings.Contains(s.Why, why) {
		t.Errorf("conditions %q, why %q; expected %q, %q", s.Conds, s.Why, conds, why)
	}
}

// TestFindIntegers: the forms of each width, and that a key of another width is
// left alone.
func TestFindIntegers(t *testing.T) {
	for _, c := range []struct {
		name, code string
		form       insn.Form
		conds      string
	}{
		{"compare a long", "83 3d K+1 03 7e 00 c3", insn.CmpLong, "le"},
		{"compare a long with a long", "81 3d K+4 03 00 00 00 0f 93 c0 c3", insn.CmpLong, "ae"},
		{"compare a quad", "48 83 3d K+1 ff 7c 00 c3", insn.CmpQuad, "l"},
		{"compare a quad with a long", "48 81 3d K+4 00 00 00 80 0f 47 c1 c3", insn.CmpQuad, "a"},
		{"load a long", "8b 05 K c3", insn.MovLong, ""},
		{"load a long into r9", "44 8b 0d K c3", insn.MovLong, ""},
		{"load a quad", "48 8b 05 K c3", insn.MovQuad, ""},
		{"load a long with its sign", "48 63 0d K c3", insn.MovslQuad, ""},
		{"load a long with its sign into r12", "4c 63 25 K c3", insn.MovslQuad, ""},
		{"compare with a register", "39 0d K 7e 00 c3", insn.FormNone, ""},
		{"add", "48 03 05 K c3", insn.FormNone, ""},
		{"a part of it", "0f b7 05 K c3", insn.FormNone, ""},
	} {
		for _, width := range []int{1, 4, 8} {
			t.Run(fmt.Sprintf("%s, key of %d", c.name, width), func(t *testing.T) {
				var img fakeImage
				at := img.add("main.f", c.code)
				got := Find(&img, []Key{{Addr: keyAt, Width: width}})
				if len(got) != 1 || got[0].Addr != at {
					t.Fatalf("found %+v, expected one site", got)
				}
				s := got[0]
				if width != c.form.Width() {
					if s.Patchable() || s.Form != insn.FormNone || !strings.Contains(s.Why, "no immediate form") {
						t.Errorf("found %+v, expected a refusal", s)
					}
				} else if !s.Patchable() || s.Form != c.form || s.Conds.String() != c.conds {
					t.Errorf("found %+v, expected %v with %q", s, c.form, c.conds)
				}
			})
		}
	}
}

// BenchmarkFlagReaders judges compares whose flags live for some instructions.
func BenchmarkFlagReaders(b *testing.B) {
	var img fakeImage
	for range 1000 {
		img.add("main.f", "83 3d K+1 03 48 8b 05 11 22 33 44 7e 05 48 89 08 31 c0 48 8b 00 48 8b 00 85 c0 c3")
	}
	img.funcs = []fakeFunc{{textAt, textAt + uint64(len(img.bytes)), "main.f"}}
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range Find(&img, []Key{{Addr: keyAt, Width: 4}}) {
			if !s.Patchable() {
				b.Fatal(s.Why)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "site_ns")
}
