package amd64

import (
	"bytes"
	"testing"
)

func TestDecodeFields(t *testing.T) {
	for _, c := range []struct {
		hex, text string
		want      Inst
	}{
		{"90", "nop", Inst{Len: 1, Op: 0x90}},
		{"80 3d 78 56 34 12 00", "cmpb $0, 0x12345678(%rip)", Inst{
			Len: 7, Op: 0x80, HasModRM: true, ModRM: 0x3D, DispOff: 2, DispLen: 4, ImmOff: 6, ImmLen: 1,
		}},
		{"44 0f b6 0d 78 56 34 12", "movzbl 0x12345678(%rip), %r9d", Inst{
			Len: 8, Map: 1, Op: 0xB6, Rex: 0x44, HasModRM: true, ModRM: 0x0D, DispOff: 4, DispLen: 4,
		}},
		{"66 2e 0f 1f 84 00 00 00 00 00", "cs nopw 0x0(%rax,%rax,1)", Inst{
			Len: 10, Map: 1, Op: 0x1F, Prefixes: OpSize | Segment,
			HasModRM: true, ModRM: 0x84, DispOff: 6, DispLen: 4,
		}},
		{"f0 48 0f b1 0a", "lock cmpxchg %rcx, (%rdx)", Inst{
			Len: 5, Map: 1, Op: 0xB1, Rex: 0x48, Prefixes: Lock, HasModRM: true, ModRM: 0x0A,
		}},
		{"f3 a4", "rep movsb", Inst{Len: 2, Op: 0xA4, Prefixes: Rep}},
		{"f2 ae", "repne scasb", Inst{Len: 2, Op: 0xAE, Prefixes: RepNE}},
		{"66 b8 34 12", "mov $0x1234, %ax", Inst{Len: 4, Op: 0xB8, Prefixes: OpSize, ImmOff: 2, ImmLen: 2}},
		{"66 48 b8 01 02 03 04 05 06 07 08", "REX.W beats 66", Inst{
			Len: 11, Op: 0xB8, Rex: 0x48, Prefixes: OpSize, ImmOff: 3, ImmLen: 8,
		}},
		{"66 48 05 01 02 03 04", "REX.W beats 66 here too", Inst{
			Len: 7, Op: 0x05, Rex: 0x48, Prefixes: OpSize, ImmOff: 3, ImmLen: 4,
		}},
		{"48 66 b8 34 12", "a REX before a prefix is ignored", Inst{
			Len: 5, Op: 0xB8, Prefixes: OpSize, ImmOff: 3, ImmLen: 2,
		}},
		{"48 40 b8 01 02 03 04", "the last REX counts", Inst{Len: 7, Op: 0xB8, Rex: 0x40, ImmOff: 3, ImmLen: 4}},
		{"67 a1 01 02 03 04", "movabs 0x4030201, %eax", Inst{
			Len: 6, Op: 0xA1, Prefixes: AddrSize, DispOff: 2, DispLen: 4,
		}},
		{"48 a3 01 02 03 04 05 06 07 08", "movabs %rax, moffs64", Inst{Len: 10, Op: 0xA3, Rex: 0x48, DispOff: 2, DispLen: 8}},
		{"c8 34 12 01", "enter $0x1234, $1", Inst{Len: 4, Op: 0xC8, ImmOff: 1, ImmLen: 3}},
		{"66 66 48 e8 01 02 03 04", "call of __tls_get_addr, as compilers pad it", Inst{
			Len: 8, Op: 0xE8, Rex: 0x48, Prefixes: OpSize, ImmOff: 4, ImmLen: 4,
		}},
		{"0f 20 05", "mov %cr0, %rbp: mod is ignored", Inst{Len: 3, Map: 1, Op: 0x20, HasModRM: true, ModRM: 0x05}},
		{"0f 0f c1 9e", "pfadd %mm1, %mm0", Inst{
			Len: 4, Map: 1, Op: 0x0F, HasModRM: true, ModRM: 0xC1, ImmOff: 3, ImmLen: 1,
		}},
		{"66 0f 3a 0f c1 08", "palignr $8, %xmm1, %xmm0", Inst{
			Len: 6, Map: 3, Op: 0x0F, Prefixes: OpSize, HasModRM: true, ModRM: 0xC1, ImmOff: 5, ImmLen: 1,
		}},
		{"c5 f8 77", "vzeroupper", Inst{Len: 3, Enc: VEX, Map: 1, Op: 0x77}},
		{"c4 e3 7d 39 05 01 02 03 04 01", "vextracti128 $1, %ymm0, 0x4030201(%rip)", Inst{
			Len: 10, Enc: VEX, Map: 3, Op: 0x39, HasModRM: true, ModRM: 0x05, DispOff: 5, DispLen: 4, ImmOff: 9, ImmLen: 1,
		}},
		{"62 f1 7c 48 10 40 01", "vmovups 0x40(%rax), %zmm0: a displacement of one byte", Inst{
			Len: 7, Enc: EVEX, Map: 1, Op: 0x10, HasModRM: true, ModRM: 0x40, DispOff: 6, DispLen: 1,
		}},
		{"62 f6 6d 48 42 c1", "vgetexpph in map 6", Inst{Len: 6, Enc: EVEX, Map: 6, Op: 0x42, HasModRM: true, ModRM: 0xC1}},
		{"8f ea 78 10 c1 01 02 03 04", "bextr $0x4030201, %ecx, %eax", Inst{
			Len: 9, Enc: XOP, Map: 10, Op: 0x10, HasModRM: true, ModRM: 0xC1, ImmOff: 5, ImmLen: 4,
		}},
		{"8f 45 08", "pop 0x8(%rbp), not XOP", Inst{
			Len: 3, Op: 0x8F, HasModRM: true, ModRM: 0x45, DispOff: 2, DispLen: 1,
		}},
		{"64 67 c5 fc 10 05 01 02 03 04", "vmovups %fs:(%eip)", Inst{
			Len: 10, Enc: VEX, Map: 1, Op: 0x10, Prefixes: Segment | AddrSize,
			HasModRM: true, ModRM: 0x05, DispOff: 6, DispLen: 4,
		}},
	} {
		code := mustHex(t, c.hex)
		in, err := Decode(code)
		if err != nil || in != c.want {
			t.Errorf("%s (%s):\n got %+v, %v\nwant %+v", c.hex, c.text, in, err, c.want)
		}
	}
}

