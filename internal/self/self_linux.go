//go:build linux && amd64

package self

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/internal/site"
)

// ErrImage is wrapped by the errors of [Load].
var ErrImage = errors.New("the running executable")

// Image is the executable as it is mapped now.
type Image struct {
	lo, hi uint64 // text: the executable segment
	bias   uint64 // run-time address minus address in the file
	off    uint64 // of the text in the file
	data   []site.Range
	fixed  []site.Range // that nobody can write
	copy   []byte       // of the file's text, between Read and Release
}

// Compile-time check: the image can be searched.
var (
	_ site.Image = (*Image)(nil)
	_ site.Code  = (*Image)(nil)
)

// Load reads the ELF file behind /proc/self/exe and finds it in the memory map.
func Load() (*Image, error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	defer f.Close()
	prog, err := readProgram(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	defer maps.Close()
	ms, err := parseMaps(maps)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	pc := uint64(reflect.ValueOf(Load).Pointer())
	img, err := locate(prog, ms, pc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	if err := img.sameBytes(pc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	return img, nil
}

// locate works out the load bias from the mapping that holds pc, which is an
// address in our own text, and the segment of the file that it maps.
func locate(f *program, ms []mapping, pc uint64) (*Image, error) {
	var here *mapping
	for i := range ms {
		if ms[i].start <= pc && pc < ms[i].end {
			here = &ms[i]
		}
	}
	if here == nil {
		return nil, fmt.Errorf("no mapping holds our own code at %#x", pc)
	}
	for _, p := range f.progs {
		if !loaded(p, elf.PF_X) {
			continue
		}
		inFile := pc - here.start + here.offset // where in the file pc came from
		if inFile < p.Off || inFile-p.Off >= p.Filesz {
			continue
		}
		img := &Image{bias: pc - (p.Vaddr + inFile - p.Off), off: p.Off}
		if f.kind == elf.ET_EXEC && img.bias != 0 {
			return nil, fmt.Errorf("expected a fixed load address, found a bias of %#x", img.bias)
		}
		img.lo, img.hi = p.Vaddr+img.bias, p.Vaddr+img.bias+p.Filesz
		if img.hi <= img.lo {
			return nil, fmt.Errorf("text of %#x bytes at %#x has no end", p.Filesz, img.lo)
		}
		if err := covered(ms, img.lo, img.hi); err != nil {
			return nil, err
		}
		img.addData(f)
		return img, nil
	}
	return nil, fmt.Errorf("our own code at %#x does not come from the executable (%q maps it): "+
		"plugins and C shared libraries are not patched", pc, here.path)
}

// loaded reports whether the kernel maps the segment, with this permission.
func loaded(p elf.Prog64, flag elf.ProgFlag) bool {
	return elf.ProgType(p.Type) == elf.PT_LOAD && elf.ProgFlag(p.Flags)&flag != 0
}

func (img *Image) addData(f *program) {
	for _, p := range f.progs {
		start := p.Vaddr + img.bias
		r := site.Range{Start: start, End: start + p.Memsz}
		switch {
		case elf.ProgType(p.Type) == elf.PT_GNU_RELRO:
			img.fixed = append(img.fixed, r) // once it is relocated
		case loaded(p, elf.PF_W):
			img.data = append(img.data, r)
		case loaded(p, elf.PF_R):
			img.fixed = append(img.fixed, r)
		}
	}
}

// sameBytes compares a few bytes of our own code with the file: proof that the
// file and the bias are the right ones.
func (img *Image) sameBytes(pc uint64) error {
	const n = 16
	want := img.Original(uintptr(pc), n)
	p := uintptr(pc)
	found := unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), n) // text is not Go memory
	if !bytes.Equal(want, found) {
		return fmt.Errorf("at %#x: the file says % x, memory says % x", pc, want, found)
	}
	return nil
}

// Original returns n bytes of the file that belong at addr, fewer where the
// text ends, none outside of its pages or if the file cannot be read.
//
// The file is read, not mapped: the kernel puts a uprobe's breakpoint into every
// private mapping of the file that may become executable, readable ones included
// (kernel/events/uprobes.c, valid_vma).
func (img *Image) Original(addr, n uintptr) []byte {
	page := uintptr(os.Getpagesize())
	if addr < uintptr(img.lo)&^(page-1) || addr >= uintptr(img.hi) {
		return nil
	}
	b := make([]byte, min(n, uintptr(img.hi)-addr))
	if err := img.read(b, uint64(addr)); err != nil {
		return nil
	}
	return b
}

func (img *Image) read(b []byte, addr uint64) error {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.ReadAt(b, int64(addr)-int64(img.lo)+int64(img.off))
	return err
}

// Range returns the text's addresses.
func (img *Image) Range() (lo, hi uintptr) { return uintptr(img.lo), uintptr(img.hi) }

// Read makes Text ready: a copy of the file's text, outside of the collector's
// memory. Release gives it back.
func (img *Image) Read() error {
	if img.copy != nil {
		return nil
	}
	b, err := unix.Mmap(-1, 0, int(img.hi-img.lo), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("%w: memory for %d bytes of text: %w", ErrImage, img.hi-img.lo, err)
	}
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // fewer page faults; where it is refused, more
	if err := img.read(b, img.lo); err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrImage, err), unix.Munmap(b))
	}
	img.copy = b
	return nil
}

