package gobin

import (
	"debug/elf"
	"strings"
	"testing"
)

// hostileCases are the classes of hostile files by name, as edits that make
// sense for every base. want are words of the error: "" means that the file
// is read in spite of it, sites and all; "*" that it depends on the base. A |
// stands between two.
var hostileCases = []struct {
	name string
	want string
	on   func(bs *base) []edit
}{
	// Cut off at the border of each structure, and inside of each.
	{"cut before the header", "not an ELF file", cut("ehdr.magic", 0)},
	{"cut in the magic", "not an ELF file", cut("ehdr.magic", 3)},
	{"cut in the header", "truncated", cut("ehdr.shstrndx", 1)},
	{"cut before the program headers", "program headers at", cut("phdr.text.type", 0)},
	{"cut in the program headers", "truncated", cut("phdr.data.memsz", 7)},
	{"cut before the function table", "truncated", cut("pcln.magic", 0)},
	{"cut in the function table's header", "truncated", cut("pcln.funcs", 3)},
	{"cut in the functions", "truncated", cut("functab.0.off", 2)},
	{"cut in a site", "truncated", cut("site.0.3.", 0)},
	{"cut before the section headers", "|truncated", cut("shdr..text.name", 0)},
	{"cut in the section headers", "|truncated", cut("shdr..text.size", 4)},
	{"cut in the symbols", "", cut("sym.0.value", 4)},

	// The ELF header.
	{"no program headers", "no program headers", set("ehdr.phnum", 0)},
	{"PN_XNUM", "65535 program headers", set("ehdr.phnum", 0xFFFF)},
	{"more program headers than the file", "truncated", set("ehdr.phoff", 1<<62)},
	{"program headers whose end wraps", "truncated", set("ehdr.phoff", 1<<64-56)},
	{"odd e_phentsize", "program headers of 57 bytes", set("ehdr.phentsize", 57)},
	{"no sections, the count in section 0", "", both(set("ehdr.shnum", 0), set("shdr..sh_size", 1<<40))},
	{"65535 sections", "", set("ehdr.shnum", 0xFFFF)},
	{"odd e_shentsize", "", set("ehdr.shentsize", 63)},
	{"e_shentsize 0", "", set("ehdr.shentsize", 0)},
	{"section headers far away", "", set("ehdr.shoff", 1<<63)},
	{"section headers whose end wraps", "", set("ehdr.shoff", 1<<64-64)},
	{"section headers over the header", "*", set("ehdr.shoff", 0x10)},
	{"names in SHN_XINDEX", "", set("ehdr.shstrndx", 0xFFFF)},
	{"names in section 0", "*", set("ehdr.shstrndx", 0)},

	// Segments.
	{"segment beyond the file", "truncated", set("phdr.text.off", 1<<40)},
	{"segment whose end wraps", "corrupt", set("phdr.text.filesz", 1<<64-16)},
	{"more file than memory", "bytes of file for", set("phdr.text.memsz", 1)},
	{"segment at the top of memory", "corrupt", set("phdr.text.vaddr", 1<<64-0x1000)},
	{"segments overlap", "segments overlap", copyField("phdr.data.vaddr", "phdr.text.vaddr")},
	{"code is not executable", "function table at", set("phdr.text.flags", uint64(elf.PF_R))},
	{"data is not writable", "*", set("phdr.data.flags", uint64(elf.PF_R))},
	{"code and data are swapped", "*", swap("phdr.text.type", "phdr.data.type")},
	{"code is writable, too", "", set("phdr.text.flags", uint64(elf.PF_R|elf.PF_W|elf.PF_X))},
	{"code is all of the file", "*", both(set("phdr.text.off", 0), setTo("phdr.text.filesz", setSize, 0))},

	// Sections.
	{".text is huge", "", set("shdr..text.size", 1<<60)},
	{".text at a wrong offset", "", setTo("shdr..text.off", setAdd, 1)},
	{".text in data", "", copyField("shdr..text.addr", "phdr.data.vaddr")},
	{".text without Go code", "", set("shdr..text.size", 16)},
	{".text is compressed", "*", set("shdr..text.flags", uint64(elf.SHF_COMPRESSED))},
	{"symbols name themselves", "", set("shdr..symtab.link", 3)},
	{"symbols with names beyond", "", set("sym.0.name", 1<<32-1)},
	{"symbols are huge", "", set("shdr..symtab.size", 1<<62)},
	{"symbols of no size", "", set("shdr..symtab.entsize", 0)},
	{"names without NUL", "", fill("in..shstrtab.0.", 'x')},
	{"DWARF has a huge ch_size", "grows to", compress(".debug_info", 1<<50)},
	{"DWARF of a strange compression", "*", both(compress(".debug_info", 1<<10), set("in..debug_info.0.", 0x77))},
	{"all DWARF is one section", "*", both(copyField("shdr..debug_info.off", "shdr..debug_abbrev.off"), copyField("shdr..debug_info.size", "shdr..debug_abbrev.size"))},
	{"abbreviations of 0xFF", "*", fill("in..debug_abbrev.0.", 0xFF)},

	// The tables of the runtime.
	{"another magic", "*", set("pcln.magic", 0x08010000_FFFFFFF0)},
	{"huge nfunc", "functions in|no function table", set("pcln.nfunc", 1<<61)},
	{"no functions", "0 functions|no function table", set("pcln.nfunc", 0)},
	{"nfunc is one too many", "function table", setTo("pcln.nfunc", setAdd, 1)},
	{"tables out of order", "part 1|no function table", set("pcln.units", 71)},
	{"table beyond the file", "part 4|no function table", set("pcln.funcs", 1<<40)},
	{"names are empty", "*", copyField("pcln.units", "pcln.names")},
	{"functions not in order", "function table", set("functab.0.entry", 1<<31)},
	{"function described outside", "described at offset", set("functab.0.off", 1<<32-8)},
	{"function described inside of the table", "described at offset", set("functab.0.off", 0)},
	{"name beyond the table", "*", set("sitefunc.0.name", 1<<32-1)},
	{"lines beyond the table", "*", set("sitefunc.0.pcln", 1<<32-1)},
	{"unit beyond the table", "", set("sitefunc.0.unit", 1<<32-1)},

	// Code.
	{"site of another form", "*", set("site.0.0.", 0x8D)},
	{"site with a byte of a prefix", "*", set("site.0.0.", 0x66)},
	{"function of bad opcodes", "*", set("siteentry.0.0.", 0x06)},
}

