package gobin

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// What the fuzz target mutates is not a file but a short list of edits of a
// good one, each aimed at a field of a structure that the reader looks at. So
// a whole program of 2 MB costs a few bytes of input, and hardly an edit is in vain.

// base is a good file and where its fields are.
type base struct {
	name   string
	file   []byte
	fields []field
	byName map[string]int // in fields
}

// field is a number in the file.
type field struct {
	name  string // "ehdr.shnum", "phdr.text.filesz", "shdr..symtab.link", "sym.3.name"
	off   int
	width int
}

// layout is the names and widths of the fields of a structure, in order.
type layout []struct {
	name  string
	width int
}

var (
	ehdrLayout = layout{
		{"magic", 4},
		{"class", 1},
		{"data", 1},
		{"ident", 1},
		{"abi", 1},
		{"", 8},
		{"type", 2},
		{"machine", 2},
		{"version", 4},
		{"entry", 8},
		{"phoff", 8},
		{"shoff", 8},
		{"flags", 4},
		{"ehsize", 2},
		{"phentsize", 2},
		{"phnum", 2},
		{"shentsize", 2},
		{"shnum", 2},
		{"shstrndx", 2},
	}
	phdrLayout = layout{{"type", 4}, {"flags", 4}, {"off", 8}, {"vaddr", 8}, {"paddr", 8}, {"filesz", 8}, {"memsz", 8}, {"align", 8}}
	shdrLayout = layout{
		{"name", 4},
		{"type", 4},
		{"flags", 8},
		{"addr", 8},
		{"off", 8},
		{"size", 8},
		{"link", 4},
		{"info", 4},
		{"align", 8},
		{"entsize", 8},
	}
	symLayout  = layout{{"name", 4}, {"info", 1}, {"other", 1}, {"shndx", 2}, {"value", 8}, {"size", 8}}
	pclnLayout = layout{
		{"magic", 8},
		{"nfunc", 8},
		{"nfiles", 8},
		{"text", 8},
		{"names", 8},
		{"units", 8},
		{"files", 8},
		{"pcs", 8},
		{"funcs", 8},
	}
	funcLayout = layout{
		{"entry", 4},
		{"name", 4},
		{"args", 4},
		{"deferreturn", 4},
		{"pcsp", 4},
		{"pcfile", 4},
		{"pcln", 4},
		{"npcdata", 4},
		{"unit", 4},
		{"startline", 4},
		{"flags", 4},
	}
	wordLayout = layout{{"", 8}}
	byteLayout = layout{{"", 1}}
)

// add gives names to n structures that stand one after the other, step-1 of
// step of them left out.
func (bs *base) add(prefix string, l layout, off, n, step int) {
	size := 0
	for _, f := range l {
		size += f.width
	}
	for i := 0; i < n; i += step {
		at := off + i*size
		for _, f := range l {
			name := prefix + "." + f.name
			if n > 1 {
				name = fmt.Sprintf("%s.%d.%s", prefix, i, f.name)
			}
			if at >= 0 && at+f.width <= len(bs.file) {
				bs.byName[name] = len(bs.fields)
				bs.fields = append(bs.fields, field{name, at, f.width})
			}
			at += f.width
		}
	}
}

// newBase reads the structure of a good file.
func newBase(t testing.TB, name string, file []byte) *base {
	t.Helper()
	bs := &base{name: name, file: file, byName: map[string]int{}}
	ef, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	f, err := newBytes(file)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	bs.add("ehdr", ehdrLayout, 0, 1, 1)
	phoff := int(binary.LittleEndian.Uint64(file[32:]))
	for i, p := range ef.Progs {
		bs.add("phdr."+progName(i, p), phdrLayout, phoff+i*progSize, 1, 1)
	}
	shoff := int(binary.LittleEndian.Uint64(file[40:]))
	for i, s := range ef.Sections {
		bs.add("shdr."+s.Name, shdrLayout, shoff+i*sectionSize, 1, 1)
		if s.Type != elf.SHT_NOBITS {
			bs.add("in."+s.Name, wordLayout, int(s.Offset), min(int(s.FileSize/8), 16), 1)
		}
		if n := int(s.FileSize / symSize); s.Type == elf.SHT_SYMTAB && n > 0 {
			bs.add("sym", symLayout, int(s.Offset), n, 1+n/16)
		}
	}
	bs.addTables(f)
	bs.addCode(f)
	return bs
}