// Text returns the text as it is in the file, at the addresses that it has in
// memory, between Read and Release: what is searched are the compiler's
// instructions, not breakpoints.
func (img *Image) Text() []site.Segment {
	return []site.Segment{{Addr: img.lo, Bytes: img.copy}}
}

// Release ends what Read began.
func (img *Image) Release() {
	if img.copy != nil {
		_ = unix.Munmap(img.copy)
		img.copy = nil
	}
}

// InData reports whether addr lies in the executable's writable data, where
// package-level variables are.
func (img *Image) InData(addr uintptr) bool { return within(img.data, addr) }

// InText reports whether addr lies in the text.
func (img *Image) InText(addr uintptr) bool { return uint64(addr) >= img.lo && uint64(addr) < img.hi }

// Constant reports whether addr lies in a part of the executable that nobody can
// write, or that is only written before the program starts (PT_GNU_RELRO).
func (img *Image) Constant(addr uintptr) bool { return within(img.fixed, addr) }

func within(ranges []site.Range, addr uintptr) bool {
	for _, r := range ranges {
		if r.Contains(uint64(addr)) {
			return true
		}
	}
	return false
}

// Func returns the start of the compiled Go function that holds pc, and the
// name of the function at pc, which may be one that was inlined there. C code
// has none.
func (img *Image) Func(pc uint64) (entry uint64, name string, ok bool) {
	f := runtime.FuncForPC(uintptr(pc))
	if f == nil {
		return 0, "", false
	}
	return uint64(f.Entry()), f.Name(), true
}

// Assembly reports whether the function at entry was written in assembly.
func (img *Image) Assembly(entry uint64) bool {
	f := runtime.FuncForPC(uintptr(entry))
	if f == nil {
		return false
	}
	file, _ := f.FileLine(uintptr(entry))
	return strings.HasSuffix(file, ".s")
}

// funcInfo is how the runtime begins its record of a function (runtime2.go, _func; the
// same from Go 1.18 on), which a *runtime.Func points to.
type funcInfo struct {
	entryOff uint32
	nameOff  int32
	args     int32
	_        [7]uint32
	funcID   uint8
}

func infoOf(entry uint64) (*runtime.Func, *funcInfo) {
	f := runtime.FuncForPC(uintptr(entry))
	return f, (*funcInfo)(unsafe.Pointer(f))
}

// threeWords has room for three words on its callers' stacks.
//
//go:noinline
func threeWords(a, b, c uintptr) uintptr { return a ^ b ^ c }

