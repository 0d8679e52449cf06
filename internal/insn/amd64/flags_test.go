package amd64

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

func TestFlags(t *testing.T) {
	keeps, unknown := writes(writesNone), FlagUse{}
	reads := func(cc uint8) FlagUse { return FlagUse{Known: true, Reads: 1 << cc} }
	carry := FlagUse{Known: true, Reads: 1 << condB, Writes: writesAll}
	for _, c := range []struct {
		hex, text string
		want      FlagUse
	}{
		{"90", "nop", keeps},
		{"66 90", "xchg %ax, %ax", keeps},
		{"66 0f 1f 44 00 00", "nopw", keeps},
		{"0f 1f 00", "nopl", keeps},
		{"89 c8", "mov %ecx, %eax", keeps},
		{"48 8b 05 01 02 03 04", "mov, RIP-relative", keeps},
		{"c7 c0 01 02 03 04", "mov imm", keeps},
		{"c6 05 01 02 03 04 05", "movb imm", keeps},
		{"48 b8 01 02 03 04 05 06 07 08", "movabs", keeps},
		{"a1 01 02 03 04 05 06 07 08", "mov moffs", keeps},
		{"0f b6 c1", "movzx", keeps},
		{"0f bf c1", "movsx", keeps},
		{"48 63 c1", "movsxd", keeps},
		{"48 99", "cqto", keeps},
		{"f3 48 ab", "rep stos", keeps},
		{"8d 04 08", "lea", keeps},
		{"87 08", "xchg", keeps},
		{"93", "xchg", keeps},
		{"55", "push", keeps},
		{"5d", "pop", keeps},
		{"6a 01", "push imm8", keeps},
		{"ff 30", "push mem", keeps},
		{"8f 00", "pop mem", keeps},
		{"0f 10 00", "movups", keeps},
		{"f2 0f 11 00", "movsd", keeps},
		{"66 48 0f 6e c0", "movq", keeps},
		{"f3 0f 6f 00", "movdqu", keeps},
		{"c5 fc 10 00", "vmovups", keeps},
		{"62 f1 7c 48 11 00", "vmovups zmm", keeps},
		{"f2 0f 58 c1", "addsd", keeps},
		{"c4 e2 f1 b9 c2", "vfmadd231sd", keeps},
		{"0f c8", "bswap", keeps},
		{"f7 d0", "not", keeps},
		{"48 f7 f9", "idiv leaves all flags undefined", keeps},
		{"48 c1 e0 04", "shl $4: not certain, by the bytes that are looked at", keeps},
		{"48 d3 e0", "shl %cl: writes nothing if CL is 0", keeps},
		{"c4 e2 fb f7 c1", "shrx, or bextr: not certain", keeps},

		{"85 c0", "test", writes(writesAll)},
		{"31 c0", "xor", writes(writesAll)},
		{"48 39 d8", "cmp", writes(writesAll)},
		{"48 83 ec 20", "sub imm8", writes(writesAll)},
		{"48 81 c4 00 01 00 00", "add imm32", writes(writesAll)},
		{"f7 d8", "neg", writes(writesAll)},
		{"f0 0f b1 0a", "lock cmpxchg", writes(writesAll)},
		{"f0 0f c1 0a", "lock xadd", writes(writesAll)},
		{"66 0f 2e c1", "ucomisd", writes(writesAll)},
		{"c5 f8 2e c1", "vucomiss", writes(writesAll)},
		{"f3 0f b8 c1", "popcnt", writes(writesAll)},
		{"48 d1 e0", "shl $1", writes(writesAll)},
		{"ff c0", "inc", writes(ReadableFlags &^ flagCF)},
		{"48 ff 05 01 02 03 04", "incq mem", writes(ReadableFlags &^ flagCF)},
		{"0f af c1", "imul leaves ZF undefined", writes(flagCF | flagOF)},
		{"48 f7 e1", "mul", writes(flagCF | flagOF)},
		{"48 d1 c0", "rol $1", writes(flagCF | flagOF)},
		{"0f a3 c8", "bt", writes(flagCF)},
		{"0f ba e0 03", "bt imm", writes(flagCF)},
		{"0f bc c1", "bsf", writes(flagZF)},
		{"48 0f c7 08", "cmpxchg16b", writes(flagZF)},
		{"c4 e2 78 f2 c1", "andn leaves PF undefined", writes(ReadableFlags &^ flagPF)},

		{"74 00", "je", reads(condE)},
		{"0f 85 01 02 03 04", "jne", reads(condNE)},
		{"0f 94 c0", "sete", reads(condE)},
		{"48 0f 4f c1", "cmovg", reads(condG)},
		{"7a 00", "jp", reads(condP)},
		{"0f 9b c0", "setnp", reads(condP + 1)},
		{"10 c1", "adc", carry},
		{"48 19 c0", "sbb", carry},
		{"48 83 d0 00", "adc $0", carry},

		{"eb 00", "jmp: goes elsewhere", unknown},
		{"e8 00 00 00 00", "call", unknown},
		{"ff d0", "call reg", unknown},
		{"e3 00", "jrcxz", unknown},
		{"e1 00", "loope reads ZF", unknown},
		{"c3", "ret", unknown},
		{"9c", "pushf reads all", unknown},
		{"9d", "popf", unknown},
		{"9f", "lahf", unknown},
		{"f5", "cmc", unknown},
		{"48 d1 d0", "rcl reads CF", unknown},
		{"48 c1 d0 04", "rcl imm reads CF", unknown},
		{"48 d3 d8", "rcr %cl reads CF", unknown},
		{"a6", "cmps, of which a prefix may make none", unknown},
		{"0f a2", "cpuid", unknown},
		{"0f 20 c0", "mov cr leaves flags undefined", unknown},
		{"0f c7 f0", "rdrand", unknown},
		{"66 0f 38 f6 c1", "adcx", unknown},
		{"da c8", "fcmove", unknown},
		{"da d8", "fcmovu reads PF", unknown},
		{"c5 f4 4a c2", "kadd has the opcode of cmovp", unknown},
		{"c5 f8 90 c1", "kmov has that of seto", unknown},
		{"c5 f8 98 c1", "kortest", unknown},
		{"62 f1 7c 08 2e c1", "vucomiss, EVEX: not listed", unknown},
		{"c7 f8 01 02 03 04", "xbegin", unknown},
		{"c6 f8 01", "xabort", unknown},
		{"66 0f 38 17 c1", "ptest: 17 is a move in map 1 only", unknown},
		{"8f e9 78 90 c1", "vprotb: an XOP", unknown},
	} {
		in, err := Decode(mustHex(t, c.hex))
		if err != nil {
			t.Errorf("%s (%s): %v", c.hex, c.text, err)
		} else if got := in.Flags(); got != c.want {
			t.Errorf("%s (%s): Flags() = %+v, want %+v", c.hex, c.text, got, c.want)
		}
	}
}

