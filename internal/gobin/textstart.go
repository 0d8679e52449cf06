package gobin

import (
	"debug/elf"
	"encoding/binary"
	"slices"
)

// Words of `type moduledata` (runtime/symtab.go). They are the same in go1.25,
// go1.26 and go1.27, which changed fields behind them only, so there is nothing to
// choose by version; moduleAt notices when that ends. Slices take three words.
const (
	modFuncNames = 1
	modUnits     = 4
	modFiles     = 7
	modPCs       = 10
	modFuncs     = 13
	modFuncTab   = 16
	modMinPC     = 20
	modMaxPC     = 21
	modText      = 22
	modEndText   = 23
	modWords     = 24
)

// placeText finds runtime.text, from which the function table counts. go1.26
// no longer stores it in the table. It is not always the address of .text:
// with external linking the C startup code comes first.
func (f *File) placeText(sections []*elf.Section) error {
	var tried []uint64
	for _, candidate := range []func() (uint64, bool){
		func() (uint64, bool) { return f.syms.value("runtime.text") },
		f.textFromModule,
		func() (uint64, bool) { return sectionAddr(sections, ".text") },
	} {
		start, ok := candidate()
		if !ok {
			continue
		}
		if f.textFits(start) {
			f.tab.text = start
			return nil
		}
		tried = append(tried, start)
	}
	return detailf(ErrCorrupt, "function table at %#x: the start of Go code (runtime.text) is unknown; "+
		"tried symbol, moduledata and section .text: %#x fit no code", f.tab.addr, tried)
}

func sectionAddr(sections []*elf.Section, name string) (uint64, bool) {
	for _, s := range sections {
		if s.Name == name {
			return s.Addr, true
		}
	}
	return 0, false
}

// textFits says whether the table's functions lie in one executable segment
// when they are counted from start, and begin where functions begin. The Go
// linker fills the gap in front of a function with INT3 (0xCC,
// cmd/link/internal/amd64/obj.go, CodePad), no function begins with one, and one
// that ends without a gap ends with RET mostly. Of the true entries 97% look
// like that; of entries up to 4 KB off, 26% at most (measured on the test programs,
// go1.25 to go1.27).
func (f *File) textFits(start uint64) bool {
	first, last := uint64(f.tab.entryOff(0)), uint64(f.tab.entryOff(f.tab.nfunc))
	if start > maxAddr || first == last || last-first > f.im.rest(start+first) {
		return false
	}
	if l, ok := f.im.find(start + first); !ok || !l.exec {
		return false
	}
	code, err := f.im.read(start+first, last-first)
	if err != nil {
		return false
	}
	const int3, ret = 0xCC, 0xC3
	good := 0
	for i := 1; i < f.tab.nfunc; i++ {
		at := uint64(f.tab.entryOff(i)) - first
		if at == 0 || at == last-first {
			continue // next to an empty function
		}
		if before := code[at-1]; (before == int3 || before == ret) && code[at] != int3 {
			good++
		}
	}
	return 2*good >= f.tab.nfunc-1
}

// textFromModule finds the moduledata by its first word, the address of the
// function table, and takes runtime.text from it.
func (f *File) textFromModule() (uint64, bool) {
	for _, r := range f.rel {
		if r.value == f.tab.addr {
			if text, ok := f.moduleAt(r.addr); ok {
				return text, true
			}
		}
	}
	for _, l := range f.im.loads {
		if l.exec {
			continue
		}
		if text, ok := f.moduleIn(l); ok {
			return text, true
		}
	}
	return 0, false
}

// moduleIn searches the plain words of a segment.
func (f *File) moduleIn(l load) (uint64, bool) {
	end := l.addr + l.filesz
	for at := l.addr; at < end; at += searchChunk {
		chunk, err := f.im.read(at, min(searchChunk+8, end-at))
		if err != nil {
			return 0, false
		}
		for i := int(-at & 7); i+8 <= len(chunk) && i < searchChunk; i += 8 {
			if binary.LittleEndian.Uint64(chunk[i:]) != f.tab.addr {
				continue
			}
			if text, ok := f.moduleAt(at + uint64(i)); ok {
				return text, true
			}
		}
	}
	return 0, false
}

// moduleAt returns the text field of the moduledata at addr, if that is one:
// everything in it that the function table says too must agree.
func (f *File) moduleAt(addr uint64) (uint64, bool) {
	w := f.pointers(addr, modWords)
	if len(w) < modWords {
		return 0, false
	}
	t := f.tab
	tables := []uint64{w[modFuncNames], w[modUnits], w[modFiles], w[modPCs], w[modFuncs]}
	for i := range tables {
		tables[i] -= t.addr
	}
	text := w[modText]
	ok := w[0] == t.addr && slices.Equal(tables, t.off[:]) &&
		w[modFuncTab] == w[modFuncs] && w[modFuncTab+1] == uint64(t.nfunc)+1 &&
		w[modMinPC] == text+uint64(t.entryOff(0)) &&
		w[modMaxPC] == text+uint64(t.entryOff(t.nfunc)) && w[modEndText] >= w[modMaxPC]
	return text, ok
}
