package gobin

import (
	"bytes"
	"testing"
)

// TestArguments changes one argument of the first registration.
func TestArguments(t *testing.T) {
	const call = synText + 0x20
	// Offsets of the operands in the first registration.
	const key, name, nameLen, descLen = call + 3, call + 10, call + 15, call + 27
	for _, tt := range []struct {
		label string
		wreck func(b buffer)
		found bool
	}{
		{"nothing", func(b buffer) {}, true},
		{"key in code", func(b buffer) { b.u32(key, 0) }, false},
		{"key outside", func(b buffer) { b.u32(key, 0x7FFFFFFF) }, false},
		{"empty name", func(b buffer) { b.u32(nameLen, 0) }, false},
		{"huge name", func(b buffer) { b.u32(nameLen, maxString+1) }, false},
		{"negative length", func(b buffer) { b.u32(nameLen, 0xFFFFFFFF) }, false},
		{"name in bss", func(b buffer) { b.u32(name, synKey-(call+14)) }, false},
		{"name past the segment", func(b buffer) { b.u32(name, synROData+synROSize-2-(call+14)) }, false},
		{"name not UTF-8", func(b buffer) { b[synROData] = 0xFF }, false},
		{"empty description", func(b buffer) { b.u32(descLen, 0) }, true},
		{"huge description", func(b buffer) { b.u32(descLen, maxString+1) }, false},
		{"description not UTF-8", func(b buffer) { b[synROData+len(synName)] = 0xFF }, false},
		{"other function", func(b buffer) { b[synTable+0x60] = 'G' }, false},
	} {
		t.Run(tt.label, func(t *testing.T) {
			b := synth{}.build()
			tt.wreck(b)
			f, err := newBytes(b)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := f.Keys()
			if err != nil || (len(keys) == 1) != tt.found {
				t.Errorf("Keys() = %+v, %v; want one: %v", keys, err, tt.found)
			}
			want := 2
			if tt.found {
				want = 1
			} else if tt.label == "other function" {
				want = 0
			}
			if got := f.UnknownRegistrations(); len(got) != want {
				t.Errorf("UnknownRegistrations() = %#x, want %d", got, want)
			}
		})
	}
}

func TestConstString(t *testing.T) {
	const addr = 0x1000
	b := bytes.Repeat([]byte{'a'}, 2*maxString)
	f := &File{size: int64(len(b)), im: &image{r: bytes.NewReader(b)}}
	f.im.loads = []load{{addr: addr, memsz: uint64(len(b)), filesz: uint64(len(b))}}
	for n, want := range map[uint64]bool{0: true, 1: true, maxString: true, maxString + 1: false, 1 << 63: false} {
		f.scanned.strings = 0
		s, ok := f.constString(value{addr, true}, value{n, true})
		if ok != want || ok && uint64(len(s)) != n {
			t.Errorf("%d bytes: %d read, %v, want %v", n, len(s), ok, want)
		}
	}
	if _, ok := f.constString(value{}, value{1, true}); ok {
		t.Error("a string at an unknown address is known")
	}
	if _, ok := f.constString(value{addr, true}, value{}); ok {
		t.Error("a string of unknown length is known")
	}
}
