package gobin

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// maxString is the longest name or description that is believed.
const maxString = 4096

const statickeyPath = "github.com/quietpatch/quietpatch/statickey"

// constructor is a function with the arguments (key, name, description) that
// gives a key of the type its name.
type constructor struct {
	fn  string // as in the function table
	typ string // in the package statickey
}

// constructors are the functions whose calls are looked for.
var constructors = []constructor{
	{statickeyPath + ".Register", "Bool"},
}

// Key is a package-level variable that is a key. Name and Desc are those of its
// registration and empty when only DWARF knows the variable; Symbol is empty
// when the program is stripped; Type is a type of the package statickey.
type Key struct {
	Name, Desc, Symbol string
	Addr               uint64
	Type               string
}

// scan is what the calls of constructors say.
type scan struct {
	keys    []Key
	seen    map[Key]bool
	unknown []uint64
	strings uint64 // bytes of all names and descriptions
	failed  error  // why the calls could not be read
}

// Keys returns the keys of the program, ascending by address. It reads them off
// the calls that register them, which needs neither symbols nor DWARF; with
// DWARF it adds the variables that nothing registers. When one of the two cannot be
// read, the keys of the other are returned together with the error.
func (f *File) Keys() ([]Key, error) {
	registered := f.registrations()
	keys := slices.Clone(registered.keys)
	seen := map[uint64]bool{}
	for _, k := range keys {
		seen[k.Addr] = true
	}
	var vars []variable
	err := guard("DWARF", func() (err error) {
		vars, err = f.dwarfVariables()
		return err
	})
	for _, v := range vars {
		if !seen[v.addr] && f.inData(v.addr) {
			seen[v.addr] = true
			keys = append(keys, Key{Symbol: cmp.Or(f.Symbol(v.addr), v.name), Addr: v.addr, Type: v.typ})
		}
	}
	slices.SortStableFunc(keys, func(a, b Key) int { return cmp.Compare(a.Addr, b.Addr) })
	if err != nil {
		err = fmt.Errorf("%s: keys that are not registered: %w", f.name, err)
	}
	if registered.failed != nil {
		err = errors.Join(fmt.Errorf("%s: keys that are registered: %w", f.name, registered.failed), err)
	}
	return keys, err
}

// UnknownRegistrations returns the addresses of the calls that register a key
// which could not be read off the code: an argument is not a constant, or the
// calling function holds a jump or an instruction that is not understood.
func (f *File) UnknownRegistrations() []uint64 {
	return slices.Clone(f.registrations().unknown)
}

func (f *File) registrations() *scan {
	f.scanOnce.Do(func() {
		if err := guard("registrations", f.scanText); err != nil {
			f.scanned = scan{failed: err}
		}
	})
	return &f.scanned
}

// scanText looks for the calls in two steps: every E8 whose offset fits, which is
// quick, then the functions that hold one, instruction by instruction.
func (f *File) scanText() error {
	targets := map[uint64]string{}
	for _, c := range constructors {
		for _, i := range f.tab.named(c.fn) {
			targets[f.tab.entry(i)] = c.typ
		}
	}
	if len(targets) == 0 {
		return nil
	}
	f.scanned.seen = map[Key]bool{}
	for _, s := range f.text {
		callers, candidates := f.callers(s, targets)
		for _, i := range callers {
			f.scanFunc(s, i, candidates[i], targets)
		}
	}
	slices.Sort(f.scanned.unknown)
	return nil
}

// callers returns the functions with something like a call to a target, and
// the addresses of these.
func (f *File) callers(s Segment, targets map[uint64]string) ([]int, map[int][]uint64) {
	var order []int
	found := map[int][]uint64{}
	for at := 0; ; at++ {
		i := bytes.IndexByte(s.Bytes[at:], 0xE8)
		if at += i; i < 0 || at+5 > len(s.Bytes) {
			return order, found
		}
		call := s.Addr + uint64(at)
		if _, ok := targets[relTarget(s.Bytes[at:], call)]; !ok {
			continue
		}
		if fn, ok := f.tab.find(call); ok && f.tab.isGo(fn) {
			if found[fn] == nil {
				order = append(order, fn)
			}
			found[fn] = append(found[fn], call)
		}
	}
}

// relTarget is where the 5-byte call at addr goes to.
func relTarget(code []byte, addr uint64) uint64 {
	return addr + 5 + uint64(int32(binary.LittleEndian.Uint32(code[1:])))
}

func (f *File) scanFunc(s Segment, fn int, candidates []uint64, targets map[uint64]string) {
	entry, end := f.tab.entry(fn), f.tab.entry(fn+1)
	if entry < s.Addr || end-s.Addr > uint64(len(s.Bytes)) {
		f.scanned.unknown = append(f.scanned.unknown, candidates...)
		return
	}
	w, ok := f.newWalk(entry, s.Bytes[entry-s.Addr:end-s.Addr])
	if !ok {
		f.scanned.unknown = append(f.scanned.unknown, candidates...)
		return
	}
	w.calls(func(call, target uint64, regs *registers) {
		typ, ok := targets[target]
		if !ok {
			return
		}
		k, ok := f.keyFrom(regs, typ)
		if !ok {
			f.scanned.unknown = append(f.scanned.unknown, call)
		} else if !f.scanned.seen[k] {
			f.scanned.seen[k] = true
			f.scanned.keys = append(f.scanned.keys, k)
		}
	})
}

// keyFrom reads the arguments from where Go's ABIInternal passes them
// (cmd/compile/abi-internal.md): pointer in AX, strings in BX, CX and DI, SI.
func (f *File) keyFrom(regs *registers, typ string) (Key, bool) {
	addr := regs[regAX]
	if !addr.known || !f.inData(addr.v) {
		return Key{}, false
	}
	name, ok := f.constString(regs[regBX], regs[regCX])
	if !ok || name == "" {
		return Key{}, false
	}
	desc, ok := f.constString(regs[regDI], regs[regSI])
	if !ok {
		return Key{}, false
	}
	return Key{Name: name, Desc: desc, Symbol: f.Symbol(addr.v), Addr: addr.v, Type: typ}, true
}

func (f *File) constString(ptr, length value) (string, bool) {
	switch {
	case !length.known || length.v > maxString:
		return "", false
	case length.v == 0:
		return "", true
	case !ptr.known:
		return "", false
	}
	// Many calls can name the same bytes. Together they cannot honestly name more
	// than the file has.
	if f.scanned.strings += length.v; f.scanned.strings > uint64(f.size) {
		return "", false
	}
	b, err := f.im.read(ptr.v, length.v)
	if err != nil || !utf8.Valid(b) {
		return "", false
	}
	return string(b), true
}

func (f *File) inData(addr uint64) bool {
	return slices.ContainsFunc(f.im.loads, func(l load) bool {
		return l.write && addr-l.addr < l.memsz
	})
}
