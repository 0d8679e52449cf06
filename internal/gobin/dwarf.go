package gobin

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

const (
	// Decompressed, the DWARF of a Go program is smaller than the program. The
	// limit is for sections that are made to grow a thousand times.
	maxDwarfGrowth = 4
	// An entry of a Go program costs debug/dwarf some 10 bytes of memory for each
	// byte of DWARF; abbreviations can be made so that it costs millions.
	maxEntryCost = 32
	dwarfSlack   = 1 << 20

	opAddr = 0x03 // DW_OP_addr (DWARF 5, 2.5.1.1)
)

// variable is a global variable whose type is that of a key or of a static call.
type variable struct {
	name, typ string
	addr      uint64
}

// dwarfVariables returns the global variables that are keys or static calls, none
// without DWARF.
func (f *File) dwarfVariables() ([]variable, error) {
	data, size, err := f.dwarfSections()
	if err != nil || !mentionsKeys(data) {
		return nil, err
	}
	if err := checkAbbrevs(data["info"], data["abbrev"]); err != nil {
		return nil, err
	}
	d, err := dwarf.New(data["abbrev"], nil, nil, data["info"], nil, nil, nil, data["str"])
	if err != nil {
		return nil, detailf(ErrCorrupt, "DWARF: %v", err)
	}
	for _, name := range []string{"addr", "line_str", "str_offsets"} {
		if data[name] == nil {
			continue
		}
		if err := d.AddSection(".debug_"+name, data[name]); err != nil {
			return nil, detailf(ErrCorrupt, "DWARF section .debug_%s: %v", name, err)
		}
	}
	return collectVariables(d.Reader(), maxEntryCost*size+dwarfSlack)
}

// dwarfSections reads, and decompresses, the sections that name and place
// variables. elf.File.DWARF would also apply relocations, for which it reads
// the whole symbol table, and it does not bound what it decompresses.
func (f *File) dwarfSections() (map[string][]byte, uint64, error) {
	data := map[string][]byte{}
	total := uint64(0)
	for _, s := range f.sections {
		name, ok := strings.CutPrefix(s.Name, ".debug_")
		switch name {
		case "abbrev", "info", "str", "addr", "line_str", "str_offsets":
		default:
			ok = false
		}
		if !ok || s.Type == elf.SHT_NOBITS || data[name] != nil {
			continue
		}
		if limit := maxDwarfGrowth*uint64(f.size) + dwarfSlack; s.Size > limit || total+s.Size > limit {
			return nil, 0, detailf(ErrCorrupt, "section %s grows to %#x bytes in a file of %#x", s.Name, s.Size, f.size)
		}
		b, err := s.Data()
		if err != nil {
			return nil, 0, detailf(ErrCorrupt, "section %s: %v", s.Name, err)
		}
		total += uint64(len(b))
		data[name] = b
	}
	return data, total, nil
}

// mentionsKeys says whether a type of a key occurs at all, which spares most
// programs the walk.
func mentionsKeys(data map[string][]byte) bool {
	for typ := range keyTypes {
		name := append([]byte(statickeyPath+"."+typ), 0)
		if bytes.Contains(data["info"], name) || bytes.Contains(data["str"], name) {
			return true
		}
	}
	call := []byte(staticcallPath + "." + callType + "[")
	return bytes.Contains(data["info"], call) || bytes.Contains(data["str"], call)
}

// collectVariables walks all entries once. Variables come before and after
// their types, so they are matched at the end. It does not use SkipChildren,
// which would read as much out of sight of the budget.
func collectVariables(r *dwarf.Reader, budget uint64) ([]variable, error) {
	c := collector{types: map[dwarf.Offset]string{}}
	depth := 0
	for {
		e, err := r.Next()
		if err != nil {
			return nil, detailf(ErrCorrupt, "DWARF: %v", err)
		}
		if e == nil {
			return c.keys(), nil
		}
		cost := entryCost(e)
		if cost > budget {
			return nil, detailf(ErrCorrupt, "DWARF: entry at offset %#x: the entries up to here are far larger than their encoding", e.Offset)
		}
		budget -= cost
		switch {
		case e.Tag == dwarf.TagCompileUnit || e.Tag == dwarf.TagPartialUnit:
			depth = 0
		case e.Tag == 0: // the end of a list of children
			depth--
		case depth == 1:
			c.add(e)
		}
		if e.Children {
			depth++
		}
	}
}

// collector holds the types of keys and all global variables, which are the
// children of units.
type collector struct {
	types map[dwarf.Offset]string
	vars  []candidate
}

type candidate struct {
	variable
	typ dwarf.Offset
}

