//go:build linux && amd64

package self

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// allocated returns how many bytes fn allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// headLimit is what reading a file's headers and the memory map may allocate:
// the program headers twice, and some 10 bytes for each of the map.
func headLimit(maps string) uint64 { return 1<<20 + 64*uint64(len(maps)) }

// locateIn is Load with other inputs than our own.
func locateIn(file []byte, maps string, pc uint64) (*Image, error) {
	ms, err := parseMaps(strings.NewReader(maps))
	if err != nil {
		return nil, err
	}
	p, err := readProgram(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	return locate(p, ms, pc)
}

// checkLocate wants an error that says something, or text that holds pc and is
// mapped as such from end to end.
func checkLocate(t *testing.T, file []byte, maps string, pc uint64) error {
	t.Helper()
	var img *Image
	var err error
	if n := allocated(func() { img, err = locateIn(file, maps, pc) }); n > headLimit(maps) {
		t.Errorf("%d bytes allocated, %d are allowed", n, headLimit(maps))
	}
	if err != nil {
		if len(err.Error()) < 12 {
			t.Errorf("error %q", err)
		}
		return err
	}
	if img.lo > pc || img.hi <= pc {
		t.Errorf("text %#x..%#x does not hold %#x", img.lo, img.hi, pc)
	}
	ms, _ := parseMaps(strings.NewReader(maps))
	for _, at := range []uint64{img.lo, img.lo + (img.hi-img.lo)/2, img.hi - 1} {
		ok := false
		for _, m := range ms {
			ok = ok || m.start <= at && at < m.end && strings.HasPrefix(m.perms, "r-x")
		}
		if !ok {
			t.Errorf("%#x in text %#x..%#x is not mapped as text", at, img.lo, img.hi)
		}
	}
	return nil
}

// ownHead returns the headers of the file that runs, its map, and our address.
func ownHead(t testing.TB) (head []byte, maps string, pc uint64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	m, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return b[:4096], string(m), uint64(reflect.ValueOf(ownHead).Pointer())
}

func FuzzLocate(f *testing.F) {
	head, maps, pc := ownHead(f)
	f.Add(head[:1024], maps, pc)
	f.Add(head[:64], mapsText, uint64(0x402000))
	f.Add(fakeHead(elf.ET_EXEC, 0x400000), mapsText, uint64(0x402000))
	f.Add(fakeHead(elf.ET_DYN, 0), mapsText, uint64(0x402000))
	f.Fuzz(func(t *testing.T, head []byte, maps string, pc uint64) {
		checkLocate(t, head, maps, pc)
	})
}

// fakeHead is a file of headers: the segments of mapsText.
func fakeHead(kind elf.Type, vaddr uint64) []byte {
	b := make([]byte, headerSize)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], uint16(kind))
	le.PutUint16(b[18:], uint16(elf.EM_X86_64))
	le.PutUint32(b[20:], uint32(elf.EV_CURRENT))
	le.PutUint64(b[32:], headerSize)
	le.PutUint16(b[54:], progSize)
	le.PutUint16(b[56:], 3)
	for _, p := range []elf.Prog64{
		{Flags: uint32(elf.PF_R), Vaddr: vaddr, Filesz: 0x1000, Memsz: 0x1000},
		{Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: vaddr + 0x1000, Off: 0x1000, Filesz: 0x1ff000, Memsz: 0x1ff000},
		{Flags: uint32(elf.PF_R | elf.PF_W), Vaddr: vaddr + 0x200000, Off: 0x200000, Filesz: 0x1000, Memsz: 0x100000},
	} {
		p.Type = uint32(elf.PT_LOAD)
		b, _ = binary.Append(b, le, p)
	}
	return b
}

// TestHostileHead changes the headers of a good file. Section headers are never
// read: the kernel does not need them, and a file may have lost them.
func TestHostileHead(t *testing.T) {
	le := binary.LittleEndian
	prog := func(i, field int) int { return headerSize + i*progSize + field }
	for _, c := range []struct {
		name  string
		wreck func(b []byte) []byte
		want  string // in the error; "" if the file is read
	}{
		{"untouched", func(b []byte) []byte { return b }, ""},
		{"empty", func([]byte) []byte { return nil }, "64 bytes at offset 0, found 0"},
		{"cut in the header", func(b []byte) []byte { return b[:40] }, "64 bytes at offset 0"},
		{"cut in the program headers", func(b []byte) []byte { return b[:prog(2, 8)] }, "program headers"},
		{"no ELF file", func(b []byte) []byte { b[1] = 'X'; return b }, "found 7f 58"},
		{"32 bit", func(b []byte) []byte { b[4] = 1; return b }, "found 7f 45 4c 46 01"},
		{"big endian", func(b []byte) []byte { b[5] = 2; return b }, "found 7f 45 4c 46 02 02"},
		{"PN_XNUM", func(b []byte) []byte { le.PutUint16(b[56:], 0xFFFF); return b }, "65535"},
		{"odd e_phentsize", func(b []byte) []byte { le.PutUint16(b[54:], 57); return b }, "57"},
		{"no program headers", func(b []byte) []byte { le.PutUint16(b[56:], 0); return b }, "0 program headers"},
		{"program headers far away", func(b []byte) []byte { le.PutUint64(b[32:], 1<<63); return b }, "0x8000000000000000"},
		{"text has a huge size", func(b []byte) []byte { le.PutUint64(b[prog(1, 32):], 1<<64-0x2000); return b }, "has no end"},
		{"text is longer than its mapping", func(b []byte) []byte { le.PutUint64(b[prog(1, 32):], 0x200000); return b }, "found rw-p"},
		{"text at the top", func(b []byte) []byte { le.PutUint64(b[prog(1, 16):], 1<<64-0x1000); return b }, "bias"},
		{"no text", func(b []byte) []byte { le.PutUint32(b[prog(1, 4):], 4); return b }, "does not come from the executable"},
		{"data wraps", func(b []byte) []byte { le.PutUint64(b[prog(2, 40):], 1<<64-1); return b }, ""},
		{"section headers far away", func(b []byte) []byte { le.PutUint64(b[40:], 1<<62); return b }, ""},
		{"65535 odd sections", func(b []byte) []byte {
			le.PutUint64(b[40:], 1)
			le.PutUint16(b[58:], 63)
			le.PutUint16(b[60:], 0xFFFF)
			return b
		}, ""},
		{"long section names", longNames, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := checkLocate(t, c.wreck(fakeHead(elf.ET_EXEC, 0x400000)), mapsText, 0x402000)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// longNames adds 200 section headers that share one name of 1 MB.
func longNames(b []byte) []byte {
	const sections, size = 200, 1 << 20
	le := binary.LittleEndian
	name := bytes.Repeat([]byte{'x'}, size)
	name[size-1] = 0
	at := len(b)
	b = append(b, name...)
	le.PutUint64(b[40:], uint64(len(b)))
	le.PutUint16(b[58:], 64)
	le.PutUint16(b[60:], sections)
	le.PutUint16(b[62:], 1)
	b = append(b, make([]byte, 64)...)
	for range sections - 1 {
		b, _ = binary.Append(b, le, elf.Section64{Type: uint32(elf.SHT_STRTAB), Off: uint64(at), Size: size})
	}
	return b
}
