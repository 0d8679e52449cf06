package site

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

const (
	textAt = 0x401000
	keyAt  = 0x5a0010
)

// fakeImage is text made by hand: functions one after the other.
type fakeImage struct {
	bytes   []byte
	funcs   []fakeFunc        // ascending
	targets map[string]uint64 // what the words stand for that follow a call or jump
}

type fakeFunc struct {
	start, end uint64
	name       string
}

func (f *fakeImage) Text() []Segment { return []Segment{{Addr: textAt, Bytes: f.bytes}} }

func (f *fakeImage) Func(pc uint64) (uint64, string, bool) {
	for _, fn := range f.funcs {
		if fn.start <= pc && pc < fn.end {
			return fn.start, fn.name, true
		}
	}
	return 0, "", false
}

func (f *fakeImage) Assembly(entry uint64) bool {
	_, name, _ := f.Func(entry)
	return strings.HasPrefix(name, "asm.")
}

// ArgBytes is 24 for all of them but those that say otherwise.
func (f *fakeImage) ArgBytes(entry uint64) (int, bool) {
	_, name, ok := f.Func(entry)
	if strings.HasPrefix(name, "noargs.") {
		return 0, ok
	}
	return 24, ok
}

// add appends a function. "K" in the code stands for the displacement to the
// key, "K+n" for one followed by n more bytes of the instruction; a name in
// targets for the displacement to that.
func (f *fakeImage) add(name, code string) uint64 {
	start := textAt + uint64(len(f.bytes))
	for _, tok := range strings.Fields(code) {
		if rest, ok := strings.CutPrefix(tok, "K"); ok {
			var tail, off uint64
			_, _ = fmt.Sscanf(rest, "+%d@%d", &tail, &off)
			next := textAt + uint64(len(f.bytes)) + 4 + tail
			f.bytes = binary.LittleEndian.AppendUint32(f.bytes, uint32(keyAt+off-next))
			continue
		}
		if to, ok := f.targets[tok]; ok {
			f.bytes = binary.LittleEndian.AppendUint32(f.bytes, uint32(to-textAt-uint64(len(f.bytes))-4))
			continue
		}
		var b byte
		if _, err := fmt.Sscanf(tok, "%02x", &b); err != nil {
			panic(tok)
		}
		f.bytes = append(f.bytes, b)
	}
	f.funcs = append(f.funcs, fakeFunc{start, textAt + uint64(len(f.bytes)), name})
	return start
}

