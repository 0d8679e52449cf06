package amd64

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.code)
	}
	for _, s := range []string{"", "c5", "62 f1 7c 48", "66 48 e8 01 02 03 04", "8f ea 78 10 c1", "0f 0f c1 00"} {
		f.Add(mustHex(f, s))
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		if len(code) >= seekBytes {
			checkCommonLen(t, code)
		}
		in, err := Decode(code)
		theirs, n := decodeX86asm(code)
		if err != nil {
			if in != (Inst{}) {
				t.Errorf("% x: %v and %+v", code, err, in)
			}
			// x86asm takes a VEX instruction without its ModRM for a whole one.
			vex := len(code) > 0 && bytes.IndexByte([]byte{0xC4, 0xC5, 0x62}, code[0]) >= 0
			if err == ErrTruncated && (n != 0 && !vex || len(code) >= maxInstLen) {
				t.Errorf("% x: %v, x86asm finds %d bytes: %v", code, err, n, theirs)
			}
			return
		}
		checkFields(t, code, in)
		if n != 0 && n != int(in.Len) && !x86asmMayDiffer(in) {
			t.Errorf("% x: length %d, x86asm says %d: %v", code, in.Len, n, theirs)
		}
		if again, err := Decode(code[:in.Len]); err != nil || again != in {
			t.Errorf("% x: %+v alone: %+v, %v", code, in, again, err)
		}
		if _, err := Decode(code[:in.Len-1]); err != ErrTruncated {
			t.Errorf("% x, one byte less than %d: %v", code, in.Len, err)
		}
		in.Flags()
	})
}

func FuzzArmed(f *testing.F) {
	for _, r := range formRows(f) {
		f.Add(r.orig.Bytes(), uint16(r.conds), r.value)
		f.Add(r.armed.Bytes(), uint16(r.conds), r.value)
		f.Add(join([]byte{0x44}, r.orig.Bytes()), uint16(r.conds), r.value)
		f.Add(join([]byte{0x66}, r.orig.Bytes()), uint16(r.conds), r.value)
	}
	f.Fuzz(func(t *testing.T, code []byte, conds uint16, v int64) {
		form, in, ok := Recognize(code)
		if !ok {
			return
		}
		orig := codeOf(t, code[:in.Len])
		armed, err := Armed(form, orig, Conds(conds), v)
		emulation, eerr := Emulate(form, orig, v)
		if (eerr == nil) != inWidth(form, v) || errors.Is(err, ErrNoImmediate) && eerr != nil {
			t.Fatalf("%v [%v] with %d: Armed %v, Emulate %v", form, orig, v, err, eerr)
		}
		if !form.Compares() && (err == nil) != valueFits(form, v) {
			t.Fatalf("%v [%v] with %d: Armed %v", form, orig, v, err)
		}
		if err != nil {
			return
		}
		got, err := Decode(armed.Bytes())
		if err != nil || armed.N != orig.N || got.Len != orig.N || got.RIPRelative() {
			t.Errorf("[%v] -> [%v]: %+v, %v", orig, armed, got, err)
		}
		if theirs, n := decodeX86asm(armed.Bytes()); n != int(orig.N) {
			t.Errorf("[%v] -> [%v]: x86asm says %d bytes: %v", orig, armed, n, theirs)
		}
		if want := in.Reg(); form.Compares() && emulation.Reg != NoReg || !form.Compares() && emulation.Reg != want {
			t.Errorf("[%v]: Emulate writes register %d", orig, emulation.Reg)
		}
		if other, _, ok := Recognize(armed.Bytes()); ok {
			t.Errorf("[%v]: its armed form [%v] is %v again", orig, armed, other)
		}
		checkHeld(t, form, orig, armed, v)
	})
}

// inWidth says which values a key of the form's width can have, as a cast and back.
func inWidth(f Form, v int64) bool {
	switch f.Width() {
	case 1:
		return v == int64(int8(v)) || v == int64(uint8(v))
	case 4:
		return v == int64(int32(v)) || v == int64(uint32(v))
	}
	return true
}

// valueFits says which values the armed form can hold.
func valueFits(f Form, v int64) bool {
	switch f {
	case CmpByte:
		return v == 0 || v == 1
	case MovzxByte:
		return v == int64(uint8(v))
	case MovLong, MovslQuad:
		return v == int64(int32(v)) || v == int64(uint32(v))
	case MovQuad:
		return v == int64(int32(v))
	}
	return true
}

// checkHeld reads the value back from the last four bytes.
func checkHeld(t *testing.T, f Form, orig, armed Code, v int64) {
	t.Helper()
	want := binary.LittleEndian.AppendUint32(nil, uint32(v))
	switch f {
	case CmpByte:
		want = []byte{7, 0, 0, byte(-v)}
	case CmpLong, CmpQuad:
		return // see FuzzCompare
	}
	if !bytes.HasSuffix(armed.Bytes(), want) {
		t.Errorf("[%v] with %d -> [%v]: expected % x at the end", orig, v, armed, want)
	}
}