// infoKnown reports whether the record is what we believe: two functions are as far
// from one another as their records say, and one has the room that it must have.
var infoKnown = sync.OnceValue(func() bool {
	const room = 3 * 8
	f, fi := infoOf(uint64(reflect.ValueOf(threeWords).Pointer()))
	g, gi := infoOf(uint64(reflect.ValueOf(Load).Pointer()))
	return f != nil && g != nil && fi.args == room && f.Entry()-g.Entry() == uintptr(fi.entryOff)-uintptr(gi.entryOff) &&
		fi.funcID == 0 && gi.funcID == 0 && wrapperID() != 0
})

// wrapperID is the number that wrappers have, as two that are made in different ways
// agree; it differs between versions of Go. 0: not known.
var wrapperID = sync.OnceValue(func() uint8 {
	nothing := reflect.MakeFunc(reflect.TypeFor[func()](), func([]reflect.Value) []reflect.Value { return nil })
	_, stub := infoOf(uint64(nothing.Pointer()))
	_, method := infoOf(uint64(reflect.ValueOf((*Image)(nil).Range).Pointer()))
	if stub == nil || method == nil || stub.funcID != method.funcID {
		return 0
	}
	return stub.funcID
})

// ArgBytes returns the room on the stack that every caller of the function at entry has
// for it: the size that compiler and assembler write behind the frame's.
func (img *Image) ArgBytes(entry uint64) (n int, ok bool) {
	f, info := infoOf(entry)
	const inlined = ^uint32(0) // runtime2.go, funcinl.ones: no record of a function
	if f == nil || uint64(f.Entry()) != entry || info.entryOff == inlined || !infoKnown() || info.args < 0 {
		return 0, false
	}
	return int(info.args), true
}

// FuncCode returns the live code of the compiled Go function at entry, padding
// included.
func (img *Image) FuncCode(entry uint64) []byte {
	f := runtime.FuncForPC(uintptr(entry))
	if f == nil || uint64(f.Entry()) != entry || entry < img.lo || entry >= img.hi {
		return nil
	}
	inside := func(addr uint64) bool {
		if addr >= img.hi {
			return false
		}
		g := runtime.FuncForPC(uintptr(addr))
		return g != nil && uint64(g.Entry()) == entry
	}
	last, step := entry, uint64(16)
	for inside(last + step) {
		last, step = last+step, step*2
	}
	for ; step > 0; step /= 2 {
		if inside(last + step) {
			last += step
		}
	}
	p := uintptr(entry)
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), last-entry+1) // text is not Go memory
}

// Wrapper reports whether the function at entry is one of those that the runtime calls
// wrappers (internal/abi, FuncIDWrapper), or that this is not known.
func (img *Image) Wrapper(entry uint64) bool {
	f, info := infoOf(entry)
	if f == nil || uint64(f.Entry()) != entry || !infoKnown() {
		return true
	}
	return info.funcID == wrapperID()
}

// placeBytesMax is how far Place looks for a frame that is not hidden.
const placeBytesMax = 64

// Place returns the function and the source position of the instruction at pc,
// as a person would name them. Where the innermost inlined function is one that
// hide is true for, it takes the next instruction that belongs to another: what
// uses a check stands behind it, at the line of the check; or else the one before.
// (Package runtime
// does not say into what a function was inlined; `quietpatch sites` reads it
// from the file.)
func (img *Image) Place(pc uint64, hide func(fn string) bool) (fn, file string, line int) {
	f := runtime.FuncForPC(uintptr(pc))
	if f == nil {
		return "", "", 0
	}
	// The padding NOP of an inlined call has the name of the caller, and the line
	// of the callee.
	named := func(at uintptr) bool {
		g := runtime.FuncForPC(at)
		if g == nil || g.Entry() != f.Entry() || hide(g.Name()) {
			return false
		}
		fn = g.Name()
		file, line = g.FileLine(at)
		return !site.OurFile(file)
	}
	for off := range uintptr(placeBytesMax) {
		if named(uintptr(pc) + off) {
			return fn, file, line
		}
	}
	for off := uintptr(1); off < placeBytesMax && uintptr(pc)-off >= f.Entry(); off++ {
		if named(uintptr(pc) - off) {
			return fn, file, line
		}
	}
	file, line = f.FileLine(uintptr(pc))
	return runtime.FuncForPC(f.Entry()).Name(), file, line
}
