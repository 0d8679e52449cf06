package gobin

import (
	"bytes"
	"cmp"
	"debug/elf"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quietpatch/quietpatch/internal/site"
)

// Segment and Range are those of the package that searches them.
type (
	Segment = site.Segment
	Range   = site.Range
)

// load is one PT_LOAD segment. Only the first filesz bytes are in the file; the
// rest up to memsz is zero (bss).
type load struct {
	addr, memsz uint64
	off, filesz uint64
	exec, write bool
}

// maxAddr ends the user half of a 47-bit address space; the kernel refuses to
// map more for a program that does not ask (Documentation/arch/x86/x86_64/mm.rst).
// With it, sums of addresses and sizes cannot wrap.
const maxAddr = 1 << 47

// image reads a file by address.
type image struct {
	r     io.ReaderAt
	loads []load // sorted by addr, disjoint
}

// newImage collects the PT_LOAD segments. It refuses what no linker writes, since
// everything after it takes the sizes of segments for bounded by the file's size.
func newImage(r io.ReaderAt, progs []*elf.Prog, size int64) (*image, error) {
	im := &image{r: r}
	total := uint64(0)
	for i, p := range progs {
		if p.Type != elf.PT_LOAD || p.Memsz == 0 {
			continue
		}
		switch {
		case p.Filesz > p.Memsz || p.Vaddr > maxAddr || p.Memsz > maxAddr-p.Vaddr:
			return nil, detailf(ErrCorrupt, "program header %d: %#x bytes of file for %#x bytes of memory at %#x",
				i, p.Filesz, p.Memsz, p.Vaddr)
		case p.Filesz > 0 && !within(p.Off, p.Filesz, size):
			return nil, detailf(ErrTruncated, "program header %d needs %#x bytes at offset %#x, file ends at %#x",
				i, p.Filesz, p.Off, size)
		}
		total += p.Filesz
		im.loads = append(im.loads, load{
			p.Vaddr, p.Memsz, p.Off, p.Filesz,
			p.Flags&elf.PF_X != 0, p.Flags&elf.PF_W != 0,
		})
	}
	slices.SortFunc(im.loads, func(a, b load) int { return cmp.Compare(a.addr, b.addr) })
	for i := 1; i < len(im.loads); i++ {
		if a, b := im.loads[i-1], im.loads[i]; a.addr+a.memsz > b.addr {
			return nil, detailf(ErrCorrupt, "segments overlap: %#x..%#x and %#x..%#x",
				a.addr, a.addr+a.memsz, b.addr, b.addr+b.memsz)
		}
	}
	// Twice leaves room for segments that share a page of the file.
	if total > 2*uint64(size) {
		return nil, detailf(ErrCorrupt, "segments hold %#x bytes, the file only %#x", total, size)
	}
	return im, nil
}

// find returns the segment that has addr in its file part.
func (im *image) find(addr uint64) (load, bool) {
	i, found := slices.BinarySearchFunc(im.loads, addr, func(l load, a uint64) int { return cmp.Compare(l.addr, a) })
	if !found {
		i--
	}
	if i < 0 || addr-im.loads[i].addr >= im.loads[i].filesz {
		return load{}, false
	}
	return im.loads[i], true
}

// rest says how many bytes of the file stand at addr.
func (im *image) rest(addr uint64) uint64 {
	l, ok := im.find(addr)
	if !ok {
		return 0
	}
	return l.filesz - (addr - l.addr)
}

// read returns the n bytes at addr, which must come from one segment of the file.
func (im *image) read(addr, n uint64) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	l, ok := im.find(addr)
	if !ok || n > l.filesz-(addr-l.addr) {
		return nil, detailf(ErrCorrupt, "%#x bytes at address %#x are not in the file", n, addr)
	}
	b := make([]byte, n)
	off := l.off + (addr - l.addr)
	if got, err := im.r.ReadAt(b, int64(off)); got < len(b) {
		return nil, fmt.Errorf("read %d bytes at offset %#x: %w", n, off, err)
	}
	return b, nil
}

// data returns the writable segments, bss included.
func (im *image) data() []Range {
	var out []Range
	for _, l := range im.loads {
		if l.write {
			out = append(out, Range{Start: l.addr, End: l.addr + l.memsz})
		}
	}
	return out
}

// execRanges returns the file parts of the executable segments.
func (im *image) execRanges() []Range {
	var out []Range
	for _, l := range im.loads {
		if l.exec && l.filesz > 0 {
			out = append(out, Range{Start: l.addr, End: l.addr + l.filesz})
		}
	}
	return out
}

// textRanges returns where code is: the .text sections when they can be
// believed, else all of the executable segments. A linker may put the ELF
// header and other data next to the code in the same segment.
func (im *image) textRanges(sections []*elf.Section) []Range {
	var out []Range
	for _, s := range sections {
		if s.Name != ".text" && !strings.HasPrefix(s.Name, ".text.") ||
			s.Type != elf.SHT_PROGBITS || s.FileSize == 0 {
			continue
		}
		l, ok := im.find(s.Addr)
		if !ok || !l.exec || s.FileSize > im.rest(s.Addr) || s.Offset != l.off+(s.Addr-l.addr) {
			return im.execRanges()
		}
		out = append(out, Range{Start: s.Addr, End: s.Addr + s.FileSize})
	}
	slices.SortFunc(out, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	for i := 1; i < len(out); i++ {
		if out[i-1].End > out[i].Start {
			return im.execRanges()
		}
	}
	if len(out) == 0 {
		return im.execRanges()
	}
	return out
}

// readText reads the bytes of the ranges.
func (im *image) readText(ranges []Range) ([]Segment, error) {
	var out []Segment
	for _, r := range ranges {
		b, err := im.read(r.Start, r.End-r.Start)
		if err != nil {
			return nil, err
		}
		out = append(out, Segment{Addr: r.Start, Bytes: b})
	}
	return out, nil
}

// cString returns the bytes in front of the first NUL, nil when that is not
// within max bytes.
func cString(b []byte, max int) []byte {
	i := bytes.IndexByte(b[:min(len(b), max)], 0)
	if i < 0 {
		return nil
	}
	return b[:i:i]
}
