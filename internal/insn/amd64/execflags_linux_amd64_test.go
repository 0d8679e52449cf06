package amd64

import (
	"strings"
	"testing"
)

// TestExecuteFlags runs the instructions of the tables that work on registers
// alone, with flags that differ only where Flags says that it does not matter.
func TestExecuteFlags(t *testing.T) {
	ran := 0
	for _, v := range vectors(t) {
		in, err := Decode(v.code)
		if err != nil || in.Len > MaxLen || !safeToRun(in, v.text) {
			continue
		}
		u := in.Flags()
		if !u.Known {
			continue
		}
		ran++
		asked := uint64(u.Reads.Flags())
		for _, start := range states() {
			other := start
			start.RFLAGS &= asked
			other.RFLAGS = start.RFLAGS | arithmeticFlags&^asked
			a, b := execute(t, codeOf(t, v.code), 0, start), execute(t, codeOf(t, v.code), 0, other)
			sameRegs(t, v.text, a, b)
			if (a.RFLAGS^b.RFLAGS)&uint64(u.Writes) != 0 {
				t.Errorf("% x (%s): flags %#x and %#x behind it, said to write %#x", v.code, v.text, a.RFLAGS, b.RFLAGS, u.Writes)
			}
			if u.Writes == 0 && u.Reads != 0 && a.RFLAGS&arithmeticFlags != start.RFLAGS {
				t.Errorf("% x (%s): flags %#x behind it, %#x before it", v.code, v.text, a.RFLAGS, start.RFLAGS)
			}
		}
	}
	if ran < 150 {
		t.Errorf("ran %d instructions, expected more", ran)
	}
}

// safeToRun picks those that neither touch memory nor RSP, nor can fault.
func safeToRun(in Inst, text string) bool {
	name, _ := mnemonic(text)
	if in.Enc != Legacy || in.Map > 1 || in.Prefixes&^(OpSize|Rep) != 0 || in.Flow() != Next || strings.Contains(text, "div") ||
		in.HasModRM && (in.ModRM < 0xC0 || in.ModRM&7 == regSP || in.ModRM>>3&7 == regSP && in.Map == 0 && in.Op < 0x80) {
		return false
	}
	switch {
	case in.Map == 1 && in.Op < 0x40, in.Map == 1 && in.Op >= 0x50 && in.Op < 0x80, in.Map == 1 && in.Op >= 0xC2 && in.Op < 0xC8, in.Map == 1 && in.Op >= 0xD0:
		return false // SSE and MMX: the flags are no business of theirs, and the trampoline does not save them
	case strings.HasPrefix(name, "push"), strings.HasPrefix(name, "pop"), strings.HasPrefix(name, "movs"), strings.HasPrefix(name, "stos"):
		return in.HasModRM
	}
	return !strings.Contains(text, "%rsp") && !strings.Contains(text, "%esp") && !strings.Contains(text, "%sp") && in.DispLen == 0
}
