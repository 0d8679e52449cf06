package gobin

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"sort"
	"strings"
	"sync/atomic"
)

// The function table of go1.20 and newer: `type pcHeader` and `type _func` in
// runtime/symtab.go and runtime/runtime2.go, written by cmd/link/internal/ld/pcln.go.
// debug/gosym reads the same table; it is the oracle of the tests. It is not
// used here because it copies every name into memory without a limit (a small
// file can name a million functions with the same huge string) and does not show
// whether a function has a line table, which is how code of C is told from code of Go.
const (
	pclnMagic    = 0x08010000_FFFFFFF1 // magic, two pads, minLC 1, ptrSize 8, as one word
	pclnHeader   = 72                  // pcHeader
	funcTabEntry = 8                   // entry offset, _func offset
	funcSize     = 44                  // fixed part of _func
	pclnPrefix   = 0xFFFFFF00          // the part of the magic that all versions share

	maxName = 1 << 16 // instantiated generics have names of several KB
)

// pclntab is the function table, checked as a whole when it was opened.
type pclntab struct {
	addr  uint64 // of the header
	text  uint64 // runtime.text: what entry offsets count from
	nfunc int

	off [5]uint64 // of the five tables below, counted from the header

	names, cus, files, pcs, funcs []byte

	steps atomic.Int64 // bytes of pc-value tables that may still be read
}

// pclnHeaderOK checks the fixed-size part, so that a search can discard a
// chance match before the table is loaded. size is the most that the table can have.
func pclnHeaderOK(h []byte, size uint64) (nfunc uint64, off [5]uint64, err error) {
	if len(h) < pclnHeader {
		return 0, off, detailf(ErrTruncated, "function table of %d bytes", len(h))
	}
	if magic := binary.LittleEndian.Uint64(h); magic != pclnMagic {
		kind := ErrCorrupt
		if uint32(magic)&pclnPrefix == pclnPrefix {
			kind = ErrVersion
		}
		return 0, off, detailf(kind, "function table starts with %016x, want %016x (go1.20 or newer, x86-64)", magic, uint64(pclnMagic))
	}
	nfunc = binary.LittleEndian.Uint64(h[8:])
	last := uint64(pclnHeader)
	for i := range off {
		off[i] = binary.LittleEndian.Uint64(h[32+8*i:])
		if off[i] < last || off[i] > size {
			return 0, off, detailf(ErrCorrupt, "function table: part %d at offset %#x, want %#x..%#x", i, off[i], last, size)
		}
		last = off[i]
	}
	if nfunc == 0 || nfunc >= (size-last)/funcTabEntry {
		return 0, off, detailf(ErrCorrupt, "function table: %d functions in %#x bytes", nfunc, size-last)
	}
	return nfunc, off, nil
}

// parsePclntab checks the table of functions entry by entry. data may go on
// behind the table's end.
func parsePclntab(data []byte, addr uint64) (*pclntab, error) {
	nfunc, off, err := pclnHeaderOK(data, uint64(len(data)))
	if err != nil {
		return nil, err
	}
	t := &pclntab{
		addr:  addr,
		nfunc: int(nfunc),
		off:   off,
		names: data[off[0]:off[1]],
		cus:   data[off[1]:off[2]],
		files: data[off[2]:off[3]],
		pcs:   data[off[3]:off[4]],
		funcs: data[off[4]:],
	}
	t.steps.Store(stepsSlack + stepsGrowth*int64(len(data)))
	first := uint64(nfunc)*funcTabEntry + 4 // the end of the last function follows the entries
	for i := range t.nfunc {
		info := uint64(t.u32(i*funcTabEntry + 4))
		if info < first || info+funcSize > uint64(len(t.funcs)) {
			return nil, detailf(ErrCorrupt, "function table: function %d of %d is described at offset %#x, want %#x..%#x",
				i, nfunc, info, first, len(t.funcs))
		}
		// Functions of C can be empty: then the next one has the same entry.
		if entry := t.u32(int(info)); entry != t.entryOff(i) || entry > t.entryOff(i+1) {
			return nil, detailf(ErrCorrupt, "function table: function %d of %d at %#x, described as %#x, the next at %#x",
				i, nfunc, t.entryOff(i), entry, t.entryOff(i+1))
		}
	}
	return t, nil
}