var oneKey = []Key{{Addr: keyAt, Width: 1}}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		name, fn, code string
		form           insn.Form
		off            int    // of the site in the function; -1: none is found
		why            string // contained in the reason, "" for patchable
	}{
		{"compare and je", "main.f", "80 3d K+1 00 74 02 90 90 c3", insn.CmpByte, 0, ""},
		{"after a prologue", "main.f", "49 3b 66 10 80 3d K+1 00 0f 84 00 00 00 00 c3", insn.CmpByte, 4, ""},
		{"alignment nops", "main.f", "80 3d K+1 00 0f 1f 44 00 00 66 90 75 02 90 90 c3", insn.CmpByte, 0, ""},
		{"a move in between", "main.f", "80 3d K+1 00 48 8b 44 24 08 74 00 c3", insn.CmpByte, 0, ""},
		{"setcc", "main.f", "80 3d K+1 00 0f 94 c0 c3", insn.CmpByte, 0, ""},
		{"cmovcc", "main.f", "80 3d K+1 00 48 0f 45 c3 c3", insn.CmpByte, 0, ""},
		{"movzx", "main.f", "0f b6 05 K c3", insn.MovzxByte, 0, ""},
		{"movzx r9", "main.f", "44 0f b6 0d K c3", insn.MovzxByte, 0, ""},
		{"lea is no read", "main.f", "48 8d 05 K c3", 0, -1, ""},
		{"a store is no read", "main.f", "c6 05 K+1 01 c3", 0, -1, ""},
		{"a store of a register", "main.f", "88 05 K c3", 0, -1, ""},
		{"read and write", "main.f", "80 0d K+1 01 c3", 0, 0, "no immediate form"},
		{"compare with 1", "main.f", "80 3d K+1 01 74 00 c3", 0, 0, "no immediate form"},
		{"compare with a register", "main.f", "3a 05 K 74 00 c3", 0, 0, "no immediate form"},
		{"compare of four bytes", "main.f", "83 3d K+1 03 74 00 c3", 0, 0, "no immediate form"},
		{"flags are read on the other path", "main.f", "80 3d K+1 00 74 01 c3 7a 00 c3", insn.CmpByte, 0, "parity"},
		{"a load of four bytes", "main.f", "8b 05 K c3", 0, 0, "no immediate form"},
		{"parity is read", "main.f", "80 3d K+1 00 7a 00 c3", insn.CmpByte, 0, "parity"},
		{"flags go nowhere", "main.f", "80 3d K+1 00 c3", insn.CmpByte, 0, "not known what reads"},
		{"flags are overwritten", "main.f", "80 3d K+1 00 48 01 c0 74 00 c3", insn.CmpByte, 0, "not known what reads"},
		{"nothing behind", "main.f", "80 3d K+1 00", insn.CmpByte, 0, "behind the compare"},
		{"in an immediate by chance", "main.f", "48 b8 80 3d K+1 00 00 c3 c3", 0, -1, ""},
		{"undecodable before", "main.f", "06 80 3d K+1 00 74 00 c3", 0, 3, "could not be decoded"},
		{"package runtime", "runtime.f", "0f b6 05 K c3", insn.MovzxByte, 0, "between fork and exec"},
		{"package internal", "internal/poll.(*FD).Read", "0f b6 05 K c3", insn.MovzxByte, 0, "between fork and exec"},
		{"a user's internal package", "x.org/a/internal/b.F", "0f b6 05 K c3", insn.MovzxByte, 0, ""},
		{"os.Exit's package", "os.(*File).f", "0f b6 05 K c3", insn.MovzxByte, 0, "between fork and exec"},
		{"assembly", "asm.f", "80 3d K+1 00 74 00 c3", insn.CmpByte, 0, "assembly"},
		{"VEX before", "main.f", "c5 fd 6f 05 11 22 33 44 80 3d K+1 00 74 00 c3", insn.CmpByte, 8, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var img fakeImage
			img.add("main.before", "80 3d 00 00 00 00 00 c3")
			start := img.add(c.fn, c.code)
			got := Find(&img, oneKey)
			if c.off < 0 {
				if len(got) != 0 {
					t.Fatalf("found %+v, expected nothing", got)
				}
				return
			}
			if len(got) != 1 {
				t.Fatalf("found %d sites, expected 1: %+v", len(got), got)
			}
			s := got[0]
			if s.Addr != start+uint64(c.off) || s.Form != c.form || s.Func != c.fn {
				t.Errorf("found %v at +%d in %s, expected %v at +%d in %s", s.Form, s.Addr-start, s.Func, c.form, c.off, c.fn)
			}
			if (c.why == "") != s.Patchable() || !strings.Contains(s.Why, c.why) {
				t.Errorf("why %q, expected %q", s.Why, c.why)
			}
		})
	}
}

// TestFindMany: several keys, next to each other, in several functions; the
// result is sorted by address and every site goes to its own key.
func TestFindMany(t *testing.T) {
	var img fakeImage
	var want []uint64
	for i := range 50 {
		at := img.add(fmt.Sprintf("main.f%d", i), fmt.Sprintf("90 80 3d K+1@%d 00 74 00 0f b6 05 K+0@%d c3", i%3, (i+1)%3))
		want = append(want, at+1, at+10)
	}
	keys := []Key{{keyAt + 2, 1}, {keyAt, 1}, {keyAt + 1, 1}} // not sorted
	got := Find(&img, keys)
	if len(got) != len(want) {
		t.Fatalf("found %d sites, expected %d", len(got), len(want))
	}
	for i, s := range got {
		off := uint64(i/2+i%2) % 3
		if s.Addr != want[i] || keys[s.Key].Addr != keyAt+off {
			t.Errorf("site %d: at %#x for key +%d, expected %#x and +%d", i, s.Addr, keys[s.Key].Addr-keyAt, want[i], off)
		}
	}
	if !slices.IsSortedFunc(got, func(a, b Site) int { return int(a.Addr) - int(b.Addr) }) {
		t.Error("not sorted")
	}
}

// TestFunctionEndsInside: an instruction that the next function begins in is
// reported, and stays. So does a compare whose flags get out of the function.
func TestFunctionEndsInside(t *testing.T) {
	for _, c := range []struct {
		code       string
		n, patched uint64 // bytes of the site, and that the function must have
	}{
		{"0f b6 05 K 90 90 c3", 7, 7},
		{"80 3d K+1 00 74 00 c3", 7, 10},
	} {
		for split := uint64(4); split <= 10; split++ {
			var img fakeImage
			at := img.add("main.f", c.code)
			end := img.funcs[0].end
			img.funcs = []fakeFunc{{at, at + split, "main.f"}, {at + split, end, "main.g"}}
			got := Find(&img, oneKey)
			if len(got) != 1 || got[0].Patchable() != (split >= c.patched) ||
				split < c.n && !strings.Contains(got[0].Why, "ends inside") ||
				split >= c.n && split < c.patched && !strings.Contains(got[0].Why, "the function") {
				t.Errorf("%s, split at +%d: %+v", c.code, split, got)
			}
		}
	}
}

