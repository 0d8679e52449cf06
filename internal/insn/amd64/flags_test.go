package amd64

import (
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		hex, text string
		want      FlagUse
	}{
		{"90", "nop", KeepsFlags},
		{"66 90", "xchg %ax, %ax", KeepsFlags},
		{"66 0f 1f 44 00 00", "nopw", KeepsFlags},
		{"89 c8", "mov %ecx, %eax", KeepsFlags},
		{"48 8b 05 01 02 03 04", "mov, RIP-relative", KeepsFlags},
		{"c7 c0 01 02 03 04", "mov imm", KeepsFlags},
		{"c6 05 01 02 03 04 05", "movb imm", KeepsFlags},
		{"48 b8 01 02 03 04 05 06 07 08", "movabs", KeepsFlags},
		{"a1 01 02 03 04 05 06 07 08", "mov moffs", KeepsFlags},
		{"0f b6 c1", "movzx", KeepsFlags},
		{"0f bf c1", "movsx", KeepsFlags},
		{"48 63 c1", "movsxd", KeepsFlags},
		{"8d 04 08", "lea", KeepsFlags},
		{"87 08", "xchg", KeepsFlags},
		{"93", "xchg", KeepsFlags},
		{"55", "push", KeepsFlags},
		{"5d", "pop", KeepsFlags},
		{"6a 01", "push imm8", KeepsFlags},
		{"ff 30", "push mem", KeepsFlags},
		{"8f 00", "pop mem", KeepsFlags},
		{"0f 10 00", "movups", KeepsFlags},
		{"f2 0f 11 00", "movsd", KeepsFlags},
		{"66 48 0f 6e c0", "movq", KeepsFlags},
		{"f3 0f 6f 00", "movdqu", KeepsFlags},
		{"c5 fc 10 00", "vmovups", KeepsFlags},
		{"62 f1 7c 48 11 00", "vmovups zmm", KeepsFlags},

		{"74 00", "je", ReadsCond},
		{"0f 85 01 02 03 04", "jne", ReadsCond},
		{"0f 94 c0", "sete", ReadsCond},
		{"48 0f 44 c1", "cmove", ReadsCond},
		{"7a 00", "jp", ReadsParity},
		{"0f 8b 01 02 03 04", "jnp", ReadsParity},
		{"0f 9a c0", "setp", ReadsParity},
		{"0f 4b c1", "cmovnp", ReadsParity},

		{"eb 00", "jmp: goes elsewhere", Unknown},
		{"e8 00 00 00 00", "call", Unknown},
		{"e3 00", "jrcxz", Unknown},
		{"e1 00", "loope reads ZF", Unknown},
		{"c3", "ret", Unknown},
		{"9c", "pushf reads all", Unknown},
		{"9d", "popf", Unknown},
		{"9f", "lahf", Unknown},
		{"10 c1", "adc", Unknown},
		{"31 c0", "xor", Unknown},
		{"85 c0", "test", Unknown},
		{"ff c0", "inc", Unknown},
		{"ff d0", "call reg", Unknown},
		{"f7 d0", "not: not listed", Unknown},
		{"0f 1f 00", "nopl", KeepsFlags},
		{"0f a2", "cpuid", Unknown},
		{"0f 20 c0", "mov cr leaves flags undefined", Unknown},
		{"da c8", "fcmove", Unknown},
		{"da d8", "fcmovu reads PF", Unknown},
		{"66 0f 2e c1", "ucomisd", Unknown},
		{"c5 f8 2e c1", "vucomiss", Unknown},
		{"c5 f4 4a c2", "kadd has the opcode of cmovp", Unknown},
		{"c5 f8 90 c1", "kmov has that of seto", Unknown},
		{"c5 f8 98 c1", "kortest", Unknown},
		{"c4 e2 78 f2 c1", "andn", Unknown},
		{"c7 f8 01 02 03 04", "xbegin", Unknown},
		{"c6 f8 01", "xabort", Unknown},
		{"66 0f 38 17 c1", "ptest: 17 is a move in map 1 only", Unknown},
		{"8f e9 78 90 c1", "vprotb: an XOP", Unknown},
	} {
		in, err := Decode(mustHex(t, c.hex))
		if err != nil {
			t.Errorf("%s (%s): %v", c.hex, c.text, err)
		} else if got := in.Flags(); got != c.want {
			t.Errorf("%s (%s): Flags() = %v, want %v", c.hex, c.text, got, c.want)
		}
	}
}

// TestKeepsFlagsNames checks every instruction of the table that is said to
// keep the flags by its name: only moves, exchanges, pushes, pops, LEA and NOP.
func TestKeepsFlagsNames(t *testing.T) {
	n := 0
	for _, v := range vectors(t) {
		in, err := Decode(v.code)
		if err != nil || in.Flags() != KeepsFlags {
			continue
		}
		n++
		name := v.text
		for _, p := range []string{"lock ", "xacquire ", "cs ", "rep ", "addr32 ", "{evex} "} {
			name = strings.TrimPrefix(name, p)
		}
		if !movesOnly(name) {
			t.Errorf("% x (%s): said to keep the flags", v.code, v.text)
		}
	}
	if n < 100 {
		t.Errorf("%d instructions of the table keep the flags, expected more", n)
	}
}

func movesOnly(name string) bool {
	name, _, _ = strings.Cut(name, " ")
	switch {
	case strings.HasPrefix(name, "pushf"), strings.HasPrefix(name, "popf"), strings.HasPrefix(name, "popcnt"):
		return false
	}
	for _, p := range []string{"mov", "vmov", "xchg", "push", "pop", "lea", "nop", "pause", "unpck", "vunpck", "lddqu", "vlddqu"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// TestCond compares Cond with the names that x86asm gives: every condition
// code in each of the four encodings, and no other instruction of the maps.
func TestCond(t *testing.T) {
	names := [16]string{"O", "NO", "B", "AE", "E", "NE", "BE", "A", "S", "NS", "P", "NP", "L", "GE", "LE", "G"}
	found := 0
	for op := range 512 {
		code := []byte{byte(op), 0xC1, 1, 2, 3, 4, 5, 6}
		if op >= 256 {
			code = join([]byte{0x0F}, code)
		}
		in, err := Decode(code)
		want, werr := x86asm.Decode(code, 64)
		if err != nil || werr != nil {
			continue
		}
		cc, ok := in.Cond()
		name := want.Op.String()
		isCond := name[0] == 'J' && want.Op != x86asm.JMP && want.Op != x86asm.JRCXZ ||
			strings.HasPrefix(name, "SET") || strings.HasPrefix(name, "CMOV")
		if ok != isCond {
			t.Errorf("% x (%s): Cond() says %v", code, name, ok)
		}
		if ok {
			found++
			suffix := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(name, "J"), "SET"), "CMOV")
			if suffix != names[cc] {
				t.Errorf("% x (%s): condition %#x, which is %s", code, name, cc, names[cc])
			}
		}
	}
	if found != 64 {
		t.Errorf("%d conditional instructions, want 4 times 16", found)
	}
}