func (t *pclntab) u32(off int) uint32      { return binary.LittleEndian.Uint32(t.funcs[off:]) }
func (t *pclntab) entryOff(i int) uint32   { return t.u32(i * funcTabEntry) }
func (t *pclntab) entry(i int) uint64      { return t.text + uint64(t.entryOff(i)) }
func (t *pclntab) field(i, off int) uint32 { return t.u32(int(t.u32(i*funcTabEntry+4)) + off) }
func (t *pclntab) nameOff(i int) uint32    { return t.field(i, 4) }
func (t *pclntab) argBytes(i int) int32    { return int32(t.field(i, 8)) }
func (t *pclntab) fileTable(i int) uint32  { return t.field(i, 20) }
func (t *pclntab) lineTable(i int) uint32  { return t.field(i, 24) }
func (t *pclntab) unitOffset(i int) uint32 { return t.field(i, 32) }
func (t *pclntab) hasName(i int) bool      { return uint64(t.nameOff(i)) < uint64(len(t.names)) }
func (t *pclntab) bounds() (lo, hi uint64) { return t.entry(0), t.entry(t.nfunc) }
func (t *pclntab) nameBytes(i int) []byte  { return cString(t.names[t.nameOff(i):], maxName) }

// find returns the number of the function that contains pc.
func (t *pclntab) find(pc uint64) (int, bool) {
	if lo, hi := t.bounds(); pc < lo || pc >= hi {
		return 0, false
	}
	off := uint32(pc - t.text)
	return sort.Search(t.nfunc, func(i int) bool { return t.entryOff(i) > off }) - 1, true
}

// isGo tells Go functions, assembly included, from what else the linker lists:
// C functions of an internally linked program and its own markers, which have no
// line table.
func (t *pclntab) isGo(i int) bool {
	return t.lineTable(i) != 0 && t.fileTable(i) != 0 && t.hasName(i)
}

// named returns the functions with exactly this name; for one that ends in a bracket,
// the instances of the generic function.
func (t *pclntab) named(name string) []int {
	want := []byte(name)
	if !strings.HasSuffix(name, "[") {
		want = append(want, 0)
	}
	var out []int
	for i := range t.nfunc {
		if t.isGo(i) && bytes.HasPrefix(t.names[t.nameOff(i):], want) {
			out = append(out, i)
		}
	}
	return out
}

// position is where in the source an instruction comes from.
type position struct {
	name    []byte // of the file; empty when it is not known
	nameOff uint32 // of the name, in its table
	line    int
	end     uint64 // the position is the same up to here at least; behind the pc
}

// position returns the innermost position of pc, which must lie in function i.
func (t *pclntab) position(i int, pc uint64) position {
	unknown := position{end: pc + 1}
	line, lineEnd, ok := t.pcValue(t.lineTable(i), t.entry(i), pc)
	if !ok {
		return unknown
	}
	file, fileEnd, ok := t.pcValue(t.fileTable(i), t.entry(i), pc)
	if !ok || file < 0 {
		return unknown
	}
	unit := uint64(t.unitOffset(i)) + uint64(file)
	if (unit+1)*4 > uint64(len(t.cus)) {
		return unknown
	}
	off := binary.LittleEndian.Uint32(t.cus[unit*4:])
	if uint64(off) >= uint64(len(t.files)) {
		return unknown
	}
	return position{cString(t.files[off:], maxName), off, int(line), min(lineEnd, fileEnd)}
}

