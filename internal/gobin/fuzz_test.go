package gobin

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
)

// allocLimit is what reading a file of n bytes may allocate in total. The
// constant part is buffers of fixed size; in the search for the function
// table, chunks and matches are read more than once.
func allocLimit(n int) uint64 { return 8<<20 + (maxDwarfGrowth*maxEntryCost+64)*uint64(n) }

// allocated returns how many bytes fn allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// use calls everything there is on an opened file.
func use(t *testing.T, f *File) {
	keys, err := f.Keys()
	if err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("Keys: %v", err)
	}
	for _, k := range keys {
		if !f.inData(k.Addr) || len(k.Name) > maxString || len(k.Desc) > maxString {
			t.Errorf("impossible key %+v", k)
		}
	}
	if calls, err := f.Calls(); err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("Calls: %v", err)
	} else {
		for _, k := range calls {
			if !f.inData(k.Addr) || !isStaticCall(k.Type) || k.Width != funcWidth {
				t.Errorf("impossible static call %+v", k)
			}
		}
	}
	pcs := f.UnknownRegistrations()
	for _, s := range f.Text() {
		for i := range 64 {
			pcs = append(pcs, s.Addr+uint64(len(s.Bytes)*i/64))
		}
	}
	for _, pc := range append(pcs, 0, 1<<63, ^uint64(0)) {
		entry, _, ok := f.Func(pc)
		end, endOK := f.FuncEnd(pc)
		if ok && (!endOK || pc < entry || pc >= end) {
			t.Errorf("Func(%#x) = %#x %v, FuncEnd = %#x %v", pc, entry, ok, end, endOK)
		}
		f.Line(pc)
		f.Symbol(pc)
	}
	for _, r := range f.Data() {
		f.Symbol(r.Start)
	}
	f.GoVersion()
	f.Settings()
}

// FuzzNew is best run with -fuzzminimizetime 20x: at the default, shortening one
// interesting input takes the whole minute that it is allowed to.
func FuzzNew(f *testing.F) {
	for _, s := range synths {
		f.Add(s.build())
	}
	// The first part of a real program: this test.
	if exe, err := os.Executable(); err == nil {
		if b, err := os.ReadFile(exe); err == nil {
			f.Add(b[:min(len(b), 4096)])
		}
	}
	kinds := []error{ErrNotELF, ErrArch, ErrNotGo, ErrVersion, ErrTruncated, ErrCorrupt}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := allocated(func() {
			file, err := newBytes(b)
			if err == nil {
				use(t, file)
				return
			}
			for _, kind := range kinds {
				if errors.Is(err, kind) {
					return
				}
			}
			t.Errorf("error of no kind: %v", err)
		})
		if n > allocLimit(len(b)) {
			t.Errorf("%d bytes allocated for a file of %d", n, len(b))
		}
	})
}

// TestMemory opens files that are made to cost much more than their size.
func TestMemory(t *testing.T) {
	for _, tt := range []struct {
		name  string
		file  []byte
		words string // in the error of New or of Keys, "" for none
	}{
		{"section names", hugeSectionNames(), ""},
		{"compressed DWARF", dwarfBomb(), "grows to"},
		{"DWARF abbreviations", dwarfTables(), "overlap"},
		{"DWARF entries", dwarfEntries(0), "larger than their encoding"},
		{"nested DWARF entries", dwarfEntries(1), "larger than their encoding"},
		{"function tables", manyMagics(), "function table"},
		{"strings", manyStrings(), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			n := allocated(func() {
				var f *File
				if f, err = newBytes(tt.file); err == nil {
					use(t, f)
					_, err = f.Keys()
				}
			})
			t.Logf("%d bytes allocated for a file of %d, limit %d", n, len(tt.file), allocLimit(len(tt.file)))
			if n > allocLimit(len(tt.file)) {
				t.Errorf("%d bytes allocated for a file of %d", n, len(tt.file))
			}
			if tt.words == "" && err != nil || tt.words != "" && (err == nil || !strings.Contains(err.Error(), tt.words)) {
				t.Errorf("error %v, want %q", err, tt.words)
			}
		})
	}
}

// withSections puts a new section table behind the file, with the name table
// last.
func withSections(b buffer, headers []elf.Section64, names []byte) []byte {
	headers = append(headers, elf.Section64{
		Type: uint32(elf.SHT_STRTAB), Off: uint64(len(b)), Size: uint64(len(names)),
	})
	b = append(b, names...)
	b.u64(40, uint64(len(b)))
	b.u16(60, uint16(len(headers)))
	b.u16(62, uint16(len(headers)-1))
	var table bytes.Buffer
	_ = binary.Write(&table, binary.LittleEndian, headers)
	return append(b, table.Bytes()...)
}

// hugeSectionNames has many sections that share one name of 1 MB.
func hugeSectionNames() []byte {
	names := bytes.Repeat([]byte{'x'}, 1<<20)
	names[len(names)-1] = 0
	return withSections(synth{}.build(), make([]elf.Section64, maxSections-1), names)
}

// dwarfSectionsOf adds two DWARF sections to the synthetic file.
func dwarfSectionsOf(abbrev, info []byte, flags elf.SectionFlag) []byte {
	b := synth{}.build()
	names := []byte("\x00.debug_abbrev\x00.debug_info\x00")
	headers := []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: uint64(len(b)), Size: uint64(len(abbrev))},
		{Name: 15, Type: uint32(elf.SHT_PROGBITS), Flags: uint64(flags), Off: uint64(len(b) + len(abbrev)), Size: uint64(len(info))},
	}
	return withSections(append(append(b, abbrev...), info...), headers, names)
}