type edits func(bs *base) []edit

// at is an edit of a named field, none when the base has no such field.
func at(name string, e edit) edits {
	return func(bs *base) []edit {
		i, ok := bs.byName[name]
		if !ok {
			return nil
		}
		e.field = uint16(i)
		return []edit{e}
	}
}

func set(name string, v uint64) edits { return at(name, edit{op: opSet, mode: setV, v: v}) }

func setTo(name string, mode uint8, v uint64) edits {
	return at(name, edit{op: opSet, mode: mode, v: v})
}

func fill(name string, with byte) edits { return at(name, edit{op: opFill, mode: with, v: 0x100}) }

func cut(name string, plus int) edits {
	return at(name, edit{op: opCut, mode: uint8(plus)})
}

func pair(op uint8, name, other string) edits {
	return func(bs *base) []edit {
		return at(name, edit{op: op, v: uint64(bs.byName[other])})(bs)
	}
}

func copyField(to, from string) edits { return pair(opCopy, to, from) }
func swap(a, b string) edits          { return pair(opSwap, a, b) }

func both(a, b edits) edits {
	return func(bs *base) []edit { return append(a(bs), b(bs)...) }
}

// compress gives a section that is compressed, or is from now on, another size.
func compress(name string, size uint64) edits {
	return func(bs *base) []edit {
		var out []edit
		for _, e := range []edits{
			set("shdr."+name+".flags", uint64(elf.SHF_COMPRESSED)), set("in."+name+".0.", uint64(elf.COMPRESS_ZLIB)),
			set("in."+name+".1.", size), set("in."+name+".2.", 1),
		} {
			out = append(out, e(bs)...)
		}
		return out
	}
}

// TestHostile runs each case on each base.
func TestHostile(t *testing.T) {
	used := map[string]bool{}
	for i, b := range bases {
		t.Run(b.name, func(t *testing.T) {
			bs := getBase(t, i)
			whole := patchable(list(bs.file))
			for _, c := range hostileCases {
				edits := c.on(bs)
				if len(edits) == 0 {
					continue // a stripped base
				}
				used[c.name] = true
				t.Run(c.name, func(t *testing.T) {
					l := checkList(t, bs.apply(edits))
					checkHostile(t, c.want, l, whole)
				})
			}
		})
	}
	for _, c := range hostileCases {
		if !used[c.name] {
			t.Errorf("no base has a field for %q", c.name)
		}
	}
}

func patchable(l listing) (n int) {
	for _, s := range l.sites {
		if s.Patchable() {
			n++
		}
	}
	return n
}

func checkHostile(t *testing.T, want string, l listing, whole int) {
	t.Helper()
	if want == "*" {
		t.Logf("%d sites, %v", patchable(l), l.err)
		return
	}
	for _, w := range strings.Split(want, "|") {
		if w == "" && l.err == nil && patchable(l) > 0 && patchable(l) <= whole ||
			w != "" && l.err != nil && strings.Contains(l.err.Error(), w) {
			return
		}
	}
	t.Errorf("%d patchable sites of %d, %v; want %q", patchable(l), whole, l.err, want)
}
