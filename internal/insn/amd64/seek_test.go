package amd64

import "testing"

// checkCommonLen compares the fast way with Decode.
func checkCommonLen(t *testing.T, code []byte) (common bool) {
	t.Helper()
	n := commonLen((*[seekBytes]byte)(code))
	if n == 0 {
		return false
	}
	if in, err := Decode(code); err != nil || n != int(in.Len) {
		t.Fatalf("% x: %d bytes, Decode says %d, %v", code[:seekBytes], n, in.Len, err)
	}
	return true
}

// TestCommonLen tries all first two bytes, and those behind a prefix or an escape, with a third
// of each addressing mode.
func TestCommonLen(t *testing.T) {
	common := 0
	for _, first := range [][]byte{nil, {0x0F}, {0x66}, {0xF3}, {0x48, 0x0F}, {0x66, 0x48}} {
		code := make([]byte, seekBytes)
		n := copy(code, first)
		for i := range 1 << 16 {
			code[n], code[n+1] = byte(i>>8), byte(i)
			for third := range 256 {
				if third&0x3A != 0 { // some of them do
					continue
				}
				code[n+2] = byte(third)
				if checkCommonLen(t, code) {
					common++
				}
			}
		}
	}
	if common == 0 {
		t.Error("nothing is common")
	}
}

// TestSeek walks through the functions of a real program.
func TestSeek(t *testing.T) {
	total, common := 0, 0
	for _, f := range functions(t, buildProgram(t, "v1")) {
		at := 0
		walk(t, f, func(off int, in Inst) {
			total++
			if off+seekBytes <= len(f.code) && checkCommonLen(t, f.code[off:]) {
				common++
			}
			want := off + int(in.Len) - 1
			if total%8 != 0 {
				return
			}
			pos, got, err := Seek(f.code, at, want)
			if pos != off || got != in || err != nil {
				t.Fatalf("%s: byte %#x is in %+v at %#x, found %+v at %#x, %v", f.name, want, in, off, got, pos, err)
			}
			at = off
		})
	}
	t.Logf("%d of %d instructions are common", common, total)
	if common < total*3/4 {
		t.Errorf("%d of %d instructions are common", common, total)
	}
}

// TestSeekEnds: code that ends, or is none.
func TestSeekEnds(t *testing.T) {
	nops := append(make([]byte, 0, 64), mustHex(t, "90 90 90 48 8b 05 01 02 03 04")...)
	for len(nops) < 40 {
		nops = append(nops, 0x90)
	}
	for _, c := range []struct {
		code      []byte
		want, pos int
		err       error
	}{
		{nops, 0, 0, nil},
		{nops, 9, 3, nil},
		{nops, 10, 10, nil},
		{nops, 39, 39, nil},
		{nops, 40, 40, ErrTruncated},
		{nops[:8], 5, 3, ErrTruncated},
		{append([]byte{0x90, 0x06}, nops...), 0, 0, nil},
		{append([]byte{0x90, 0x06}, nops...), 20, 1, ErrInvalid},
		{nil, 0, 0, ErrTruncated},
	} {
		if pos, in, err := Seek(c.code, 0, c.want); pos != c.pos || err != c.err || (in.Len == 0) != (err != nil) {
			t.Errorf("% x, byte %d: %d, %+v, %v; expected %d, %v", c.code, c.want, pos, in, err, c.pos, c.err)
		}
	}
}

// TestCmpByteParsed: the form that is not decoded to be armed.
func TestCmpByteParsed(t *testing.T) {
	code := mustHex(t, "80 3d 11 22 33 44 00")
	if in, err := Decode(code); err != nil || in != cmpByte {
		t.Errorf("Decode says %+v, %v, expected %+v", in, err, cmpByte)
	}
	c := Code{N: 7}
	copy(c.B[:], code)
	if in, err := parse(CmpByte, c); err != nil || in != cmpByte {
		t.Errorf("%+v, %v", in, err)
	}
	for _, i := range []int{0, 1, 6} {
		bad := c
		bad.B[i] ^= 2
		if _, err := parse(CmpByte, bad); err == nil {
			t.Errorf("[%v] is taken for CmpByte", bad)
		}
	}
}