func progName(i int, p *elf.Prog) string {
	switch {
	case p.Type == elf.PT_DYNAMIC:
		return "dynamic"
	case p.Type != elf.PT_LOAD:
		return fmt.Sprint(i)
	case p.Flags&elf.PF_X != 0:
		return "text"
	case p.Flags&elf.PF_W != 0:
		return "data"
	case p.Off != 0:
		return "rodata"
	}
	return fmt.Sprint(i)
}

// offset says where in the file an address is.
func (bs *base) offset(f *File, addr uint64) int {
	l, ok := f.im.find(addr)
	if !ok {
		return -1
	}
	return int(l.off + addr - l.addr)
}

// addTables names the fields of the runtime's tables.
func (bs *base) addTables(f *File) {
	at := bs.offset(f, f.tab.addr)
	bs.add("pcln", pclnLayout, at, 1, 1)
	funcs := at + int(f.tab.off[4])
	bs.add("functab", layout{{"entry", 4}, {"off", 4}}, funcs, f.tab.nfunc+1, 1+f.tab.nfunc/16)
	for i := 0; i < f.tab.nfunc; i += 1 + f.tab.nfunc/16 {
		bs.add(fmt.Sprint("func.", i), funcLayout, funcs+int(f.tab.u32(i*funcTabEntry+4)), 1, 1)
	}
	for i, name := range []string{"names", "units", "files", "pcs"} {
		bs.add("pcln."+name, byteLayout, at+int(f.tab.off[i]), 16, 1)
	}
	// The moduledata, and the relocations that fill it.
	word := binary.LittleEndian.AppendUint64(nil, f.tab.addr)
	n := 0
	for i := 0; ; i += 8 {
		j := bytes.Index(bs.file[i:], word)
		if j < 0 {
			break
		}
		if i += j; i%8 == 0 {
			bs.add(fmt.Sprint("module.", n), wordLayout, i, modWords, 1)
			n++
		}
		i &^= 7
	}
	for _, l := range f.im.loads {
		if l.write {
			bs.add("data", wordLayout, int(l.off), 8, 1)
		}
	}
}

// addCode names the bytes of the sites, of the functions around them and of the calls that register keys.
func (bs *base) addCode(f *File) {
	keys, _ := f.Keys()
	for n, s := range findSites(f, keys) {
		bs.add(fmt.Sprint("site.", n), byteLayout, bs.offset(f, s.Addr), 16, 1)
		if i, ok := f.tab.find(s.Addr); ok {
			funcs := bs.offset(f, f.tab.addr) + int(f.tab.off[4])
			bs.add(fmt.Sprint("sitefunc.", n), funcLayout, funcs+int(f.tab.u32(i*funcTabEntry+4)), 1, 1)
			bs.add(fmt.Sprint("sitetab.", n), layout{{"entry", 4}, {"off", 4}}, funcs+i*funcTabEntry, 2, 1)
		}
		bs.add(fmt.Sprint("siteentry.", n), byteLayout, bs.offset(f, s.Entry), 16, 1)
	}
	calls, _ := f.Calls()
	_, users := callSites(f, calls)
	for n, s := range users {
		bs.add(fmt.Sprint("user.", n), byteLayout, bs.offset(f, s.Addr), 16, 1)
		bs.add(fmt.Sprint("userentry.", n), byteLayout, bs.offset(f, s.Entry), 16, 1)
		bs.add(fmt.Sprint("forwarder.", n), byteLayout, bs.offset(f, amd64.CallTarget(s.Addr, s.Code.B[:])), 48, 1)
	}
	n := 0
	for _, s := range f.Text() {
		targets := map[uint64]*constructor{}
		for _, i := range f.tab.named(constructors[0].fn) {
			targets[f.tab.entry(i)] = &constructors[0]
		}
		_, calls := f.callers(s, targets)
		for _, list := range calls {
			for _, call := range list {
				bs.add(fmt.Sprint("call.", n), byteLayout, bs.offset(f, call)-32, 37, 1)
				n++
			}
		}
	}
}