func TestNoKeysNoText(t *testing.T) {
	var img fakeImage
	if got := Find(&img, oneKey); len(got) != 0 {
		t.Errorf("found %v in no text", got)
	}
	img.add("main.f", "80 3d K+1 00 74 00 c3")
	if got := Find(&img, nil); len(got) != 0 {
		t.Errorf("found %v for no keys", got)
	}
}

func TestPackageOf(t *testing.T) {
	for name, want := range map[string]string{
		"main.f":                                   "main",
		"os.(*File).Read":                          "os",
		"github.com/a/b.(*T).M":                    "github.com/a/b",
		"github.com/a/b.v2/c.F":                    "github.com/a/b.v2/c",
		"runtime/debug.Stack":                      "runtime/debug",
		"main.typed[go.shape.int]":                 "main",
		"main.typed[github.com/x/internal/y.T[a]]": "main",
		"":     "",
		"odd":  "odd",
		"a/b/": "a/b/",
	} {
		if got := packageOf(name); got != want {
			t.Errorf("packageOf(%q) = %q, expected %q", name, got, want)
		}
	}
}

// TestOurFile: the frames of a key's methods, as built from a checkout, from the
// module cache, and with -trimpath; the files must be there.
func TestOurFile(t *testing.T) {
	for file, want := range map[string]bool{
		"/src/qp/statickey/bool.go": true, "/m/quietpatch@v0.1.0/statickey/cell_plain.go": true,
		"github.com/quietpatch/quietpatch/statickey/cell_atomic.go": true,
		"/src/qp/statickey/other.go":                                false, "/src/main.go": false, "bool.go": false,
	} {
		if got := OurFile(file); got != want {
			t.Errorf("OurFile(%q) = %v", file, got)
		}
	}
	for _, base := range []string{"bool.go", "counted.go", "sealed.go", "value.go", "cell_plain.go", "cell_atomic.go"} {
		if _, err := os.Stat("../../statickey/" + base); err != nil {
			t.Errorf("OurFile knows a file that is gone: %v", err)
		}
	}
}

// FuzzFind: arbitrary text never makes Find panic, and whatever it offers as
// patchable decodes to one of the forms and refers to the key.
func FuzzFind(f *testing.F) {
	var img fakeImage
	img.add("main.f", "49 3b 66 10 80 3d K+1 00 0f 84 00 00 00 00 0f b6 05 K 44 0f b6 05 K c3")
	f.Add(img.bytes, uint16(0))
	f.Add(img.bytes, uint16(8))
	f.Add([]byte{0x80, 0x3d}, uint16(1))
	var ints fakeImage
	ints.add("main.f", "83 3d K+1 03 7e 04 0f 94 c0 c3 81 3d K+4 03 00 00 00 7c f2 48 63 05 K 48 83 3d K+1 03 76 00 c3")
	f.Add(ints.bytes, uint16(4))
	f.Add(ints.bytes, uint16(40))
	f.Fuzz(func(t *testing.T, text []byte, split uint16) {
		width := 1 << (split % 4)
		n := uint64(len(text))
		cut := textAt + min(uint64(split), n)
		img := fakeImage{bytes: text, funcs: []fakeFunc{{textAt, cut, "main.a"}, {cut, textAt + n, "main.b"}}}
		keys := []Key{{Addr: keyAt, Width: width}}
		found := Find(&img, keys)
		if want := findNaive(&img, keys); !slices.Equal(found, want) {
			t.Errorf("found %+v, expected %+v", found, want)
		}
		for _, s := range found {
			if (s.Conds != 0) != (s.Patchable() && s.Form.Compares()) {
				t.Errorf("the conditions of %+v are %v", s, s.Conds)
			}
			if !s.Patchable() {
				continue
			}
			code := text[s.Addr-textAt:]
			form, in, ok := insn.Recognize(code)
			if !ok || form != s.Form || form.Width() != width || insn.Target(s.Addr, in, code) != keyAt {
				t.Errorf("offered % x at %#x", s.Code.B[:s.Code.N], s.Addr)
			}
			if end := s.Addr + uint64(s.Code.N); s.Addr < cut && end > cut {
				t.Errorf("offered % x at %#x, where a function ends at %#x", s.Code.Bytes(), s.Addr, cut)
			}
			if other, err := x86asm.Decode(code, 64); err != nil || other.Len != int(s.Code.N) {
				t.Errorf("offered % x at %#x, x86asm says %v, %v", s.Code.B[:s.Code.N], s.Addr, other, err)
			}
		}
	})
}

func BenchmarkFind(b *testing.B) {
	var img fakeImage
	for range 200_000 {
		img.add("main.f", "49 3b 66 10 48 8b 05 11 22 33 44 80 3d 01 02 03 04 00 c3")
	}
	img.funcs = img.funcs[:1]
	b.SetBytes(int64(len(img.bytes)))
	for b.Loop() {
		Find(&img, oneKey)
	}
}