// flagWriters says by name what the manuals say of instructions that write flags
// (Intel SDM vol. 1, appendix A), besides those that read a condition.
var flagWriters = map[string]Flags{
	"add": writesAll, "or": writesAll, "adc": writesAll, "sbb": writesAll, "and": writesAll, "sub": writesAll,
	"xor": writesAll, "cmp": writesAll, "test": writesAll, "neg": writesAll, "cmpxchg": writesAll, "xadd": writesAll,
	"popcnt": writesAll, "comiss": writesAll, "comisd": writesAll, "ucomiss": writesAll, "ucomisd": writesAll,
	"vcomiss": writesAll, "vcomisd": writesAll, "vucomiss": writesAll, "vucomisd": writesAll,
	"inc": allButCF, "dec": allButCF, "mul": onlyCFOF, "imul": onlyCFOF,
	"bt": onlyCF, "btc": onlyCF, "btr": onlyCF, "bts": onlyCF,
	"bsf": onlyZF, "bsr": onlyZF, "lzcnt": onlyZF, "tzcnt": onlyZF, "cmpxchg8b": onlyZF, "cmpxchg16b": onlyZF,
	"andn": allButPF, "blsi": allButPF, "blsr": allButPF, "blsmsk": allButPF,
}

// mayNotBeKnown are the instructions that read flags otherwise, or touch them
// without being in flagWriters, or go elsewhere.
var mayNotBeKnown = regexp.MustCompile(`^(v?ptest|vtestp|v?pcmp[ei]str|k|pushf|popf|lahf|sahf|cm?c$|clc|stc|rc[lr]|cmps[bwlq]?$|scas|adcx|adox|` +
	`rdrand|rdseed|la[hr]|lsl|ver[rw]|umwait|tpause|xbegin|xabort|xend|xtest|enqcmd|f|loop|j[er]?cxz|in$|ins[bwl]|out|iret|sys|call|jmp|ret|lods|ud|hlt)`)

