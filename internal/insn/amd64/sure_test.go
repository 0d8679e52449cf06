package amd64

import (
	"math/bits"
	"testing"
)

// stackPointers are values that RSP may have by what compare.go says, with every
// low byte and at the bounds of 32 and 64 bits.
func stackPointers() (all []uint64) {
	for _, base := range []uint64{1 << 24, 0x7FFFFF00, 0x80000000, 0xFFFFFF00, 1 << 32, 0x17FFFFF00, 0xC000123400, 0x7FFC_FFFF_FF00, 0x7FFF_FFFF_FF00, 0xFF_FFFF_FFFF_FF00} {
		for low := uint64(0); low < 256; low += 8 {
			all = append(all, base+low)
		}
	}
	return all
}

// flagsOfSure computes what the CPU would leave, from the bytes of the test alone.
func flagsOfSure(t *testing.T, c Code, rsp uint64) uint64 {
	t.Helper()
	in, err := Decode(c.Bytes())
	if err != nil || in.ModRM&0xC7 != 0xC4 {
		t.Fatalf("[%v]: %+v, %v", c, in, err)
	}
	width := 32
	if in.Rex&rexW != 0 {
		width = 64
	}
	if in.Op == 0x80 {
		width = 8
	}
	a, b := rsp<<(64-width), uint64(constant(c, in))<<(64-width) // to the top, where the CPU's carry is
	var flags uint64
	d := a & b
	if in.Op != 0xF7 {
		var borrow uint64
		d, borrow = bits.Sub64(a, b, 0)
		flags |= borrow * flagCF
		if sa, sb, sd := int64(a) < 0, int64(b) < 0, int64(d) < 0; sa != sb && sa != sd {
			flags |= flagOF
		}
	}
	if d == 0 {
		flags |= flagZF
	}
	if int64(d) < 0 {
		flags |= flagSF
	}
	return flags
}

// TestSureTests: every claim about an armed compare holds for every RSP.
func TestSureTests(t *testing.T) {
	all := []sureTest{lessLong}
	for _, pair := range [][2]sureTest{testPair, belowPair, lessPair} {
		all = append(all, pair[0], pair[1])
	}
	for _, s := range all {
		c := s.code(s.length() + prefixMax)
		if n := c.N - prefixMax; c.B[0] != prefixDS || c.B[prefixMax-1] != prefixDS || n != s.length() {
			t.Errorf("[%v]: expected 4 prefixes", c)
		}
		for _, rsp := range stackPointers() {
			flags := flagsOfSure(t, c, rsp)
			if wrong := (holding(flags) ^ holding(s.flags)) & s.sure; wrong != 0 || s.sure == 0 {
				t.Errorf("[%v] with RSP %#x leaves flags %#x: wrong about %v", c, rsp, flags, wrong)
			}
		}
	}
}

// outcomes are the combinations of flags that a compare can leave, without PF and AF.
var outcomes = [...]uint64{
	flagZF,                   // equal
	0,                        // greater, with and without signs
	flagCF | flagSF,          // less, both
	flagCF,                   // greater, but less without signs
	flagCF | flagSF | flagOF, // the same, and the difference overflows
	flagSF,                   // less, but greater without signs
	flagOF,                   // the same, and the difference overflows
}

// TestPairs: one of a pair answers what it serves for, whatever the outcome; and
// no set of conditions that a pair could serve for goes without.
func TestPairs(t *testing.T) {
	for n := uint8(7); n <= MaxLen; n++ {
		for conds := Conds(1); conds != 0; conds++ {
			if conds&parity != 0 {
				continue
			}
			used := map[*sureTest]bool{}
			wrong := 0
			for _, flags := range outcomes {
				s := pick(conds, holding(flags), n)
				if s == nil {
					wrong++
				} else if !s.answers(conds, holding(flags)) || s.length() > n || n > s.length()+prefixMax {
					t.Fatalf("%v, %d bytes, flags %#x: picked [%v]", conds, n, flags, s.code(s.length()))
				}
				used[s] = true
			}
			served := false
			for _, pair := range [][2]*sureTest{{&testPair[0], &testPair[1]}, {&belowPair[0], &belowPair[1]}, {&lessPair[0], &lessPair[1]}} {
				all := n <= pair[0].length()+prefixMax
				for _, flags := range outcomes {
					all = all && (pair[0].answers(conds, holding(flags)) || pair[1].answers(conds, holding(flags)))
				}
				served = served || all
			}
			if served != (len(used) <= 2 && wrong == 0 && !used[&lessLong]) {
				t.Errorf("%v, %d bytes: a pair serves: %v, but %d instructions are used", conds, n, served, len(used))
			}
		}
	}
}

// TestOutcomes: the flags of all compares of two bytes are among the outcomes, and
// those have all been met.
func TestOutcomes(t *testing.T) {
	met := map[uint64]int{}
	for _, flags := range outcomes {
		met[flags] = 0
	}
	orig := codeOf(t, mustHex(t, "83 3d 01 02 03 04 00"))
	for k := range 256 {
		orig.B[6] = byte(k)
		for _, top := range []int64{0, 1 << 24, 0x7FFFFF << 8, 0x80 << 24, 0xFF << 24} {
			for v := range int64(256) {
				e, err := Emulate(CmpLong, orig, top|v)
				if err != nil {
					t.Fatal(err)
				}
				flags := e.FlagsSet &^ (flagPF | flagAF)
				if _, known := met[flags]; !known {
					t.Fatalf("[%v] with %#x leaves flags %#x, which is no outcome", orig, top|v, flags)
				}
				met[flags]++
			}
		}
	}
	for flags, n := range met {
		if n == 0 {
			t.Errorf("the outcome %#x was not met", flags)
		}
	}
}

func TestConds(t *testing.T) {
	for c, want := range map[Conds]string{0: "", 1 << condE: "e", less: "l,ge", 0x8001: "o,g", parity: "p,np"} {
		if c.String() != want {
			t.Errorf("%#x prints as %q, want %q", uint16(c), c, want)
		}
	}
	for c, want := range map[Conds]Flags{0: 0, 1 << condA: flagCF | flagZF, 1 << condG: flagZF | flagSF | flagOF, parity: ParityFlag, ^Conds(0): ReadableFlags} {
		if c.Flags() != want {
			t.Errorf("%v: flags %#x, want %#x", c, c.Flags(), want)
		}
	}
}
