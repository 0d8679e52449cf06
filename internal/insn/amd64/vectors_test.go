package amd64

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// readTable calls row with the fields of each line of a table in testdata.
func readTable(t testing.TB, name string, fields int, row func(f []string)) {
	t.Helper()
	file, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows := 0
	sc := bufio.NewScanner(file)
	for sc.Scan() {
		if line := sc.Text(); line != "" && line[0] != '#' {
			f := strings.SplitN(line, ";", fields)
			if len(f) != fields {
				t.Fatalf("%s: %q has %d fields, want %d", name, line, len(f), fields)
			}
			for i := range f {
				f[i] = strings.TrimSpace(f[i])
			}
			row(f)
			rows++
		}
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	if rows == 0 {
		t.Fatalf("%s: no rows", name)
	}
}

type vector struct {
	code []byte
	text string
}

// vectors returns the instructions of testdata: operands of all kinds in
// vectors.txt, every opcode in opcodes.txt.
func vectors(t testing.TB) (all []vector) {
	t.Helper()
	for _, name := range []string{"vectors.txt", "opcodes.txt"} {
		readTable(t, name, 2, func(f []string) {
			all = append(all, vector{mustHex(t, f[0]), f[1]})
		})
	}
	return all
}

// TestVectors decodes each instruction of the table alone, with other code
// behind it, and cut off after every byte.
func TestVectors(t *testing.T) {
	behind := []byte{0xFF, 0x00, 0x48, 0xFF, 0x05, 0x80, 0x3D, 0xC4, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07}
	for _, v := range vectors(t) {
		in, err := Decode(v.code)
		if err != nil || int(in.Len) != len(v.code) {
			t.Errorf("% x (%s): length %d, %v", v.code, v.text, in.Len, err)
			continue
		}
		checkFields(t, v.code, in)
		checkOperands(t, v, in)
		longer, err := Decode(join(v.code, behind))
		if err != nil || longer != in {
			t.Errorf("% x (%s): %+v, %v with code behind it; %+v without", v.code, v.text, longer, err, in)
		}
		for n := range v.code {
			if in, err := Decode(v.code[:n]); err != ErrTruncated {
				t.Errorf("% x (%s), first %d bytes: length %d, %v", v.code, v.text, n, in.Len, err)
			}
		}
	}
}

// checkFields checks what must hold for the fields of any instruction.
func checkFields(t testing.TB, code []byte, in Inst) {
	t.Helper()
	if in.Len == 0 || in.Len > maxInstLen || int(in.Len) > len(code) {
		t.Fatalf("% x: length %d", code, in.Len)
	}
	end := in.Len
	if in.ImmLen != 0 {
		if in.ImmOff+in.ImmLen != end {
			t.Errorf("% x: immediate at %d+%d, length %d", code, in.ImmOff, in.ImmLen, in.Len)
		}
		end = in.ImmOff
	} else if in.ImmOff != 0 {
		t.Errorf("% x: ImmOff %d without an immediate", code, in.ImmOff)
	}
	if in.DispLen != 0 {
		if in.DispOff+in.DispLen != end {
			t.Errorf("% x: displacement at %d+%d, want its end at %d", code, in.DispOff, in.DispLen, end)
		}
	} else if in.DispOff != 0 {
		t.Errorf("% x: DispOff %d without a displacement", code, in.DispOff)
	}
	if !in.HasModRM && in.ModRM != 0 {
		t.Errorf("% x: ModRM %#x, but none is there", code, in.ModRM)
	}
}

// checkOperands checks displacement and immediate against the text: the table
// uses the same constant for all of four bytes.
func checkOperands(t testing.TB, v vector, in Inst) {
	t.Helper()
	const constant = "\x78\x56\x34\x12"
	if rip := strings.Contains(v.text, "(%rip)"); in.RIPRelative() != rip {
		t.Errorf("% x (%s): RIPRelative %v", v.code, v.text, in.RIPRelative())
	}
	if strings.Contains(v.text, "0x12345678(") && string(v.code[in.DispOff:in.DispOff+in.DispLen]) != constant {
		t.Errorf("% x (%s): displacement at %d, length %d", v.code, v.text, in.DispOff, in.DispLen)
	}
	if strings.Contains(v.text, "$0x12345678,") && string(v.code[in.ImmOff:in.ImmOff+in.ImmLen]) != constant {
		t.Errorf("% x (%s): immediate at %d, length %d", v.code, v.text, in.ImmOff, in.ImmLen)
	}
}

// opcode names one opcode; of 3DNow! it is the suffix, in a map of its own.
type opcode struct {
	enc    Encoding
	opMap  uint8
	op     byte
	suffix bool
}

// acceptedOpcodes returns every opcode that the tables of this package let through.
func acceptedOpcodes() map[opcode]bool {
	all := map[opcode]bool{}
	addSet := func(enc Encoding, opMap int, suffix bool, set *opSet) {
		for op := range 256 {
			if set.has(byte(op)) {
				all[opcode{enc, uint8(opMap), byte(op), suffix}] = true
			}
		}
	}
	for op := range 256 {
		if a := oneByte[op]; a < invalid || a == escapeXOP {
			all[opcode{Legacy, 0, byte(op), false}] = true
		}
		if map0F[op] < invalid {
			all[opcode{Legacy, 1, byte(op), false}] = true
		}
	}
	addSet(Legacy, 2, false, &known0F38)
	addSet(Legacy, 3, false, &known0F3A)
	addSet(Legacy, 1, true, &known3DNow)
	for m := range knownVEX {
		addSet(VEX, m, false, &knownVEX[m])
		addSet(EVEX, m, false, &knownEVEX[m])
	}
	for m := range knownXOP {
		addSet(XOP, m+8, false, &knownXOP[m])
	}
	return all
}

// TestEveryOpcodeHasAVector: no opcode is accepted that the tables in testdata
// do not show, so that none gets in without its length being compared.
func TestEveryOpcodeHasAVector(t *testing.T) {
	missing := acceptedOpcodes()
	for _, v := range vectors(t) {
		in, err := Decode(v.code)
		if err != nil {
			continue // TestVectors says so
		}
		delete(missing, opcode{in.Enc, in.Map, in.Op, false})
		if in.Enc == Legacy && in.Map == 1 && in.Op == 0x0F {
			delete(missing, opcode{Legacy, 1, v.code[in.ImmOff], true})
		}
	}
	for o := range missing {
		t.Errorf("encoding %d, map %d, opcode %#02x (3DNow! suffix: %v): accepted, but not in testdata", o.enc, o.opMap, o.op, o.suffix)
	}
}
