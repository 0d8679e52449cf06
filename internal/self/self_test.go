//go:build linux && amd64

package self

import (
	"bytes"
	"debug/elf"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

var global bool

func TestLoad(t *testing.T) {
	img, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := img.Range()
	pc := reflect.ValueOf(TestLoad).Pointer()
	if pc < lo || pc >= hi {
		t.Errorf("text [%#x, %#x) does not hold this test at %#x", lo, hi, pc)
	}
	if !img.InData(uintptr(unsafe.Pointer(&global))) {
		t.Errorf("a package-level variable at %p is not in data %x", &global, img.data)
	}
	heap := new([1 << 20]byte)
	if img.InData(uintptr(unsafe.Pointer(heap))) || img.InData(pc) {
		t.Error("heap or text counted as data")
	}
	entry, name, ok := img.Func(uint64(pc) + 1)
	if !ok || entry != uint64(pc) || !strings.HasSuffix(name, "self.TestLoad") {
		t.Errorf("Func = %#x %s %v, expected %#x", entry, name, ok, pc)
	}
	if img.Assembly(uint64(pc)) {
		t.Error("this test is not written in assembly")
	}
	live := unsafe.Slice(*(**byte)(unsafe.Pointer(&pc)), 64) // text is not Go memory
	if got := img.Original(pc, 64); string(got) != string(live) {
		t.Errorf("the file says % x, memory % x", got, live)
	}
	if n := len(img.Original(hi-3, 8)); n != 3 {
		t.Errorf("%d bytes of the last 3", n)
	}
	if img.Original(hi, 1) != nil || img.Original(lo-5000, 1) != nil {
		t.Error("bytes outside the text")
	}
	if _, _, ok := img.Func(0x10); ok {
		t.Error("a function at 0x10")
	}
	fn, file, line := img.Place(uint64(pc), func(string) bool { return false })
	if !strings.HasSuffix(fn, "self.TestLoad") || !strings.HasSuffix(file, "self_test.go") || line == 0 {
		t.Errorf("Place = %s %s:%d", fn, file, line)
	}
}

const mapsText = `00400000-00401000 r--p 00000000 fe:00 123 /bin/prog
00401000-00500000 r-xp 00001000 fe:00 123 /bin/prog
00500000-00502000 r-xs 00100000 00:01 5 /memfd:text (deleted)
00502000-00600000 r-xp 00102000 fe:00 123 /bin/prog
00600000-00700000 rw-p 00200000 fe:00 123 /bin/with a space
7ffc0000-7ffd0000 rw-p 00000000 00:00 0 [stack]
`

func TestMaps(t *testing.T) {
	ms, err := parseMaps(strings.NewReader(mapsText))
	if err != nil || len(ms) != 6 {
		t.Fatalf("%d mappings, %v", len(ms), err)
	}
	if m := ms[4]; m.path != "/bin/with a space" || m.offset != 0x200000 || m.perms != "rw-p" {
		t.Errorf("mapping %+v", m)
	}
	for _, c := range []struct {
		lo, hi uint64
		want   string
	}{
		{0x401000, 0x600000, ""},
		{0x401000, 0x4fffff, ""},
		{0x400000, 0x402000, "expected r-x at 0x400000, found r--p"},
		{0x401000, 0x600001, "expected r-x at 0x600000, found rw-p"},
		{0x300000, 0x402000, "hole at 0x300000"},
		{0x6fffff, 0x800000, "found rw-p"},
	} {
		err := covered(ms, c.lo, c.hi)
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("covered(%#x, %#x) = %v, expected %q", c.lo, c.hi, err, c.want)
		}
	}
	for _, bad := range []string{"x", "1-2 r-xp", "12 r-xp 0 0 0", "zz-2 r-xp 0 0 0", "1-zz r-xp 0 0 0", "1-2 r-xp zz 0 0"} {
		if _, err := parseMaps(strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("parseMaps(%q) = %v", bad, err)
		}
	}
}

// TestLocate works the bias out from hand-made files and maps.
func TestLocate(t *testing.T) {
	ms, err := parseMaps(strings.NewReader(mapsText))
	if err != nil {
		t.Fatal(err)
	}
	file := func(typ elf.Type, vaddr uint64) *program {
		p, err := readProgram(bytes.NewReader(fakeHead(typ, vaddr)))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	img, err := locate(file(elf.ET_EXEC, 0x400000), ms, 0x402000)
	if err != nil || img.bias != 0 || img.lo != 0x401000 || img.hi != 0x600000 || !img.InData(0x6fffff) || img.InData(0x700000) {
		t.Errorf("fixed: %+v, %v", img, err)
	}
	img, err = locate(file(elf.ET_DYN, 0), ms, 0x402000)
	if err != nil || img.bias != 0x400000 || img.lo != 0x401000 {
		t.Errorf("PIE: %+v, %v", img, err)
	}
	if _, err := locate(file(elf.ET_EXEC, 0x800000), ms, 0x402000); err == nil || !strings.Contains(err.Error(), "bias") {
		t.Errorf("fixed at the wrong place: %v", err)
	}
	if _, err := locate(file(elf.ET_DYN, 0), ms, 0x300000); err == nil || !strings.Contains(err.Error(), "no mapping") {
		t.Errorf("unmapped code: %v", err)
	}
	if _, err := locate(&program{}, ms, 0x402000); err == nil || !strings.Contains(err.Error(), "shared libraries") {
		t.Errorf("code of another file: %v", err)
	}
}
