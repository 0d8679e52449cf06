package gobin

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
)

const (
	headerSize  = 64 // Elf64_Ehdr
	progSize    = 56 // Elf64_Phdr
	sectionSize = 64 // Elf64_Shdr

	// Linked programs have some 40 section and 12 program headers. The limits
	// keep a hostile table from being expensive, not a strange one from being read.
	maxSections    = 1024
	maxProgs       = 256
	maxSectionName = 256
)

// header is the part of Elf64_Ehdr (System V gABI, "ELF Header") that is needed
// to decide whether debug/elf can be let loose on the file.
type header struct {
	kind             elf.Type
	phoff, shoff     uint64
	phentsize, phnum uint16
	shentsize, shnum uint16
	shstrndx         uint16
}

func readHeader(r io.ReaderAt, size int64) (header, error) {
	var b [headerSize]byte
	if n, err := readUpTo(r, b[:], size); err != nil {
		return header{}, err
	} else if n < len(elf.ELFMAG) || string(b[:len(elf.ELFMAG)]) != elf.ELFMAG {
		return header{}, detailf(ErrNotELF, "found % x at offset 0, want % x", b[:min(n, 4)], elf.ELFMAG)
	} else if n < headerSize {
		return header{}, detailf(ErrTruncated, "%d bytes, the ELF header alone has %d", n, headerSize)
	}
	if err := checkMachine(b[:]); err != nil {
		return header{}, err
	}
	h := header{
		kind:      elf.Type(binary.LittleEndian.Uint16(b[16:])),
		phoff:     binary.LittleEndian.Uint64(b[32:]),
		shoff:     binary.LittleEndian.Uint64(b[40:]),
		phentsize: binary.LittleEndian.Uint16(b[54:]),
		phnum:     binary.LittleEndian.Uint16(b[56:]),
		shentsize: binary.LittleEndian.Uint16(b[58:]),
		shnum:     binary.LittleEndian.Uint16(b[60:]),
		shstrndx:  binary.LittleEndian.Uint16(b[62:]),
	}
	if h.kind != elf.ET_EXEC && h.kind != elf.ET_DYN {
		return h, detailf(ErrNotGo, "ELF type %v; want a linked program (%v or %v)", h.kind, elf.ET_EXEC, elf.ET_DYN)
	}
	return h, checkProgs(h, size)
}

// readUpTo fills b from the start of the file, as far as the file goes.
func readUpTo(r io.ReaderAt, b []byte, size int64) (int, error) {
	n := int(min(int64(len(b)), max(size, 0)))
	if got, err := r.ReadAt(b[:n], 0); got < n {
		return got, fmt.Errorf("read %d bytes at offset 0: %w", n, err)
	}
	return n, nil
}

func checkMachine(b []byte) error {
	class, order := elf.Class(b[elf.EI_CLASS]), elf.Data(b[elf.EI_DATA])
	machine := elf.Machine(binary.LittleEndian.Uint16(b[18:]))
	if order == elf.ELFDATA2MSB {
		machine = elf.Machine(binary.BigEndian.Uint16(b[18:]))
	}
	if class != elf.ELFCLASS64 || order != elf.ELFDATA2LSB || machine != elf.EM_X86_64 {
		return detailf(ErrArch, "found %v (%v, %v); supported is x86-64 (%v, %v, %v)",
			machine, class, order, elf.EM_X86_64, elf.ELFCLASS64, elf.ELFDATA2LSB)
	}
	return nil
}

func checkProgs(h header, size int64) error {
	switch {
	case h.phnum == 0:
		return detailf(ErrNotGo, "no program headers: this is not a linked program")
	case h.phentsize != progSize:
		return detailf(ErrCorrupt, "program headers of %d bytes, want %d", h.phentsize, progSize)
	case h.phnum > maxProgs:
		return detailf(ErrCorrupt, "%d program headers, at most %d are read", h.phnum, maxProgs)
	case !within(h.phoff, uint64(h.phnum)*progSize, size):
		return detailf(ErrTruncated, "program headers at %#x..%#x, file ends at %#x",
			h.phoff, h.phoff+uint64(h.phnum)*progSize, size)
	}
	return nil
}

// within says whether [off, off+n) lies inside a file of the given size.
func within(off, n uint64, size int64) bool {
	return size >= 0 && off <= uint64(size) && n <= uint64(size)-off
}

// checkSections says why the section headers cannot be used, if so. The names
// matter as much as the table: debug/elf copies every name up to its NUL, so
// many headers that share one huge name would cost their product in memory.
func checkSections(r io.ReaderAt, h header, size int64) error {
	n := uint64(h.shnum)
	switch {
	case h.shoff == 0 || n == 0:
		return fmt.Errorf("none")
	case h.shentsize != sectionSize || n > maxSections || h.shstrndx >= h.shnum:
		return fmt.Errorf("%d headers of %d bytes, names in section %d", n, h.shentsize, h.shstrndx)
	case !within(h.shoff, n*sectionSize, size):
		return fmt.Errorf("headers at %#x go past the end of the file", h.shoff)
	}
	table := make([]byte, n*sectionSize)
	if _, err := r.ReadAt(table, int64(h.shoff)); err != nil {
		return fmt.Errorf("read headers: %w", err)
	}
	for i := uint64(0); i < n; i++ {
		s := table[i*sectionSize:]
		kind := elf.SectionType(binary.LittleEndian.Uint32(s[4:]))
		off, length := binary.LittleEndian.Uint64(s[24:]), binary.LittleEndian.Uint64(s[32:])
		if kind != elf.SHT_NOBITS && kind != elf.SHT_NULL && !within(off, length, size) {
			return fmt.Errorf("section %d at %#x goes past the end of the file", i, off)
		}
	}
	return checkSectionNames(r, table, table[uint64(h.shstrndx)*sectionSize:], size)
}

func checkSectionNames(r io.ReaderAt, table, strtab []byte, size int64) error {
	flags := elf.SectionFlag(binary.LittleEndian.Uint64(strtab[8:]))
	off, length := binary.LittleEndian.Uint64(strtab[24:]), binary.LittleEndian.Uint64(strtab[32:])
	if flags&elf.SHF_COMPRESSED != 0 || !within(off, length, size) {
		return fmt.Errorf("section names are compressed or outside the file")
	}
	var buf [maxSectionName]byte
	for i := 0; i < len(table); i += sectionSize {
		name := uint64(binary.LittleEndian.Uint32(table[i:]))
		if name >= length {
			return fmt.Errorf("name of section %d at %#x, names end at %#x", i/sectionSize, name, length)
		}
		b := buf[:min(maxSectionName, length-name)]
		if _, err := r.ReadAt(b, int64(off+name)); err != nil {
			return fmt.Errorf("read name of section %d: %w", i/sectionSize, err)
		}
		if cString(b, maxSectionName) == nil {
			return fmt.Errorf("name of section %d is longer than %d bytes", i/sectionSize, maxSectionName)
		}
	}
	return nil
}

// headless shows a file as if it had no section headers, so that std readers
// work from the program headers, as the kernel does.
type headless struct{ io.ReaderAt }

func (r headless) ReadAt(b []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(b, off)
	for _, hide := range [...]struct{ from, to int64 }{{40, 48}, {60, 64}} { // e_shoff; e_shnum, e_shstrndx
		for i := max(hide.from, off); i < min(hide.to, off+int64(n)); i++ {
			b[i-off] = 0
		}
	}
	return n, err
}
