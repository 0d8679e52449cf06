package gobin

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"
)

// program is a hostile program whose parts have any size: one function with
// the given code, behind statickey.Register.
type program struct {
	code  []byte // of the function
	name  string // of the function
	file  string // the only source file
	lines string // its line table; "" is one line
	more  []int  // further functions begin so far in the code
	words []uint64
}

// Where the parts of a program are.
const (
	progText  = 0x1000
	progEntry = progText + 0x10
	progKeys  = 0x4000_0000 // address of the keys, all in bss
)

// build makes the file. Addresses are offsets in it.
func (p program) build() []byte {
	text := append(bytes.Repeat([]byte{0xCC}, 0x10), p.code...)
	text[0] = 0xC3
	b := make(buffer, progText)
	b = append(append(b, text...), make([]byte, 16-len(text)%16)...)
	table := len(b)
	b = append(b, p.table(uint32(len(text)))...)
	b = append(b, make([]byte, 16-len(b)%16)...)
	data := len(b)
	b = append(b, make([]byte, 8*modWords)...)
	for _, w := range p.words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	copy(b, "\x7fELF\x02\x01\x01")
	b.u16(16, uint16(elf.ET_EXEC))
	b.u16(18, uint16(elf.EM_X86_64))
	b.u32(20, 1)
	b.u64(32, headerSize)
	b.u16(54, progSize)
	b.u16(56, 4)
	b.u16(58, sectionSize)
	for i, s := range []struct{ addr, size, memsz, flags int }{
		{progText, len(text), len(text), int(elf.PF_R | elf.PF_X)},
		{table, data - table, data - table, int(elf.PF_R)},
		{data, len(b) - data, len(b) - data, int(elf.PF_R | elf.PF_W)},
		{progKeys, 0, 1 << 20, int(elf.PF_R | elf.PF_W)},
	} {
		at := headerSize + i*progSize
		b.u32(at, uint32(elf.PT_LOAD))
		b.u32(at+4, uint32(s.flags))
		if s.size != 0 {
			b.u64(at+8, uint64(s.addr))
		}
		b.u64(at+16, uint64(s.addr))
		b.u64(at+32, uint64(s.size))
		b.u64(at+40, uint64(s.memsz))
	}
	for i, part := range []int{modFuncNames, modUnits, modFiles, modPCs, modFuncs} {
		b.u64(data+8*part, uint64(table)+binary.LittleEndian.Uint64(b[table+32+8*i:]))
	}
	b.u64(data, uint64(table))
	b.u64(data+8*modFuncTab, binary.LittleEndian.Uint64(b[data+8*modFuncs:]))
	b.u64(data+8*(modFuncTab+1), binary.LittleEndian.Uint64(b[table+8:])+1)
	b.u64(data+8*modMinPC, progText)
	b.u64(data+8*modMaxPC, uint64(progText+len(text)))
	b.u64(data+8*modText, progText)
	b.u64(data+8*modEndText, uint64(progText+len(text)))
	return b
}

// table is the function table: Register, the function, and the further ones.
func (p program) table(end uint32) []byte {
	entries := []uint32{0, 0x10}
	for _, at := range p.more {
		entries = append(entries, 0x10+uint32(at))
	}
	n := len(entries)
	entries = append(entries, end)
	names := statickeyPath + ".Register\x00" + p.name + "\x00"
	file := p.file + "\x00"
	lines := p.lines
	if lines == "" {
		lines = "\x14\x80\x80\x80\x08\x00"
	}
	pcs := "\x00\x02\x80\x80\x80\x08\x00" + lines // one file; lines
	t := make(buffer, pclnHeader)
	t.u64(0, pclnMagic)
	t.u64(8, uint64(n))
	for i, part := range []string{names, "\x00\x00\x00\x00", file, pcs, ""} {
		t.u64(32+8*i, uint64(len(t)))
		t = append(t, part...)
	}
	t.u64(64, uint64(len(t)))
	info := n*funcTabEntry + 4
	funcs := make(buffer, info+n*funcSize)
	for i, e := range entries {
		funcs.u32(i*funcTabEntry, e)
		if i == n {
			break
		}
		at := info + i*funcSize
		funcs.u32(i*funcTabEntry+4, uint32(at))
		funcs.u32(at, e)
		if i > 0 {
			funcs.u32(at+4, uint32(len(statickeyPath+".Register")+1))
		}
		funcs.u32(at+20, 1)
		funcs.u32(at+24, 7)
	}
	return append(t, funcs...)
}

// code writes instructions for the address where the function stands.
type code struct{ b []byte }

func (c *code) next() int        { return progEntry + len(c.b) }
func (c *code) raw(bytes string) { c.b = append(c.b, bytes...) }

// rel writes an opcode and the offset to a target, with a tail behind it.
func (c *code) rel(opcode string, target int, tail string) {
	c.raw(opcode)
	c.b = binary.LittleEndian.AppendUint32(c.b, uint32(target-(c.next()+4+len(tail))))
	c.raw(tail)
}

// register registers the n-th key with a name of one byte, which every file has at 1.
func (c *code) register(n int) {
	c.rel("\x48\x8d\x05", progKeys+n, "")
	c.rel("\x48\x8d\x1d", progEntry+2, "") // its first instruction: ASCII, see start
	c.raw("\xb9\x01\x00\x00\x00\x31\xff\x31\xf6")
	c.rel("\xe8", progText, "")
}

// start begins a function whose third byte is a letter.
func (c *code) start() { c.raw("\xb8kkkk") }

// site writes a compare of the n-th key and the jump that reads the flags.
func (c *code) site(n int) {
	c.rel("\x80\x3d", progKeys+n, "\x00")
	c.raw("\x74\x00")
}

