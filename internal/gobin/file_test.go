package gobin

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
)

var synths = map[string]synth{
	"plain":          {sections: true},
	"plain-headless": {},
	"pie":            {pie: true, sections: true},
	"pie-headless":   {pie: true},
}

func newBytes(b []byte) (*File, error) { return New(bytes.NewReader(b), int64(len(b)), "synth") }

func TestSynthetic(t *testing.T) {
	for name, s := range synths {
		t.Run(name, func(t *testing.T) {
			f, err := newBytes(s.build())
			if err != nil {
				t.Fatal(err)
			}
			want := []Key{{Name: synName, Desc: synDesc, Addr: synBase + synKey, Type: "Bool", Width: 1}}
			if s.sections {
				want[0].Symbol = "main.trace"
				want = append(want, Key{Symbol: "main.lost", Addr: synBase + synKey + 16, Type: "Bool", Width: 1})
			}
			if got, err := f.Keys(); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("Keys() = %+v, %v, want %+v", got, err, want)
			}
			if got := f.UnknownRegistrations(); len(got) != 1 {
				t.Errorf("UnknownRegistrations() = %#x, want one", got)
			}
			pc := uint64(synBase + synText + 0x21)
			entry, fn, ok := f.Func(pc)
			if file, line := f.Line(pc); !ok || entry != pc-1 || fn != "main.init" || file != "main.go" || line != 9 {
				t.Errorf("at %#x: %#x %s %v, %s:%d", pc, entry, fn, ok, file, line)
			}
			if got := f.Data(); !reflect.DeepEqual(got, []Range{{Start: synBase + synData, End: synBase + synData + synDataSize}}) {
				t.Errorf("Data() = %#x", got)
			}
		})
	}
}

// TestEmptyFunctions moves a function onto its neighbour: C code of the race
// detector has functions without code.
func TestEmptyFunctions(t *testing.T) {
	for _, tt := range []struct {
		name     string
		fn       int
		entry    uint32
		pc       uint64 // offset in the text
		want     string
		from, to uint64
	}{
		{"first", 1, 0, 0x10, "main.init", 0, 0x80},
		{"last", 2, 0xA0, 0x90, "main.init", 0x20, 0xA0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := buffer(synth{}.build())
			funcs := synTable + int(binary.LittleEndian.Uint64(b[synTable+64:]))
			info := funcs + int(binary.LittleEndian.Uint32(b[funcs+8*tt.fn+4:]))
			b.u32(funcs+8*tt.fn, tt.entry)
			b.u32(info, tt.entry)
			f, err := newBytes(b)
			if err != nil {
				t.Fatal(err)
			}
			entry, name, ok := f.Func(synBase + synText + tt.pc)
			end, _ := f.FuncEnd(synBase + synText + tt.pc)
			if !ok || name != tt.want || entry != synBase+synText+tt.from || end != synBase+synText+tt.to {
				t.Errorf("Func = %#x..%#x %q %v", entry, end, name, ok)
			}
		})
	}
}