// TestDecodeRefuses: the bytes are followed by more code, so that nothing is
// refused for being cut off.
func TestDecodeRefuses(t *testing.T) {
	behind := bytes.Repeat([]byte{0x00}, 16)
	for _, c := range []struct {
		hex, reason string
		want        error
	}{
		{"06", "push es", ErrInvalid},
		{"07", "pop es", ErrInvalid},
		{"0e", "push cs", ErrInvalid},
		{"16", "push ss", ErrInvalid},
		{"17", "pop ss", ErrInvalid},
		{"1e", "push ds", ErrInvalid},
		{"1f", "pop ds", ErrInvalid},
		{"27", "daa", ErrInvalid},
		{"2f", "das", ErrInvalid},
		{"37", "aaa", ErrInvalid},
		{"3f", "aas", ErrInvalid},
		{"60", "pusha", ErrInvalid},
		{"61", "popa", ErrInvalid},
		{"82", "group 1 alias", ErrInvalid},
		{"9a", "callf", ErrInvalid},
		{"ce", "into", ErrInvalid},
		{"d4", "aam", ErrInvalid},
		{"d5", "aad, or REX2", ErrInvalid},
		{"d6", "salc", ErrInvalid},
		{"ea", "jmpf", ErrInvalid},
		{"62 01", "bound", ErrInvalid},
		{"c4 01", "les", ErrInvalid},
		{"c5 01 ff", "lds", ErrInvalid},
		{"0f 04", "no opcode", ErrInvalid},
		{"0f 0a", "no opcode", ErrInvalid},
		{"0f 24", "mov tr", ErrInvalid},
		{"0f 38 0c", "no opcode", ErrInvalid},
		{"0f 3a 00", "no opcode", ErrInvalid},
		{"0f 39", "no map", ErrInvalid},
		{"0f 0f c1 00", "no 3DNow! suffix", ErrInvalid},
		{"0f b8 c1", "jmpe; popcnt needs F3", ErrInvalid},
		{"f3 0f 78 c1", "no such prefix", ErrInvalid},
		{"66 0f 78 c8", "extrq is /0", ErrInvalid},
		{"fe d0", "/2", ErrInvalid},
		{"ff f8", "/7", ErrInvalid},
		{"c6 c8", "/1", ErrInvalid},
		{"8f c8 00", "pop is /0", ErrInvalid},
		{"0f ba c0", "/0", ErrInvalid},
		{"0f 71 c0", "/0", ErrInvalid},
		{"66 e8", "call", ErrAmbiguous},
		{"66 e9", "jmp", ErrAmbiguous},
		{"66 eb", "jmp", ErrAmbiguous},
		{"66 74", "je", ErrAmbiguous},
		{"66 0f 84", "je", ErrAmbiguous},
		{"66 e3", "jrcxz", ErrAmbiguous},
		{"66 c5 f8 77", "66 before VEX", ErrInvalid},
		{"f3 c5 f8 77", "F3 before VEX", ErrInvalid},
		{"48 c5 f8 77", "REX before VEX", ErrInvalid},
		{"f0 62 f1 7c 48 10 00", "LOCK before EVEX", ErrInvalid},
		{"c4 e0 78 10", "VEX map 0", ErrInvalid},
		{"c4 e4 78 10", "VEX map 4", ErrInvalid},
		{"c4 e7 7b f8", "VEX map 7", ErrInvalid},
		{"c4 ff 78 10", "VEX map 31", ErrInvalid},
		{"62 f9 7c 48 10", "EVEX with B4 (APX)", ErrInvalid},
		{"62 f1 78 48 10", "EVEX with X4 (APX)", ErrInvalid},
		{"62 f4 7c 08 01", "EVEX map 4 (APX)", ErrInvalid},
		{"62 f7 7c 48 f8", "EVEX map 7", ErrInvalid},
		{"62 f0 7c 48 10", "EVEX map 0", ErrInvalid},
		{"62 f1 7c 48 77", "no EVEX opcode", ErrInvalid},
		{"8f eb 78 10", "XOP map 11", ErrInvalid},
		{"8f e9 78 02 c0", "/0", ErrInvalid},
		{"c5 f8 72 c0", "/0", ErrInvalid},
		{"c5 f8 ae c0", "/0", ErrInvalid},
		{"c4 e2 78 f3 c0", "/0", ErrInvalid},
		{"66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", "16 bytes", ErrInvalid},
		{"66 66 66 66 66 66 66 66 66 66 66 66 66 66 f7 c0", "14 prefixes and 4 bytes", ErrInvalid},
	} {
		code := join(mustHex(t, c.hex), behind)
		if in, err := Decode(code); err != c.want || in != (Inst{}) {
			t.Errorf("%s (%s): got %+v, %v, want %v", c.hex, c.reason, in, err, c.want)
		}
	}
}

