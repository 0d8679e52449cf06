package amd64

import "strings"

// Conds is a set of conditions that are asked of the flags of a compare. Bit n is
// the condition with the code n, the low half of the opcode of Jcc, SETcc and CMOVcc
// (Intel SDM vol. 2, appendix B.1.4.7).
type Conds uint16

// The condition codes.
const (
	condO  = 0x0
	condB  = 0x2
	condAE = 0x3
	condE  = 0x4
	condNE = 0x5
	condBE = 0x6
	condA  = 0x7
	condS  = 0x8
	condP  = 0xA
	condL  = 0xC
	condGE = 0xD
	condLE = 0xE
	condG  = 0xF
)

// parity are the conditions on PF. No armed compare reproduces it.
const parity Conds = 3 << condP

var condNames = [16]string{"o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"}

// String returns the names, as assemblers write them, with commas between them.
func (c Conds) String() string {
	var names []string
	for cc, name := range condNames {
		if c>>cc&1 != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// condFlags are the flags that each pair of conditions depends on. The odd code is
// the negation of the even one (Intel SDM vol. 1, appendix B).
var condFlags = [8]Flags{flagOF, flagCF, flagZF, flagCF | flagZF, flagSF, flagPF, flagSF | flagOF, flagZF | flagSF | flagOF}

// Flags returns the flags that the conditions depend on.
func (c Conds) Flags() (f Flags) {
	for pair, flags := range condFlags {
		if c>>(2*pair)&3 != 0 {
			f |= flags
		}
	}
	return f
}

// holding returns the conditions that hold with these flags.
func holding(flags uint64) Conds {
	var c Conds
	for pair, mask := range condFlags {
		f := flags & uint64(mask)
		holds := f != 0
		if pair >= condL/2 { // L and LE: SF differs from OF, or ZF
			holds = f&flagZF != 0 || f&flagSF != 0 != (f&flagOF != 0)
		}
		if holds {
			c |= 1 << (2 * pair)
		} else {
			c |= 2 << (2 * pair)
		}
	}
	return c
}