// TestErrors breaks a good file in one place and asks for the kind of the
// error and for words in it.
func TestErrors(t *testing.T) {
	prog := func(i, field int) int { return headerSize + i*progSize + field }
	for _, tt := range []struct {
		name  string
		wreck func(b buffer) []byte
		want  error
		words string
	}{
		{"empty", func(b buffer) []byte { return nil }, ErrNotELF, ""},
		{"three bytes", func(b buffer) []byte { return b[:3] }, ErrNotELF, ""},
		{"script", func(b buffer) []byte { return []byte("#!/bin/sh\nexit 0\n") }, ErrNotELF, "23 21 2f 62"},
		{"half a header", func(b buffer) []byte { return b[:40] }, ErrTruncated, "40 bytes"},
		{"32 bit", func(b buffer) []byte { b[4] = 1; return b }, ErrArch, "ELFCLASS32"},
		{"arm64", func(b buffer) []byte { b.u16(18, uint16(elf.EM_AARCH64)); return b }, ErrArch, "EM_AARCH64"},
		{"big endian", func(b buffer) []byte { b[5], b[18], b[19] = 2, 0, 21; return b }, ErrArch, "EM_PPC64"},
		{"object file", func(b buffer) []byte { b.u16(16, uint16(elf.ET_REL)); return b }, ErrNotGo, "ET_REL"},
		{"no segments", func(b buffer) []byte { b.u16(56, 0); return b }, ErrNotGo, "program headers"},
		{"many segments", func(b buffer) []byte { b.u16(56, 60000); return b }, ErrCorrupt, "60000"},
		{"segment headers far away", func(b buffer) []byte { b.u64(32, 1<<40); return b }, ErrTruncated, "0x10000000000"},
		{"segment header size", func(b buffer) []byte { b.u16(54, 32); return b }, ErrCorrupt, "32 bytes"},
		{"ELF version", func(b buffer) []byte { b[6] = 9; return b }, ErrCorrupt, "version"},
		{"cut off", func(b buffer) []byte { return b[:synData+8] }, ErrTruncated, "program header 2"},
		{"cut off in code", func(b buffer) []byte { return b[:synText+8] }, ErrTruncated, "program header 0"},
		{"segment past the end", func(b buffer) []byte { b.u64(prog(1, 8), 1<<62); return b }, ErrTruncated, "program header 1"},
		{"more file than memory", func(b buffer) []byte { b.u64(prog(1, 40), 8); return b }, ErrCorrupt, "program header 1"},
		{"huge memory", func(b buffer) []byte { b.u64(prog(2, 40), 1<<63); return b }, ErrCorrupt, "program header 2"},
		{"overlap", func(b buffer) []byte { b.u64(prog(1, 16), synBase+synText+8); return b }, ErrCorrupt, "overlap"},
		{"the same bytes often", func(b buffer) []byte {
			for i, at := range []uint64{0x10000000, 0x20000000, 0x30000000} {
				b.u32(prog(i, 0), uint32(elf.PT_LOAD))
				b.u64(prog(i, 8), 0)
				b.u64(prog(i, 16), at)
				b.u64(prog(i, 32), synEnd)
				b.u64(prog(i, 40), synEnd)
			}
			return b
		}, ErrCorrupt, "segments hold"},
		{"no function table", func(b buffer) []byte { clear(b[synTable : synTable+synTableSize]); return b }, ErrCorrupt, "0000000000000000"},
		{"old function table", func(b buffer) []byte { b[synTable] = 0xF0; return b }, ErrVersion, "fffffff0"},
		{"many functions", func(b buffer) []byte { b.u64(synTable+8, 1<<61); return b }, ErrCorrupt, "functions in"},
		{"parts out of order", func(b buffer) []byte { b.u64(synTable+40, 72); return b }, ErrCorrupt, "part 1"},
		{"part outside", func(b buffer) []byte { b.u64(synTable+64, 1<<32); return b }, ErrCorrupt, "part 4"},
		{"functions out of order", func(b buffer) []byte {
			b.u32(synTable+int(binary.LittleEndian.Uint64(b[synTable+64:]))+8, 0x90)
			return b
		}, ErrCorrupt, "function 1 of 3"},
		{"function outside", func(b buffer) []byte {
			b.u32(synTable+int(binary.LittleEndian.Uint64(b[synTable+64:]))+12, 0x7000)
			return b
		}, ErrCorrupt, "0x7000"},
		{"no start of text", func(b buffer) []byte {
			for i := range synTextSize {
				b[synText+i] = 0x90
			}
			return b
		}, ErrCorrupt, "runtime.text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := newBytes(tt.wreck(synth{sections: true}.build()))
			if !errors.Is(err, tt.want) || f != nil {
				t.Fatalf("New = %v, %v; want error %q", f, err, tt.want)
			}
			if !strings.HasPrefix(err.Error(), "synth: ") || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("error %q; want the file's name in front and %q", err, tt.words)
			}
		})
	}
}

func TestNoFunctionTable(t *testing.T) {
	b := synth{}.build()
	clear(b[synTable : synTable+synTableSize])
	if _, err := newBytes(b); !errors.Is(err, ErrNotGo) {
		t.Errorf("without sections and table: %v, want %v", err, ErrNotGo)
	}
}

// TestBadSections breaks the section headers: the file must be read from its
// segments then.
func TestBadSections(t *testing.T) {
	for name, wreck := range map[string]func(b buffer){
		"far away":         func(b buffer) { b.u64(40, 1<<60) },
		"at the end":       func(b buffer) { b.u64(40, synEnd-16) },
		"entry size":       func(b buffer) { b.u16(58, 40) },
		"too many":         func(b buffer) { b.u16(60, 0xFEFF) },
		"names elsewhere":  func(b buffer) { b.u16(62, 99) },
		"name too far":     func(b buffer) { b.u32(sectionField(b, 2, 0), 1<<30) },
		"section too far":  func(b buffer) { b.u64(sectionField(b, 3, 24), 1<<61) },
		"section too long": func(b buffer) { b.u64(sectionField(b, 6, 32), 1<<61) },
		"compressed names": func(b buffer) { b.u64(sectionField(b, 7, 8), uint64(elf.SHF_COMPRESSED)) },
		"compressed bss": func(b buffer) {
			b.u32(sectionField(b, 3, 4), uint32(elf.SHT_NOBITS))
			b.u64(sectionField(b, 3, 8), uint64(elf.SHF_COMPRESSED))
			b.u64(sectionField(b, 3, 24), 1<<50)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := synth{sections: true}.build()
			wreck(b)
			f, err := newBytes(b)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := f.Keys()
			if err != nil || len(keys) != 1 || keys[0].Name != synName || !f.Stripped() {
				t.Errorf("Keys() = %+v, %v, Stripped() = %v; want the registered key", keys, err, f.Stripped())
			}
		})
	}
}