// edit is one change of a file.
type edit struct {
	op    uint8
	mode  uint8
	field uint16
	v     uint64
}

const editSize = 12

// The operations. Set is listed often: it is the one with the most to find.
const (
	opSet  = iota // the field, to the value that mode says
	opCopy        // the field, to the value of field v
	opSwap        // the field's structure and that of field v
	opCut         // the file ends at the field, plus mode bytes
	opFill        // v bytes from the field on, with mode
	opPoke        // v over the 8 bytes that are mode bytes behind the field
	opSet2
	opSet3
	ops
)

// The values of opSet.
const (
	setV    = iota // v
	setSize        // the size of the file plus v as an int8
	setAdd         // the old value plus v as an int16
	setBit         // the old value with bit v flipped
	setHuge        // the largest there is, less v as a byte
	setHalf        // a 1 shifted by v
	setMul         // the old value times v
	sets
)

func encode(edits []edit) []byte {
	var b []byte
	for _, e := range edits {
		b = append(b, e.op, e.mode)
		b = binary.LittleEndian.AppendUint16(b, e.field)
		b = binary.LittleEndian.AppendUint64(b, e.v)
	}
	return b
}

const maxEdits = 12

func decodeEdits(b []byte) []edit {
	var out []edit
	for ; len(b) >= editSize && len(out) < maxEdits; b = b[editSize:] {
		out = append(out, edit{b[0] % ops, b[1], binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint64(b[4:])})
	}
	return out
}

// apply returns the file with the edits made.
func (bs *base) apply(edits []edit) []byte {
	b := buffer(bytes.Clone(bs.file))
	size := len(b)
	for _, e := range edits {
		f := bs.fields[int(e.field)%len(bs.fields)]
		g := bs.fields[int(e.v%uint64(len(bs.fields)))]
		switch e.op {
		case opSet, opSet2, opSet3:
			b.set(f, newValue(e, b.get(f), uint64(len(bs.file))))
		case opCopy:
			b.set(f, b.get(g))
		case opSwap:
			n := structSize(f.name)
			for i := range n {
				if x, y := f.off+i, g.off+i; max(x, y) < len(b) {
					b[x], b[y] = b[y], b[x]
				}
			}
		case opCut:
			size = min(size, f.off+int(e.mode))
		case opFill:
			for i := range int(e.v % 0x2000) {
				if f.off+i < len(b) {
					b[f.off+i] = e.mode
				}
			}
		case opPoke:
			b.set(field{off: min(f.off+int(e.mode), len(b)-8), width: 8}, e.v)
		}
	}
	return b[:size]
}

// structSize is how much of a structure opSwap exchanges, from the field on.
func structSize(name string) int {
	switch {
	case strings.HasPrefix(name, "shdr"):
		return 24 // three words: not the whole, so that structures mix
	case strings.HasPrefix(name, "phdr"):
		return progSize
	}
	return 8
}

func newValue(e edit, old, size uint64) uint64 {
	switch e.mode % sets {
	case setSize:
		return size + uint64(int8(e.v))
	case setAdd:
		return old + uint64(int16(e.v))
	case setBit:
		return old ^ 1<<(e.v&63)
	case setHuge:
		return ^uint64(0) - e.v&0xFF
	case setHalf:
		return 1 << (e.v & 63)
	case setMul:
		return old * e.v
	}
	return e.v
}

func (b buffer) get(f field) uint64 {
	var w [8]byte
	copy(w[:f.width], b[f.off:])
	return binary.LittleEndian.Uint64(w[:])
}

func (b buffer) set(f field, v uint64) {
	var w [8]byte
	binary.LittleEndian.PutUint64(w[:], v)
	copy(b[f.off:], w[:f.width])
}