const longName = 60_000

// TestAmplify: what a file can name once costs its size once, however many
// sites, keys or calls name it.
func TestAmplify(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func() []byte
		keys int
	}{
		{"one function name for many sites", func() []byte {
			return manySites(8000, program{name: "main." + strings.Repeat("f", longName), file: "a.go"})
		}, 1},
		{"one file name for many sites", func() []byte {
			return manySites(4000, program{name: "main.f", file: strings.Repeat("f", longName) + "/statickey/bool.go"})
		}, 1},
		{"one line table for many sites", func() []byte {
			return manySites(4000, program{name: "main.f", file: "a/statickey/bool.go", lines: strings.Repeat("\x02\x01", 100_000)})
		}, 1},
		{"one file name for many calls", manyCalls, 0},
		{"one symbol for many keys", manyKeys, 8000},
		{"one jump table for many jumps", func() []byte { return manyJumps(0) }, 1},
		{"overlapping jump tables", func() []byte { return manyJumps(8) }, 1},
		{"many candidates in bad code", manyCandidates, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := checkList(t, tt.make())
			if l.err != nil || len(l.keys) != tt.keys {
				t.Errorf("%d keys, want %d: %v", len(l.keys), tt.keys, l.err)
			}
			t.Logf("%d sites, %d patchable, %d calls unknown", len(l.sites), patchable(l), len(l.f.UnknownRegistrations()))
		})
	}
}

func manySites(n int, p program) []byte {
	var c code
	c.start()
	c.register(0)
	for range n {
		c.site(0)
	}
	c.raw("\xc3")
	p.code = c.b
	return p.build()
}

func manyCalls() []byte {
	var c code
	for range 8000 {
		c.rel("\xe8", progText, "")
	}
	c.raw("\xc3")
	return program{code: c.b, name: "main.f", file: strings.Repeat("f", longName)}.build()
}

// manyKeys are all inside of one variable with a long name.
func manyKeys() []byte {
	var c code
	c.start()
	for i := range 8000 {
		c.register(i)
	}
	c.raw("\xc3")
	b := program{code: c.b, name: "main.f", file: "a.go"}.build()
	sym := make(buffer, 2*symSize)
	sym.u32(symSize, 1)
	sym[symSize+4] = byte(elf.STT_OBJECT)
	sym.u16(symSize+6, 1)
	sym.u64(symSize+8, progKeys)
	sym.u64(symSize+16, 1<<20)
	strs := "\x00" + strings.Repeat("v", longName) + "\x00"
	headers := []elf.Section64{
		{},
		{Type: uint32(elf.SHT_SYMTAB), Off: uint64(len(b)), Size: uint64(len(sym)), Link: 2, Entsize: symSize},
		{Type: uint32(elf.SHT_STRTAB), Off: uint64(len(b) + len(sym)), Size: uint64(len(strs))},
	}
	return withSections(append(append(b, sym...), strs...), headers, []byte{0})
}

// manyJumps has a table of 4000 targets, and jumps through it, each at a place
// that is step bytes behind the one before.
func manyJumps(step int) []byte {
	const jumps, targets = 6000, 4000
	p := program{name: "main.f", file: "a.go"}
	for range targets {
		p.words = append(p.words, progEntry)
	}
	for range 2 { // the second time with the address of the table
		var c code
		table := int(p.tableAt())
		c.start()
		c.register(0)
		for i := range jumps {
			c.rel("\x48\x8d\x05", table+step*(i%2000), "")
			c.raw("\xff\x24\xc8")
		}
		c.raw("\xc3")
		p.code = c.b
	}
	return p.build()
}

// tableAt is the address of words.
func (p program) tableAt() uint64 { return uint64(len(p.build()) - 8*len(p.words)) }

// manyCandidates has a function that cannot be decoded, full of displacements.
func manyCandidates() []byte {
	var c code
	c.start()
	c.register(0)
	c.raw("\xc3")
	first := len(c.b)
	c.raw("\x06")
	for range 12_000 {
		c.rel("\x05", progKeys, "")
	}
	return program{code: c.b, name: "main.f", file: "a.go", more: []int{first}}.build()
}

// TestSiteInOneFunction has a function that begins inside of an instruction:
// the bytes of both readings would be a site, and overlap.
func TestSiteInOneFunction(t *testing.T) {
	var c code
	c.start()
	c.register(0)
	c.raw("\xc3")
	second := len(c.b)
	c.raw("\x90")
	at := len(c.b)
	c.site(0)
	c.raw("\xc3")
	for third := at; third < at+10; third++ {
		l := checkList(t, program{code: c.b, name: "main.f", file: "a.go", more: []int{second, third}}.build())
		want := 1
		if third > at { // inside of the compare, or between it and what reads its flags
			want = 0
		}
		if l.err != nil || len(l.keys) != 1 || patchable(l) != want {
			t.Errorf("function at +%d of the site: %d keys, %d sites, want %d; %v", third-at, len(l.keys), patchable(l), want, l.err)
		}
	}
}

// TestNeighbours reads the bytes next to a key: with another length of
// immediate, the displacements would be those of the key.
func TestNeighbours(t *testing.T) {
	var c code
	c.start()
	c.register(4)
	for n := range 9 {
		c.site(n)
		c.rel("\x0f\xb6\x05", progKeys+n, "")
	}
	c.raw("\xc3")
	l := checkList(t, program{code: c.b, name: "main.f", file: "a.go"}.build())
	if l.err != nil || patchable(l) != 2 || len(l.sites) != 2 {
		t.Errorf("%d sites, %d patchable, want 2; %v", len(l.sites), patchable(l), l.err)
	}
}