// TestTextRanges checks that a .text section is used only where it agrees with
// the segments and holds the Go code.
func TestTextRanges(t *testing.T) {
	whole := []Segment{{Addr: synBase + synText, Bytes: make([]byte, synTextSize)}}
	for _, tt := range []struct {
		name  string
		wreck func(b buffer)
		want  uint64 // length of the only segment
	}{
		{"shorter section", func(b buffer) { b.u64(sectionField(b, 1, 32), 0xC0) }, 0xC0},
		{"section without Go code", func(b buffer) { b.u64(sectionField(b, 1, 32), 0x40) }, 0x100},
		{"section longer than segment", func(b buffer) { b.u64(sectionField(b, 1, 32), 0x200) }, 0x100},
		{"section at another offset", func(b buffer) {
			b.u64(sectionField(b, 1, 24), synROData)
			b.u64(sectionField(b, 1, 32), 0xC0)
		}, 0x100},
		{"section in data", func(b buffer) { b.u64(sectionField(b, 1, 16), synBase+synData) }, 0x100},
		{"empty section", func(b buffer) { b.u64(sectionField(b, 1, 32), 0) }, 0x100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := synth{sections: true}.build()
			tt.wreck(b)
			f, err := newBytes(b)
			if err != nil {
				t.Fatal(err)
			}
			got := f.Text()
			if len(got) != 1 || got[0].Addr != whole[0].Addr || uint64(len(got[0].Bytes)) != tt.want {
				t.Errorf("Text() = %d segments, the first %#x bytes at %#x; want one of %#x bytes at %#x",
					len(got), len(got[0].Bytes), got[0].Addr, tt.want, whole[0].Addr)
			}
			if !bytes.Equal(got[0].Bytes, b[synText:synText+int(tt.want)]) {
				t.Error("Text() holds other bytes than the file")
			}
		})
	}
}

// TestTruncated cuts a real program at many places.
func TestTruncated(t *testing.T) {
	b, err := os.ReadFile(build(t, baseConfigs[0]))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[error]int{}
	for n := 0; n < len(b); n += 1 + n/16 {
		_, err := newBytes(b[:n])
		for _, kind := range []error{nil, ErrNotELF, ErrTruncated} {
			if errors.Is(err, kind) {
				kinds[kind]++
			}
		}
		if err != nil && !errors.Is(err, ErrNotELF) && !errors.Is(err, ErrTruncated) {
			t.Errorf("cut at %#x: %v", n, err)
		}
	}
	if kinds[ErrNotELF] == 0 || kinds[ErrTruncated] == 0 || kinds[nil] == 0 {
		t.Errorf("kinds of results: %v", kinds)
	}
}

// TestConcurrent is for the race detector.
func TestConcurrent(t *testing.T) {
	f := openProg(t, baseConfigs[0])
	want, err := f.Keys()
	if err != nil {
		t.Fatal(err)
	}
	g := openProg(t, baseConfigs[0]) // nothing cached yet
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			keys, err := g.Keys()
			if err != nil || !reflect.DeepEqual(keys, want) {
				t.Errorf("Keys() = %+v, %v", keys, err)
			}
			for _, call := range g.UnknownRegistrations() {
				g.Line(call)
				g.Func(call)
			}
			for _, k := range keys {
				g.Symbol(k.Addr)
			}
		}()
	}
	wg.Wait()
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrNotELF) {
		t.Errorf("directory: %v", err)
	}
	path := filepath.Join(dir, "text")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrNotELF) || !strings.Contains(err.Error(), path) {
		t.Errorf("text file: %v", err)
	}
}

// TestNotGo reads a program of C, where there is one.
func TestNotGo(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("needs a C program for linux/amd64")
	}
	if _, err := Open("/bin/sh"); !errors.Is(err, ErrNotGo) {
		t.Errorf("/bin/sh: %v, want %v", err, ErrNotGo)
	}
}

// badReader fails or panics behind the first reads.
type badReader struct {
	io.ReaderAt
	reads  int
	panics bool
}

func (r *badReader) ReadAt(b []byte, off int64) (int, error) {
	if r.reads--; r.reads < 0 {
		if r.panics {
			panic("broken reader")
		}
		return 0, io.ErrClosedPipe
	}
	return r.ReaderAt.ReadAt(b, off)
}

func TestReadErrors(t *testing.T) {
	b := synth{}.build()
	for reads := range 40 {
		for _, panics := range []bool{false, true} {
			f, err := New(&badReader{bytes.NewReader(b), reads, panics}, int64(len(b)), "bad")
			if err == nil {
				_, _ = f.Keys()
				f.UnknownRegistrations()
			} else if reads > 30 {
				t.Errorf("after %d reads: %v", reads, err)
			}
		}
	}
	if _, err := New(bytes.NewReader(b[:synData]), int64(len(b)), "lie"); err == nil {
		t.Error("a size that is not true: no error")
	}
}
