package gobin

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

const symSize = 24 // Elf64_Sym

// symbol is a defined symbol; its name stays in the string table until asked for.
type symbol struct {
	addr, size uint64
	name       uint32
}

// symbols is the ELF symbol table, sorted by address. debug/elf's own Symbols
// makes a string of every name at once, which a hostile table can turn into
// its size squared.
type symbols struct {
	all  []symbol
	strs []byte
}

// readSymbols reads .symtab, nil when the file is stripped. The table is a
// help, not a need: one that makes no sense counts as stripped too.
func readSymbols(r io.ReaderAt, sections []*elf.Section, size int64) *symbols {
	for _, s := range sections {
		if s.Type != elf.SHT_SYMTAB {
			continue
		}
		if int(s.Link) >= len(sections) || s.Entsize != symSize {
			return nil
		}
		table, err := rawSection(r, s, size)
		if err != nil {
			return nil
		}
		strs, err := rawSection(r, sections[s.Link], size)
		if err != nil {
			return nil
		}
		return parseSymbols(table, strs)
	}
	return nil
}

func rawSection(r io.ReaderAt, s *elf.Section, size int64) ([]byte, error) {
	if s.Flags&elf.SHF_COMPRESSED != 0 || s.Type == elf.SHT_NOBITS || !within(s.Offset, s.FileSize, size) {
		return nil, detailf(ErrCorrupt, "section %s is compressed or outside the file", s.Name)
	}
	b := make([]byte, s.FileSize)
	if n, err := r.ReadAt(b, int64(s.Offset)); n < len(b) {
		return nil, fmt.Errorf("section %s: %w", s.Name, err)
	}
	return b, nil
}

func parseSymbols(table, strs []byte) *symbols {
	t := &symbols{strs: strs}
	for ; len(table) >= symSize; table = table[symSize:] {
		kind := elf.ST_TYPE(table[4])
		defined := elf.SectionIndex(binary.LittleEndian.Uint16(table[6:])) != elf.SHN_UNDEF
		name := binary.LittleEndian.Uint32(table)
		if !defined || name == 0 || uint64(name) >= uint64(len(strs)) || strs[name] == 0 ||
			kind == elf.STT_SECTION || kind == elf.STT_FILE || kind == elf.STT_TLS {
			continue
		}
		t.all = append(t.all, symbol{binary.LittleEndian.Uint64(table[8:]), binary.LittleEndian.Uint64(table[16:]), name})
	}
	// Of several at one address the largest comes last and wins: markers such as
	// runtime.noptrbss share the address of the first variable.
	slices.SortFunc(t.all, func(a, b symbol) int {
		return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(a.size, b.size), cmp.Compare(b.name, a.name))
	})
	return t
}

// value returns the address of the symbol with this name.
func (t *symbols) value(name string) (uint64, bool) {
	if t == nil {
		return 0, false
	}
	want := append([]byte(name), 0)
	for _, s := range t.all {
		if bytes.HasPrefix(t.strs[s.name:], want) {
			return s.addr, true
		}
	}
	return 0, false
}

// at names an address: "main.verbose", or "main.options" and "+0x8" inside a variable.
func (t *symbols) at(addr uint64) (name []byte, rest string) {
	if t == nil {
		return nil, ""
	}
	i, _ := slices.BinarySearchFunc(t.all, addr, func(s symbol, a uint64) int {
		if s.addr <= a {
			return -1
		}
		return 1
	})
	if i == 0 {
		return nil, ""
	}
	s := t.all[i-1]
	name = cString(t.strs[s.name:], maxName)
	switch {
	case s.addr == addr:
		return name, ""
	case addr-s.addr < s.size && len(name) > 0:
		return name, fmt.Sprintf("+%#x", addr-s.addr)
	}
	return nil, ""
}
