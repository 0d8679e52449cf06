package engine

import (
	"encoding/binary"
	"testing"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// TestToggleQuads puts a site at every place of a quadword: the quadword with the changing
// byte is as the table says, each of its bytes that belong to the site counts, and no other.
func TestToggleQuads(t *testing.T) {
	var all toggles
	for _, c := range []struct {
		form insn.Form
		orig []byte
	}{
		{insn.CmpByte, []byte{0x80, 0x3D, 1, 2, 3, 4, 0}},
		{insn.MovzxByte, []byte{0x0F, 0xB6, 0x05, 1, 2, 3, 4}},
		{insn.MovzxByte, []byte{0x0F, 0xB6, 0x0D, 1, 2, 3, 4}},
		{insn.MovzxByte, []byte{0x44, 0x0F, 0xB6, 0x05, 1, 2, 3, 4}},
	} {
		orig := insn.Code{N: uint8(len(c.orig))}
		copy(orig.B[:], c.orig)
		zero, err0 := insn.Armed(c.form, orig, 0, 0)
		one, err1 := insn.Armed(c.form, orig, 0, 1)
		off, n := insn.Diff(zero, one)
		if err0 != nil || err1 != nil || n != 1 {
			t.Fatalf("[%v]: %d bytes differ; %v, %v", orig, n, err0, err1)
		}
		s := Site{orig: orig, off: uint8(off), flip: all.number(zero, one, off)}
		if s.flip == 0 || all.number(zero, one, off) != s.flip {
			t.Errorf("[%v]: number %d, then %d", orig, s.flip, all.number(zero, one, off))
		}
		for v, code := range [2]insn.Code{zero, one} {
			if got, want := all.word(&s, int64(v)), word(code); got != want {
				t.Errorf("[%v] is %#x when the key is %d, expected %#x", orig, got, v, want)
			}
			for at := range 8 {
				checkQuad(t, &all.table[s.flip][at], v, code, off, at)
			}
		}
		if next := all.table[s.flip][0].next; next != [2]uint8{one.B[off], zero.B[off]} {
			t.Errorf("[%v] becomes %x", orig, next)
		}
	}
	if len(all.pairs) != 1+4 {
		t.Errorf("%d toggles, expected 4 and none: %+v", len(all.pairs), all.pairs)
	}
}

func checkQuad(t *testing.T, q *quad, v int, code insn.Code, off, at int) {
	t.Helper()
	var mem [24]byte // the changing byte lies at 8+at
	first := 8 + at - off
	copy(mem[first:], code.Bytes())
	for i := -1; i < len(mem); i++ {
		was := mem
		if i >= 0 {
			mem[i] ^= 0x5A
		}
		ours := i >= first && i < first+int(code.N) && i/8 == 1
		if got := (binary.LittleEndian.Uint64(mem[8:])^q.word[v])&q.mask == 0; got == ours {
			t.Errorf("[%v], byte %d at place %d: with another byte at %d the compare says %v", code, off, at, i-first, got)
		}
		mem = was
	}
}

// TestToggleNumber: what is no flip here matches nothing, and the table ends.
func TestToggleNumber(t *testing.T) {
	var all toggles
	zero, one := insn.Code{N: 7}, insn.Code{N: 7}
	for i := range 2 * togglesMax {
		zero.B[0], one.B[0], one.B[6] = byte(i), byte(i), 1
		want := i + 1
		if want >= togglesMax {
			want = 0
		}
		if got := int(all.number(zero, one, 6)); got != want {
			t.Errorf("toggle %d has number %d, expected %d", i, got, want)
		}
	}
	zero.N, one.N = 9, 9
	if got := (&toggles{}).number(zero, one, 6); got != 0 {
		t.Errorf("nine bytes have number %d", got)
	}
	for at := range all.table[0] {
		if q := &all.table[0][at]; q.mask == 0 || q.word[0] == 0 {
			t.Errorf("number 0, place %d: %+v would match", at, q)
		}
	}
}