func TestDecodeLimit(t *testing.T) {
	prefixes := bytes.Repeat([]byte{0x66}, 20)
	for n := range maxInstLen {
		code := join(prefixes[:n], []byte{0x90})
		if in, err := Decode(code); err != nil || int(in.Len) != n+1 {
			t.Errorf("NOP with %d prefixes: length %d, %v", n, in.Len, err)
		}
		if _, err := Decode(prefixes[:n]); err != ErrTruncated {
			t.Errorf("%d prefixes alone: %v, want %v", n, err, ErrTruncated)
		}
	}
	for n := maxInstLen; n <= len(prefixes); n++ {
		if _, err := Decode(prefixes[:n]); err != ErrInvalid {
			t.Errorf("%d prefixes alone: %v, want %v", n, err, ErrInvalid)
		}
	}
	// 8 prefixes and an instruction of 7 bytes fit, one more prefix does not.
	for n, want := range map[int]error{8: nil, 9: ErrInvalid} {
		code := join(bytes.Repeat([]byte{0x3E}, n), []byte{0x80, 0x3D, 1, 2, 3, 4, 0})
		if _, err := Decode(code); err != want {
			t.Errorf("cmpb with %d prefixes: %v, want %v", n, err, want)
		}
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	for _, code := range []string{"80 3d 01 02 03 04 00", "62 f1 7c 48 10 40 01", "06", "80"} {
		b := mustHex(t, code)
		if n := testing.AllocsPerRun(100, func() { _, _ = Decode(b) }); n != 0 {
			t.Errorf("Decode(%s) allocates %v times", code, n)
		}
	}
}

func TestRIPRelative(t *testing.T) {
	for hex, want := range map[string]bool{
		"48 8b 05 01 02 03 04":       true,
		"c5 fc 10 05 01 02 03 04":    true,
		"80 3d 01 02 03 04 00":       true,
		"67 48 8b 05 01 02 03 04":    false, // EIP
		"48 8b 04 25 01 02 03 04":    false, // absolute
		"48 8b 45 01":                false, // RBP
		"48 8b c5":                   false,
		"0f 20 05":                   false, // MOV CR0, RBP
		"a1 05 02 03 04 05 06 07 08": false, // moffs
		"05 01 02 03 04":             false,
	} {
		in, err := Decode(mustHex(t, hex))
		if err != nil || in.RIPRelative() != want {
			t.Errorf("%s: RIPRelative %v, %v", hex, in.RIPRelative(), err)
		}
	}
}
