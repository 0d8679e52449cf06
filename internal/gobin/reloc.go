package gobin

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"slices"
)

const (
	relaSize = 24 // Elf64_Rela
	dynSize  = 16 // Elf64_Dyn
	maxDyns  = 1024
)

// reloc is one R_X86_64_RELATIVE relocation: the word at addr gets load bias +
// value. Position-independent programs keep their pointers there and leave the
// word itself zero. (Packed DT_RELR relocations keep the value in the word.)
type reloc struct{ addr, value uint64 }

// relocs reads the relocations that the dynamic section names; it is found
// through the program headers, so section headers are not needed. A program
// without them has none, and so has one whose table makes no sense: what rests
// on a pointer is checked where it is used.
func (im *image) relocs(progs []*elf.Prog) []reloc {
	addr, n := im.relaTable(progs)
	if n == 0 || n > im.rest(addr) {
		return nil
	}
	b, err := im.read(addr, n)
	if err != nil {
		return nil
	}
	var out []reloc
	for ; len(b) >= relaSize; b = b[relaSize:] {
		if elf.R_X86_64(elf.R_TYPE64(binary.LittleEndian.Uint64(b[8:]))) == elf.R_X86_64_RELATIVE {
			out = append(out, reloc{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[16:])})
		}
	}
	slices.SortStableFunc(out, func(a, b reloc) int { return cmp.Compare(a.addr, b.addr) })
	return slices.CompactFunc(out, func(a, b reloc) bool { return a.addr == b.addr })
}

// relaTable returns the address and the size of the table that DT_RELA and
// DT_RELASZ describe.
func (im *image) relaTable(progs []*elf.Prog) (addr, size uint64) {
	for _, p := range progs {
		if p.Type != elf.PT_DYNAMIC {
			continue
		}
		b, err := im.read(p.Vaddr, min(p.Filesz, maxDyns*dynSize))
		if err != nil {
			return 0, 0
		}
		for ; len(b) >= dynSize; b = b[dynSize:] {
			switch value := binary.LittleEndian.Uint64(b[8:]); elf.DynTag(binary.LittleEndian.Uint64(b)) {
			case elf.DT_RELA:
				addr = value
			case elf.DT_RELASZ:
				size = value
			case elf.DT_NULL:
				return addr, size
			}
		}
	}
	return addr, size
}

// pointers returns up to n words from addr on, as far as the file has them, and
// as the running program has them but for the load bias.
func (f *File) pointers(addr, n uint64) []uint64 {
	b, err := f.im.read(addr, min(8*n, f.im.rest(addr)&^7))
	if err != nil {
		return nil
	}
	out := make([]uint64, len(b)/8)
	for i := range out {
		out[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	first, _ := slices.BinarySearchFunc(f.rel, addr, func(r reloc, a uint64) int { return cmp.Compare(r.addr, a) })
	for _, r := range f.rel[first:] {
		i := (r.addr - addr) / 8
		if i >= uint64(len(out)) {
			break
		}
		if (r.addr-addr)%8 == 0 {
			out[i] = r.value
		}
	}
	return out
}