func (c *collector) add(e *dwarf.Entry) {
	switch e.Tag {
	case dwarf.TagTypedef, dwarf.TagStructType:
		if typ, ok := keyType(e); ok {
			c.types[e.Offset] = typ
		}
	case dwarf.TagVariable:
		if v, ok := globalVariable(e); ok {
			typ, _ := e.Val(dwarf.AttrType).(dwarf.Offset)
			c.vars = append(c.vars, candidate{v, typ})
		}
	}
}

func (c *collector) keys() []variable {
	var out []variable
	for _, v := range c.vars {
		if typ, ok := c.types[v.typ]; ok {
			out = append(out, variable{v.name, typ, v.addr})
		}
	}
	return out
}

// entryCost is about what debug/dwarf allocated for an entry.
func entryCost(e *dwarf.Entry) uint64 {
	cost := uint64(1)
	for _, field := range e.Field {
		cost += 48
		if s, ok := field.Val.(string); ok {
			cost += uint64(len(s))
		}
	}
	return cost
}

func keyType(e *dwarf.Entry) (string, bool) {
	name, _ := e.Val(dwarf.AttrName).(string)
	if typ, ok := strings.CutPrefix(name, staticcallPath+"."); ok {
		return typ, isStaticCall(typ)
	}
	typ, ok := strings.CutPrefix(name, statickeyPath+".")
	return typ, ok && keyTypes[typ] != 0
}

func globalVariable(e *dwarf.Entry) (variable, bool) {
	loc, _ := e.Val(dwarf.AttrLocation).([]byte)
	if len(loc) != 9 || loc[0] != opAddr {
		return variable{}, false
	}
	name, _ := e.Val(dwarf.AttrName).(string)
	return variable{name: name, addr: binary.LittleEndian.Uint64(loc[1:])}, true
}

// checkAbbrevs refuses units that share parts of abbreviation tables without
// sharing the table: debug/dwarf parses and keeps one table for each offset that a
// unit names, so overlapping tables would cost their product in memory.
func checkAbbrevs(info, abbrev []byte) error {
	seen := map[uint64]bool{}
	total := 0
	for rest := info; len(rest) > 0; {
		unit, next, err := unitHeader(rest)
		if err != nil {
			return detailf(ErrCorrupt, "DWARF: unit at offset %#x: %v", len(info)-len(rest), err)
		}
		rest = next
		if unit.empty || seen[unit.abbrev] {
			continue
		}
		seen[unit.abbrev] = true
		if unit.abbrev > uint64(len(abbrev)) {
			return detailf(ErrCorrupt, "DWARF: abbreviations at offset %#x, section has %#x bytes", unit.abbrev, len(abbrev))
		}
		if total += abbrevLen(abbrev[unit.abbrev:]); total > len(abbrev) {
			return detailf(ErrCorrupt, "DWARF: abbreviation tables overlap")
		}
	}
	return nil
}

type unit struct {
	abbrev uint64
	empty  bool
}

// unitHeader reads the header at the start of b (DWARF 5, 7.5.1; DWARF 4, 7.5.1.1).
func unitHeader(b []byte) (u unit, next []byte, err error) {
	le := binary.LittleEndian
	if len(b) < 4 {
		return u, nil, errors.New("too short")
	}
	length, offSize, pos := uint64(le.Uint32(b)), 4, 4
	if length == 0xFFFFFFFF && len(b) >= 12 {
		length, offSize, pos = le.Uint64(b[4:]), 8, 12
	}
	if length > uint64(len(b)-pos) {
		return u, nil, fmt.Errorf("%#x bytes, section has %#x", length, len(b)-pos)
	}
	next = b[pos+int(length):]
	if length == 0 {
		return unit{empty: true}, next, nil
	}
	body := b[pos : pos+int(length)]
	at := 2 // version
	if len(body) >= 2 && le.Uint16(body) >= 5 {
		at = 4 // version, unit type, address size
	}
	if len(body) < at+offSize {
		return u, nil, errors.New("header is cut off")
	}
	if offSize == 8 {
		return unit{abbrev: le.Uint64(body[at:])}, next, nil
	}
	return unit{abbrev: uint64(le.Uint32(body[at:]))}, next, nil
}

// abbrevLen returns the length of the abbreviation table at the start of b, as
// debug/dwarf reads it: codes and forms are cut to 32 bits.
func abbrevLen(b []byte) int {
	const implicitConst = 0x21 // DW_FORM_implicit_const has its value here
	pos := 0
	uleb := func() uint64 {
		v, n := binary.Uvarint(b[min(pos, len(b)):])
		if n <= 0 {
			pos = len(b)
			return 0
		}
		pos += n
		return v
	}
	for pos < len(b) && uint32(uleb()) != 0 {
		uleb() // tag
		pos++  // has children
		for pos < len(b) {
			attr, form := uleb(), uleb()
			if uint32(form) == implicitConst {
				uleb()
			}
			if attr == 0 && form == 0 {
				break
			}
		}
	}
	return pos
}