// dwarfBomb has a compressed section that grows a thousand times.
func dwarfBomb() []byte {
	const size = 256 << 20
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, elf.Chdr64{Type: uint32(elf.COMPRESS_ZLIB), Size: size})
	z := zlib.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for range size / len(zeros) {
		_, _ = z.Write(zeros)
	}
	_ = z.Close()
	return dwarfSectionsOf([]byte{0}, b.Bytes(), elf.SHF_COMPRESSED)
}

// dwarfTables has many units, each with its own start in one long table.
func dwarfTables() []byte {
	abbrev := []byte{1, 0x11, 1}
	for range 1 << 15 {
		abbrev = append(abbrev, 0x11, 0x11)
	}
	abbrev = append(abbrev, 0, 0, 0)
	_, info := synDWARF()
	for i := range 1 << 12 {
		info = append(info, 8, 0, 0, 0, 5, 0, 1, 8)
		info = binary.LittleEndian.AppendUint32(info, uint32(2*i))
	}
	return dwarfSectionsOf(abbrev, info, 0)
}

// dwarfEntries has entries of one byte with a thousand attributes each; nested
// says whether the first has the others as children.
func dwarfEntries(nested byte) []byte {
	abbrev, info := synDWARF()
	abbrev = append(abbrev[:len(abbrev)-1], 4, 0x2E, 0, 0, 0, 5, 0x34, 0)
	abbrev[len(abbrev)-6] = nested
	for range 1000 {
		abbrev = append(abbrev, 0x3F, 0x19) // external: DW_FORM_flag_present takes no bytes
	}
	abbrev = append(abbrev, 0, 0, 0)
	info = append(info[:len(info)-1], 4)
	info = append(info, bytes.Repeat([]byte{5}, 1<<16)...)
	info = append(info, 0, 0)
	binary.LittleEndian.PutUint32(info, uint32(len(info)-4))
	return dwarfSectionsOf(abbrev, info, 0)
}

// manyStrings registers the same key again and again, each time with another
// name and description of 4000 bytes, all of them in the same 8000 bytes.
func manyStrings() []byte {
	const calls, size, off, strs = 4000, 36, 0x8000, 0x4000
	b := buffer(append(synth{}.build(), make([]byte, off-synEnd+calls*size)...))
	for i := strs; i < off; i++ {
		b[i] = 'a' + byte(i%26)
	}
	at := headerSize // the executable segment: functions stay at its start
	code := b[synText : synText+synTextSize]
	text := append(bytes.Clone(code[:0x20]), make([]byte, calls*size)...)
	for i := range calls {
		c := buffer(text[0x20+i*size:])
		next := off + 0x20 + i*size
		for j, in := range []struct {
			opcode string
			target int
		}{{"\x48\x8d\x05", synKey}, {"\x48\x8d\x1d", strs + i}, {"\x48\x8d\x3d", strs + i}} {
			copy(c[7*j:], in.opcode)
			c.u32(7*j+3, uint32(in.target-(next+7*j+7)))
		}
		c[21], c[26] = 0xB9, 0xBE
		c.u32(22, 4000)
		c.u32(27, 4000)
		c[31] = 0xE8
		c.u32(32, uint32(off-(next+size)))
	}
	end := uint32(0x20 + calls*size)
	text = append(text, 0xC3, 0xCC, 0xCC, 0xCC)
	b = append(b[:off], text...)
	b.u64(at+8, off)
	b.u64(at+16, synBase+off)
	b.u64(at+32, uint64(len(text)))
	b.u64(at+40, uint64(len(text)))
	manyStringsTables(b, end)
	return b
}

// manyStringsTables moves the function table's text to the new place and makes
// main.init as long as the code is.
func manyStringsTables(b buffer, end uint32) {
	const off, strs = 0x8000, 0x4000
	funcs := synTable + int(binary.LittleEndian.Uint64(b[synTable+64:]))
	info := funcs + int(binary.LittleEndian.Uint32(b[funcs+20:]))
	b.u32(funcs+16, end)
	b.u32(info, end)
	b.u32(funcs+24, end+2)
	b.u64(synModule+8*modText, synBase+off)
	b.u64(synModule+8*modMinPC, synBase+off)
	b.u64(synModule+8*modMaxPC, synBase+off+uint64(end)+2)
	b.u64(synModule+8*modEndText, synBase+off+uint64(end)+2)
	at := headerSize + 2*progSize // the strings take the place of the dynamic section's header
	b.u32(at+progSize, uint32(elf.PT_LOAD))
	b.u64(at+progSize+8, strs)
	b.u64(at+progSize+16, synBase+strs)
	b.u64(at+progSize+32, off-strs)
	b.u64(at+progSize+40, off-strs)
}

// manyMagics has no section headers and is full of beginnings of function tables.
func manyMagics() []byte {
	b := buffer(synth{}.build())
	table := bytes.Clone(b[synTable : synTable+pclnHeader])
	const start, size = 0x10000, 1 << 20
	b = append(b, make([]byte, start+size-len(b))...)
	for i := 0; i+len(table) <= size; i += len(table) {
		copy(b[start+i:], table)
	}
	at := headerSize + progSize // the read-only segment
	b.u64(at+8, start)
	b.u64(at+16, synBase+start)
	b.u64(at+32, size)
	b.u64(at+40, size)
	return b
}
