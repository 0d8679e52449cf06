package gobin

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// maxString is the longest name or description that is believed.
const maxString = 4096

const statickeyPath = "github.com/quietpatch/quietpatch/statickey"

// constructor is a function whose calls give keys their names, and where its
// arguments are: key, name, description.
type constructor struct {
	fn    string // as in the function table
	typ   string // in the package statickey, or callType
	width int    // bytes that sites read; 0 if that is an argument, too
	// The key is the second of the first two words: an interface that holds its
	// address, or the dictionary of a generic function in front of it.
	second bool
	// Keys that the call names besides, by their place in the variable.
	more []part
}

type part struct {
	off          uint64
	suffix, desc string
}

const repo = "github.com/quietpatch/quietpatch"

// constructors are the functions whose calls are looked for. A failpoint begins with
// its key; a logger has four.
var constructors = []constructor{
	{fn: statickeyPath + ".Register", typ: "Bool", width: 1},
	{fn: statickeyPath + ".registerNumber", typ: "Value", second: true},
	{fn: statickeyPath + ".RegisterCounted", typ: "Counted", width: 1},
	{fn: statickeyPath + ".RegisterSealed", typ: "Sealed", width: 1},
	{fn: staticcallPath + ".registerCall", typ: callType, width: funcWidth, second: true},
	{fn: staticcallPath + ".Register[", typ: callType, width: funcWidth, second: true}, // where it is not inlined
	{fn: repo + "/failpoint.Register", typ: "Bool", width: 1},
	{fn: repo + "/slogkey.Register", typ: "Bool", width: 1, more: []part{
		{16, ".mute-info", ": no Info"}, {32, ".mute-warn", ": no Warn"}, {48, ".mute-error", ": no Error"},
	}},
}

// keyTypes are the types of variables that DWARF knows, and their width.
var keyTypes = map[string]int{
	"Bool": 1, "Counted": 1, "Sealed": 1, "Value[int32]": 4, "Value[uint32]": 4,
	"Value[int64]": 8, "Value[int]": 8, "Value[time.Duration]": 8,
}

// Key is a package-level variable that is a key. Name and Desc are those of its
// registration and empty when only DWARF knows the variable; Symbol is empty
// when the program is stripped; Type is a type of the package statickey, or as much
// of it as is known; Width is how many bytes its sites read.
type Key struct {
	Name, Desc, Symbol string
	Addr               uint64
	Type               string
	Width              int
}

// scan is what the calls of constructors say.
type scan struct {
	keys    []Key
	seen    map[Key]bool
	unknown []uint64
	strings uint64 // bytes of all names and descriptions
	failed  error  // why the calls could not be read
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
	targets := map[uint64]*constructor{}
	for c := range constructors {
		for _, i := range f.tab.named(constructors[c].fn) {
			targets[f.tab.entry(i)] = &constructors[c]
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
func (f *File) callers(s Segment, targets map[uint64]*constructor) ([]int, map[int][]uint64) {
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

func (f *File) scanFunc(s Segment, fn int, candidates []uint64, targets map[uint64]*constructor) {
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
		c, ok := targets[target]
		if !ok {
			return
		}
		k, ok := f.keyFrom(regs, c)
		if !ok {
			if !f.inOurs(fn) {
				f.scanned.unknown = append(f.scanned.unknown, call)
			}
			return
		}
		f.addKey(k)
		for _, p := range c.more {
			m := k
			m.Addr, m.Name, m.Desc = k.Addr+p.off, k.Name+p.suffix, k.Desc+p.desc
			m.Symbol = f.Symbol(m.Addr)
			f.addKey(m)
		}
	})
}

// inOurs reports whether the function is one of the packages that register keys for
// others: what they are called with is what counts.
func (f *File) inOurs(fn int) bool {
	name := f.tab.nameBytes(fn)
	return bytes.HasPrefix(name, []byte(repo+"/slogkey.")) || bytes.HasPrefix(name, []byte(repo+"/failpoint.")) ||
		bytes.HasPrefix(name, []byte(statickeyPath+".")) || bytes.HasPrefix(name, []byte(staticcallPath+"."))
}

func (f *File) addKey(k Key) {
	if !f.scanned.seen[k] {
		f.scanned.seen[k] = true
		f.scanned.keys = append(f.scanned.keys, k)
	}
}

// argRegs are where Go's ABIInternal passes the first words
// (cmd/compile/abi-internal.md).
var argRegs = [...]int{regAX, regBX, regCX, regDI, regSI, regR8, regR9}

// keyFrom reads the arguments of a call: the key's address, and two strings of two
// words each. The width of a number comes between.
func (f *File) keyFrom(regs *registers, c *constructor) (Key, bool) {
	arg := make([]value, len(argRegs))
	for i, r := range argRegs {
		arg[i] = regs[r]
	}
	if c.second {
		arg = arg[1:]
	}
	width := c.width
	if width == 0 {
		if w := arg[1]; !w.known || w.v != 4 && w.v != 8 {
			return Key{}, false
		}
		width = int(arg[1].v)
		arg = slices.Delete(arg, 1, 2)
	}
	if !arg[0].known || !f.inData(arg[0].v) {
		return Key{}, false
	}
	name, ok := f.constString(arg[1], arg[2])
	if !ok || name == "" {
		return Key{}, false
	}
	desc, ok := f.constString(arg[3], arg[4])
	if !ok {
		return Key{}, false
	}
	return Key{Name: name, Desc: desc, Symbol: f.Symbol(arg[0].v), Addr: arg[0].v, Type: c.typ, Width: width}, true
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
