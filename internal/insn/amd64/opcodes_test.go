package amd64

import (
	"strings"
	"testing"
)

// tails are what can follow an opcode: ModRM with each kind of operand, and
// bytes for the immediates. The reg field is filled in by withReg.
var tails = [][]byte{
	{0x00, 1, 2, 3, 4, 5, 6, 7, 8},
	{0x05, 1, 2, 3, 4, 5, 6, 7, 8},
	{0x04, 0x25, 1, 2, 3, 4, 5, 6, 7, 8},
	{0x44, 0x08, 1, 2, 3, 4, 5, 6},
	{0x83, 1, 2, 3, 4, 5, 6, 7, 8},
	{0xC1, 1, 2, 3, 4, 5, 6, 7, 8},
}

// vexTails are fewer, because there are more opcodes in more variants. The
// second has an index register, as gathers want it.
var vexTails = [][]byte{tails[1], {0x44, 0x28, 1, 2, 3, 4, 5}, tails[5]}

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func withReg(tail []byte, reg byte) []byte {
	b := join(tail)
	b[0] |= reg << 3
	return b
}

// legacySlots returns every opcode of the four legacy maps, behind the
// prefixes that select instructions, with every ModRM.reg.
func legacySlots() (slots [][]byte) {
	maps := [][]byte{nil, {0x0F}, {0x0F, 0x38}, {0x0F, 0x3A}}
	prefixes := [][]byte{nil, {0x66}, {0xF2}, {0xF3}, {0x48}}
	for _, m := range maps {
		for op := range 256 {
			if m == nil && !isOpcode(byte(op)) {
				continue
			}
			for _, p := range prefixes {
				for reg := range byte(8) {
					for _, tail := range tails {
						slots = append(slots, join(p, m, []byte{byte(op)}, withReg(tail, reg)))
					}
				}
			}
		}
	}
	return slots
}

// isOpcode reports whether a byte is an opcode of the one-byte map. It leaves
// out FWAIT too: objdump prints it together with the instruction behind it.
func isOpcode(op byte) bool {
	const fwait = 0x9B
	return op != fwait && oneByte[op] <= invalid
}

// vexSlots returns every opcode of the VEX maps with every pp and most of W
// and L, and every opcode of the XOP maps.
func vexSlots() (slots [][]byte) {
	for op := range 256 {
		for reg := range byte(8) {
			for _, tail := range vexTails {
				rest := join([]byte{byte(op)}, withReg(tail, reg))
				for pp := range byte(4) {
					slots = append(slots, join([]byte{0xC5, 0xF8 | pp}, rest))
					for m := byte(1); m <= 3; m++ {
						for _, wl := range []byte{0x78, 0x7C, 0xF8} {
							slots = append(slots, join([]byte{0xC4, 0xE0 | m, wl | pp}, rest))
						}
					}
				}
				for m := byte(8); m <= 10; m++ {
					slots = append(slots, join([]byte{0x8F, 0xE0 | m, 0x78}, rest))
				}
			}
		}
	}
	return slots
}

// evexSlots returns every opcode of the EVEX maps with every pp and W, on
// masked 512 and plain 128 bits.
func evexSlots() (slots [][]byte) {
	for _, m := range []byte{1, 2, 3, 5, 6} {
		for op := range 256 {
			for _, reg := range []byte{0, 2, 6} {
				for _, tail := range vexTails {
					for wpp := range byte(16) {
						head := []byte{0x62, 0xF0 | m, 0x7C | wpp&3 | wpp<<5&0x80, 0x49, byte(op)}
						if wpp >= 8 {
							head[3] = 0x08
						}
						slots = append(slots, join(head, withReg(tail, reg)))
					}
				}
			}
		}
	}
	return slots
}

// onlyPrefix reports whether objdump printed prefixes alone, as it does when
// it cannot make sense of them together with what follows.
func onlyPrefix(l objdumpLine) bool {
	for _, w := range strings.Fields(l.text) {
		switch w {
		case "data16", "addr32", "repz", "repnz", "lock", "cs", "ds", "es", "ss", "fs", "gs":
		default:
			if w != "rex" && !strings.HasPrefix(w, "rex.") {
				return false
			}
		}
	}
	return true
}

// TestOpcodesObjdump compares the length of every opcode in many variants with
// objdump, where both know the instruction. What only one of them knows is
// counted: which instructions exist depends on the version of objdump.
func TestOpcodesObjdump(t *testing.T) {
	if testing.Short() {
		t.Skip("disassembles 700,000 pieces of code")
	}
	// atLeast is how many must be compared, so that a decoder that refuses
	// everything does not pass.
	t.Run("legacy", func(t *testing.T) { compareSlots(t, legacySlots(), 90_000) })
	t.Run("VEX and XOP", func(t *testing.T) { compareSlots(t, vexSlots(), 25_000) })
	t.Run("EVEX", func(t *testing.T) { compareSlots(t, evexSlots(), 12_000) })
}

func compareSlots(t *testing.T, slots [][]byte, atLeast int) {
	both, refused := 0, 0
	objdumpSlots(t, slots, func(code []byte, l objdumpLine) {
		if !l.known() || onlyPrefix(l) {
			return
		}
		in, err := Decode(code)
		if err != nil {
			refused++
			return
		}
		both++
		if int(in.Len) != len(l.code) {
			t.Errorf("% x: length %d, objdump says %d: %s", code, in.Len, len(l.code), l.text)
		}
	})
	t.Logf("%d pieces of code: %d compared, %d that only objdump knows", len(slots), both, refused)
	if both < atLeast {
		t.Errorf("compared %d instructions, want at least %d", both, atLeast)
	}
}