// TestFlagsNames checks each instruction of the tables by its name.
func TestFlagsNames(t *testing.T) {
	known, cond := 0, regexp.MustCompile(`^(?:j|set|cmov)(.+)$`)
	for _, v := range vectors(t) {
		in, err := Decode(v.code)
		u := in.Flags()
		if err != nil || !u.Known {
			continue
		}
		known++
		name, operands := mnemonic(v.text)
		var want FlagUse
		if m := cond.FindStringSubmatch(name); m != nil {
			want.Reads = 1 << slices.Index(condNames[:], m[1])
		} else if w, ok := flagWriters[name]; ok {
			want.Writes = w
		} else if w, ok := flagWriters[name[:len(name)-1]]; ok && strings.ContainsAny(name[len(name)-1:], "bwlq") {
			want.Writes = w
		} else if shift := regexp.MustCompile(`^(sh[lr]|sar|ro[lr])[bwlq]?$`).FindStringSubmatch(name); shift != nil {
			switch byOne := strings.HasPrefix(operands, "$1,") || !strings.Contains(operands, ","); {
			case byOne && name[0] == 'r':
				want.Writes = onlyCFOF
			case byOne:
				want.Writes = writesAll
			}
		}
		if strings.HasPrefix(name, "adc") || strings.HasPrefix(name, "sbb") {
			want.Reads = 1 << condB
		}
		if want.Known = !mayNotBeKnown.MatchString(name) || want.Writes|onlyCF == onlyZF|onlyCF; u != want {
			t.Errorf("% x (%s): %+v, want %+v", v.code, v.text, u, want)
		}
	}
	if known < 700 {
		t.Errorf("%d instructions of the tables are known, expected more", known)
	}
}

// mnemonic splits objdump's text, without prefixes.
func mnemonic(text string) (name, operands string) {
	for {
		name, operands, _ = strings.Cut(text, " ")
		switch name {
		case "lock", "xacquire", "xrelease", "cs", "ds", "rep", "repz", "addr32", "data16", "{evex}":
			text = operands
		default:
			return name, operands
		}
	}
}

func TestFlow(t *testing.T) {
	const at = 0x401000
	for _, c := range []struct {
		hex, text string
		want      Flow
		target    uint64
	}{
		{"90", "nop", Next, 0},
		{"48 ff c0", "inc", Next, 0},
		{"0f 94 c0", "sete", Next, 0},
		{"48 0f 44 c1", "cmove", Next, 0},
		{"74 10", "je", Branch, at + 2 + 16},
		{"74 fe", "je to itself", Branch, at},
		{"0f 84 00 01 00 00", "je rel32", Branch, at + 6 + 256},
		{"0f 8a fa ff ff ff", "jp rel32", Branch, at},
		{"eb 80", "jmp", Jump, at + 2 - 128},
		{"e9 fb ff ff ff", "jmp rel32", Jump, at},
		{"e8 00 00 00 00", "call", Call, at + 5},
		{"ff d0", "call reg", Call, 0},
		{"ff 15 01 02 03 04", "call mem", Call, 0},
		{"c3", "ret", Stop, 0},
		{"f3 c3", "rep ret", Stop, 0},
		{"c2 08 00", "ret imm", Stop, 0},
		{"0f 0b", "ud2", Stop, 0},
		{"ff e0", "jmp reg", Other, 0},
		{"ff 24 c8", "jmp mem", Other, 0},
		{"ff 18", "call far", Other, 0},
		{"cb", "ret far", Other, 0},
		{"e3 00", "jrcxz", Other, 0},
		{"e2 00", "loop", Other, 0},
		{"cc", "int3", Other, 0},
		{"cd 80", "int", Other, 0},
		{"0f 05", "syscall", Other, 0},
		{"c7 f8 00 00 00 00", "xbegin", Other, 0},
		{"c5 f8 77", "vzeroupper", Next, 0},
		{"c5 f8 98 c1", "kortest", Other, 0},
		{"8f e9 78 90 c1", "vprotb", Other, 0},
	} {
		code := mustHex(t, c.hex)
		in, err := Decode(code)
		if err != nil {
			t.Errorf("%s (%s): %v", c.hex, c.text, err)
		} else if got, to := in.Flow(), BranchTarget(at, in, code); got != c.want || to != c.target {
			t.Errorf("%s (%s): flow %v to %#x, want %v to %#x", c.hex, c.text, got, to, c.want, c.target)
		} else if to := BranchTarget(at, in, code[:len(code)-1]); to != 0 {
			t.Errorf("%s (%s), cut off: target %#x", c.hex, c.text, to)
		}
	}
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
