package gobin

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// synth makes a small file with everything that the reader looks at: two
// registrations, one of them with a name from a register, function table,
// moduledata, symbols, relocations and DWARF. Fuzzing starts from it, and tests
// break it one field at a time.
type synth struct {
	pie, sections bool
}

// Where things are, packed so that fuzzing has little to mutate in vain.
// Addresses are those of the file plus base.
const (
	synBase      = 0x400000
	synText      = 0x140
	synTextSize  = 0x100
	synROData    = 0x240
	synROSize    = 0x3C0
	synTable     = 0x280
	synTableSize = 0x200
	synDyn       = 0x480
	synRela      = 0x4C0
	synData      = 0x600
	synDataSize  = 0x400 // with bss
	synModule    = 0x600
	synFilled    = 0xC0  // the part of data that the file has
	synKey       = 0x800 // bss
	synDebug     = 0x6C0 // in the file only
	synEnd       = 0xB00
	synPhdrs     = 4
)

const (
	synName = "net.trace"
	synDesc = "log every packet"
)

var (
	synFuncs   = []string{statickeyPath + ".Register", "main.init", "main.main"}
	synEntries = []uint32{0, 0x20, 0x80, 0xA0} // the last is the end
)

type buffer []byte

func (b buffer) u16(off int, v uint16) { binary.LittleEndian.PutUint16(b[off:], v) }
func (b buffer) u32(off int, v uint32) { binary.LittleEndian.PutUint32(b[off:], v) }
func (b buffer) u64(off int, v uint64) { binary.LittleEndian.PutUint64(b[off:], v) }

func (s synth) build() []byte {
	b := make(buffer, synEnd)
	s.headers(b)
	s.code(b)
	copy(b[synROData:], synName+synDesc)
	s.funcTable(b)
	s.module(b)
	if s.sections {
		s.sectionHeaders(b)
	}
	return b
}

func (s synth) headers(b buffer) {
	copy(b, "\x7fELF\x02\x01\x01")
	kind := elf.ET_EXEC
	if s.pie {
		kind = elf.ET_DYN
	}
	b.u16(16, uint16(kind))
	b.u16(18, uint16(elf.EM_X86_64))
	b.u32(20, 1)
	b.u64(24, synBase+synText)
	b.u64(32, headerSize)
	b.u16(52, headerSize)
	b.u16(54, progSize)
	b.u16(56, synPhdrs)
	b.u16(58, sectionSize)
	for i, p := range []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Off: synText, Filesz: synTextSize, Memsz: synTextSize},
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Off: synROData, Filesz: synROSize, Memsz: synROSize},
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: synData, Filesz: synFilled, Memsz: synDataSize},
		{Type: uint32(elf.PT_DYNAMIC), Flags: uint32(elf.PF_R), Off: synDyn, Filesz: 0x40, Memsz: 0x40},
	} {
		at := headerSize + i*progSize
		b.u32(at, p.Type)
		b.u32(at+4, p.Flags)
		b.u64(at+8, p.Off)
		b.u64(at+16, synBase+p.Off)
		b.u64(at+32, p.Filesz)
		b.u64(at+40, p.Memsz)
	}
}

// code writes the functions. main.init registers one key with constants and
// calls again with a name that the first call returned.
func (s synth) code(b buffer) {
	text := b[synText : synText+synTextSize]
	for i := range text {
		text[i] = 0xCC
	}
	text[0], text[0x80] = 0xC3, 0xC3
	at := 0x20
	lea := func(opcode string, target int) {
		copy(text[at:], opcode)
		at += 7
		binary.LittleEndian.PutUint32(text[at-4:], uint32(target-(synText+at)))
	}
	emit := func(code string) { at += copy(text[at:], code) }
	for range 2 {
		lea("\x48\x8d\x05", synKey)
		if at < 0x30 {
			lea("\x48\x8d\x1d", synROData)
		}
		emit("\xb9" + string(rune(len(synName))) + "\x00\x00\x00")
		lea("\x48\x8d\x3d", synROData+len(synName))
		emit("\xbe" + string(rune(len(synDesc))) + "\x00\x00\x00")
		emit("\xe8")
		at += 4
		binary.LittleEndian.PutUint32(text[at-4:], uint32(-at))
	}
	emit("\xc3")
}

// funcTable writes the pclntab with its five parts one after the other.
func (s synth) funcTable(b buffer) {
	t := b[synTable:]
	off := 0x60
	parts := [5]int{}
	nameOff := []int{}
	parts[0] = off
	for _, n := range synFuncs {
		nameOff = append(nameOff, off-parts[0])
		off += copy(t[off:], n) + 1
	}
	parts[1], off = off, off+4 // one unit, one file at 0
	parts[2] = off
	off += copy(t[off:], "main.go") + 1
	parts[3] = off
	off += copy(t[off:], "\x00\x14\x80\x02\x00\x02\x80\x02\x00") // unused; line 9; file 0
	off += 8 - off%8
	parts[4] = off
	t.u64(0, pclnMagic)
	t.u64(8, uint64(len(synFuncs)))
	t.u64(16, 1)
	for i, p := range parts {
		t.u64(32+8*i, uint64(p))
	}
	info := len(synFuncs)*funcTabEntry + 4
	for i, e := range synEntries {
		t.u32(off+i*funcTabEntry, e)
		if i == len(synFuncs) {
			break
		}
		t.u32(off+i*funcTabEntry+4, uint32(info))
		t.u32(off+info, e)
		t.u32(off+info+4, uint32(nameOff[i]))
		t.u32(off+info+20, 5) // files
		t.u32(off+info+24, 1) // lines
		info += funcSize
	}
}

