//go:build linux && amd64

package self

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
)

const (
	headerSize = 64 // Elf64_Ehdr
	progSize   = 56 // Elf64_Phdr

	// The kernel runs nothing with more (fs/binfmt_elf.c, load_elf_phdrs: 64 KB).
	maxProgs = 65536 / progSize
)

// program is what the kernel reads of an executable.
type program struct {
	kind  elf.Type
	progs []elf.Prog64
}

// readProgram reads the ELF header and the program headers of an executable for
// this machine. It is not debug/elf that does it because that reads the section
// headers, too: a program runs without them, and those of a broken file may name
// any amount of memory.
func readProgram(r io.ReaderAt) (*program, error) {
	h := make([]byte, headerSize)
	if n, err := r.ReadAt(h, 0); n < headerSize {
		return nil, fmt.Errorf("ELF header: read %d bytes at offset 0, found %d: %w", headerSize, n, err)
	}
	want := []byte{0x7F, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB)}
	if !bytes.HasPrefix(h, want) {
		return nil, fmt.Errorf("ELF header: expected % x, found % x at offset 0", want, h[:len(want)])
	}
	le := binary.LittleEndian
	kind, off := elf.Type(le.Uint16(h[16:])), le.Uint64(h[32:])
	size, n := int(le.Uint16(h[54:])), int(le.Uint16(h[56:]))
	if size != progSize || n == 0 || n > maxProgs || off > 1<<62 {
		return nil, fmt.Errorf("ELF header: expected 1 to %d program headers of %d bytes, found %d program headers of %d bytes at offset %#x",
			maxProgs, progSize, n, size, off)
	}
	b := make([]byte, n*progSize)
	if got, err := r.ReadAt(b, int64(off)); got < len(b) {
		return nil, fmt.Errorf("program headers: read %d bytes at offset %#x, found %d: %w", len(b), off, got, err)
	}
	p := &program{kind: kind, progs: make([]elf.Prog64, n)}
	if _, err := binary.Decode(b, le, p.progs); err != nil {
		return nil, fmt.Errorf("program headers at offset %#x: %w", off, err)
	}
	return p, nil
}