// A pc-value table is read from its start for each pc, and many functions can
// share one. To find all sites of an honest program takes less than its tables'
// size; a file that takes more than this has positions that are not known.
const (
	stepsSlack  = 64 << 20
	stepsGrowth = 64
)

// pcValue runs a pc-value table: pairs of a zigzag value delta and a pc delta,
// ended by a zero value delta (runtime/symtab.go, step). end is where the value changes.
func (t *pclntab) pcValue(off uint32, entry, pc uint64) (v int32, end uint64, ok bool) {
	if uint64(off) >= uint64(len(t.pcs)) {
		return 0, 0, false
	}
	b := t.pcs[off:]
	enough := t.steps.Load() > 0
	defer func() { t.steps.Add(int64(len(b) - len(t.pcs[off:]))) }()
	at, value := entry, int32(-1)
	for {
		delta, n := binary.Uvarint(b)
		if n <= 0 || delta == 0 && at != entry {
			return 0, 0, false
		}
		advance, m := binary.Uvarint(b[n:])
		if m <= 0 || advance == 0 {
			return 0, 0, false
		}
		b = b[n+m:]
		value += int32(delta>>1) ^ -int32(delta&1)
		at += uint64(uint32(advance))
		if pc < at {
			return value, at, true
		}
		if !enough { // the first pair is always read: whether code is assembly must be known
			return 0, 0, false
		}
	}
}

// findPclntab locates the table by section name, or else by its header. The
// name can be lost without the section headers being stripped: an external PIE
// link merges .data.rel.ro.gopclntab into .data.rel.ro.
func findPclntab(im *image, sections []*elf.Section) (*pclntab, error) {
	for _, s := range sections {
		if s.Name != ".gopclntab" && s.Name != ".data.rel.ro.gopclntab" {
			continue
		}
		data, err := im.read(s.Addr, min(s.FileSize, im.rest(s.Addr)))
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", s.Name, err)
		}
		t, err := parsePclntab(data, s.Addr)
		if err != nil {
			return nil, fmt.Errorf("section %s at address %#x: %w", s.Name, s.Addr, err)
		}
		return t, nil
	}
	return searchPclntab(im)
}

// searchChunk and maxMatches bound the search of a file that is made to match often.
const (
	searchChunk = 1 << 20
	maxMatches  = 16
)

func searchPclntab(im *image) (*pclntab, error) {
	s := search{im: im}
	for _, l := range im.loads {
		if t, err := s.segment(l); t != nil || err != nil {
			return t, err
		}
	}
	if s.failed != nil {
		return nil, s.failed
	}
	return nil, detailf(ErrNotGo, "no function table (pclntab) of go1.20 or newer in any segment")
}

// search looks for the header, which is aligned to 8 at least, in the file part
// of segments.
type search struct {
	im     *image
	loaded int   // matches good enough to load the table
	failed error // what was wrong with the last of them
}

func (s *search) segment(l load) (*pclntab, error) {
	end := l.addr + l.filesz
	for at := l.addr; at < end; at += searchChunk {
		chunk, err := s.im.read(at, min(searchChunk+pclnHeader, end-at))
		if err != nil {
			return nil, err
		}
		for i := int(-at & 7); i+pclnHeader <= len(chunk) && i < searchChunk; i += 8 {
			if binary.LittleEndian.Uint64(chunk[i:]) != pclnMagic {
				continue
			}
			if t := s.match(chunk[i:], at+uint64(i), end); t != nil {
				return t, nil
			}
		}
	}
	return nil, nil
}

func (s *search) match(header []byte, addr, end uint64) *pclntab {
	if _, _, err := pclnHeaderOK(header, end-addr); err != nil || s.loaded == maxMatches {
		return nil
	}
	s.loaded++
	data, err := s.im.read(addr, end-addr)
	if err != nil {
		s.failed = err
		return nil
	}
	t, err := parsePclntab(data, addr)
	if err != nil {
		s.failed = fmt.Errorf("at address %#x: %w", addr, err)
	}
	return t
}