// module writes the moduledata, in a PIE as relocations.
func (s synth) module(b buffer) {
	table, text := uint64(synBase+synTable), uint64(synBase+synText)
	part := func(i int) uint64 { return table + binary.LittleEndian.Uint64(b[synTable+32+8*i:]) }
	words := map[int]uint64{
		0: table, modFuncNames: part(0), modUnits: part(1), modFiles: part(2), modPCs: part(3),
		modFuncs: part(4), modFuncTab: part(4), modMinPC: text, modMaxPC: text + 0xA0,
		modText: text, modEndText: text + 0xA0,
	}
	b.u64(synModule+8*(modFuncTab+1), uint64(len(synFuncs))+1)
	n := 0
	for i := range modWords {
		v, ok := words[i]
		switch {
		case !ok:
		case s.pie:
			b.u64(synRela+n*relaSize, uint64(synBase+synModule+8*i))
			b.u64(synRela+n*relaSize+8, uint64(elf.R_X86_64_RELATIVE))
			b.u64(synRela+n*relaSize+16, v)
			n++
		default:
			b.u64(synModule+8*i, v)
		}
	}
	for i, v := range []uint64{uint64(elf.DT_RELA), synBase + synRela, uint64(elf.DT_RELASZ), uint64(n) * relaSize} {
		b.u64(synDyn+8*i, v)
	}
}

// synDWARF returns a unit with a typedef of the key's type and two variables of it.
func synDWARF() (abbrev, info []byte) {
	abbrev = []byte{
		1, 0x11, 1, 0x03, 0x08, 0, 0, // compile unit, children; name
		2, 0x16, 0, 0x03, 0x08, 0, 0, // typedef; name
		3, 0x34, 0, 0x03, 0x08, 0x02, 0x18, 0x49, 0x13, 0, 0, // variable; name, location, type
		0,
	}
	var b bytes.Buffer
	b.Write([]byte{0, 0, 0, 0, 5, 0, 1, 8, 0, 0, 0, 0}) // DWARF 5 unit header
	b.WriteString("\x01main\x00")
	typeOff := uint32(b.Len())
	b.WriteString("\x02" + statickeyPath + ".Bool\x00")
	for i, name := range []string{"main.trace", "main.lost"} {
		b.WriteString("\x03" + name + "\x00\x09\x03")
		_ = binary.Write(&b, binary.LittleEndian, uint64(synBase+synKey+16*i))
		_ = binary.Write(&b, binary.LittleEndian, typeOff)
	}
	b.WriteByte(0)
	info = b.Bytes()
	binary.LittleEndian.PutUint32(info, uint32(len(info)-4))
	return abbrev, info
}

func (s synth) sectionHeaders(b buffer) {
	abbrev, info := synDWARF()
	strs := "\x00runtime.text\x00main.trace\x00"
	syms := make(buffer, 3*symSize)
	syms.u32(symSize, 1)
	syms.u16(symSize+6, 1)
	syms.u64(symSize+8, synBase+synText)
	syms.u32(2*symSize, 14)
	syms[2*symSize+4] = byte(elf.STT_OBJECT)
	syms.u16(2*symSize+6, 1)
	syms.u64(2*symSize+8, synBase+synKey)
	syms.u64(2*symSize+16, 16)
	names := "\x00"
	var headers []elf.Section64
	off := synDebug
	add := func(name string, h elf.Section64, content []byte) {
		h.Name = uint32(len(names))
		names += name + "\x00"
		if content != nil {
			h.Off, h.Size = uint64(off), uint64(len(content))
			off += copy(b[off:], content)
		}
		headers = append(headers, h)
	}
	add("", elf.Section64{}, nil)
	add(".text", elf.Section64{Type: uint32(elf.SHT_PROGBITS), Addr: synBase + synText, Off: synText, Size: synTextSize}, nil)
	add(".gopclntab", elf.Section64{Type: uint32(elf.SHT_PROGBITS), Addr: synBase + synTable, Off: synTable, Size: synTableSize}, nil)
	add(".symtab", elf.Section64{Type: uint32(elf.SHT_SYMTAB), Link: 4, Entsize: symSize}, syms)
	add(".strtab", elf.Section64{Type: uint32(elf.SHT_STRTAB)}, []byte(strs))
	add(".debug_abbrev", elf.Section64{Type: uint32(elf.SHT_PROGBITS)}, abbrev)
	add(".debug_info", elf.Section64{Type: uint32(elf.SHT_PROGBITS)}, info)
	add(".shstrtab", elf.Section64{Type: uint32(elf.SHT_STRTAB)}, []byte(names+".shstrtab\x00"))
	off += 8 - off%8
	b.u64(40, uint64(off))
	b.u16(60, uint16(len(headers)))
	b.u16(62, uint16(len(headers)-1))
	var table bytes.Buffer
	_ = binary.Write(&table, binary.LittleEndian, headers)
	if copy(b[off:], table.Bytes()) < table.Len() {
		panic("synthetic file is too small for its section headers")
	}
}

// sectionField returns the offset of a field in header i of the section table.
func sectionField(b []byte, i, field int) int {
	return int(binary.LittleEndian.Uint64(b[40:])) + i*sectionSize + field
}
