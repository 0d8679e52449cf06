//go:build linux && amd64

package self

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/site"
)

// ErrImage is wrapped by the errors of [Load].
var ErrImage = errors.New("the running executable")

// Image is the executable as it is mapped now.
type Image struct {
	lo, hi uint64 // text: the executable segment
	bias   uint64 // run-time address minus address in the file
	data   []site.Range
}

// Compile-time check: the image can be searched.
var _ site.Image = (*Image)(nil)

// Load reads the ELF file behind /proc/self/exe and finds it in the memory map.
func Load() (*Image, error) {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	defer f.Close()
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
	img, err := locate(f, ms, pc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	if err := img.sameBytes(f, pc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	return img, nil
}

// locate works out the load bias from the mapping that holds pc, which is an
// address in our own text, and the segment of the file that it maps.
func locate(f *elf.File, ms []mapping, pc uint64) (*Image, error) {
	var here *mapping
	for i := range ms {
		if ms[i].start <= pc && pc < ms[i].end {
			here = &ms[i]
		}
	}
	if here == nil {
		return nil, fmt.Errorf("no mapping holds our own code at %#x", pc)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD || p.Flags&elf.PF_X == 0 {
			continue
		}
		inFile := pc - here.start + here.offset // where in the file pc came from
		if inFile < p.Off || inFile >= p.Off+p.Filesz {
			continue
		}
		img := &Image{bias: pc - (p.Vaddr + inFile - p.Off)}
		if f.Type == elf.ET_EXEC && img.bias != 0 {
			return nil, fmt.Errorf("expected a fixed load address, found a bias of %#x", img.bias)
		}
		img.lo, img.hi = p.Vaddr+img.bias, p.Vaddr+img.bias+p.Filesz
		if err := covered(ms, img.lo, img.hi); err != nil {
			return nil, err
		}
		img.addData(f)
		return img, nil
	}
	return nil, fmt.Errorf("our own code at %#x does not come from the executable (%q maps it): "+
		"plugins and C shared libraries are not patched", pc, here.path)
}

func (img *Image) addData(f *elf.File) {
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_W != 0 {
			start := p.Vaddr + img.bias
			img.data = append(img.data, site.Range{Start: start, End: start + p.Memsz})
		}
	}
}

// sameBytes compares a few bytes of our own code with the file: proof that the
// file and the bias are the right ones.
func (img *Image) sameBytes(f *elf.File, pc uint64) error {
	var want [16]byte
	for _, p := range f.Progs {
		if at := pc - img.bias; p.Type == elf.PT_LOAD && p.Vaddr <= at && at+16 <= p.Vaddr+p.Filesz {
			if _, err := p.ReadAt(want[:], int64(at-p.Vaddr)); err != nil {
				return err
			}
			if found := [16]byte(img.bytes(pc, 16)); found != want {
				return fmt.Errorf("at %#x: the file says % x, memory says % x", pc, want, found)
			}
			return nil
		}
	}
	return fmt.Errorf("no segment of the file holds %#x", pc-img.bias)
}

// bytes views text. Text is not Go memory, so the number may become a pointer.
func (img *Image) bytes(addr, n uint64) []byte {
	p := uintptr(addr)
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), n)
}

// Range returns the text's addresses.
func (img *Image) Range() (lo, hi uintptr) { return uintptr(img.lo), uintptr(img.hi) }

// Text returns the live text.
func (img *Image) Text() []site.Segment {
	return []site.Segment{{Addr: img.lo, Bytes: img.bytes(img.lo, img.hi-img.lo)}}
}

// InData reports whether addr lies in the executable's writable data, where
// package-level variables are.
func (img *Image) InData(addr uintptr) bool {
	for _, r := range img.data {
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

// placeBytesMax is how far Place looks for a frame that is not hidden.
const placeBytesMax = 64

// Place returns the function and the source position of the instruction at pc,
// as a person would name them. Where the innermost inlined function is one that
// hide is true for, it takes the next instruction that belongs to another: what
// uses a check stands behind it, at the line of the check. (Package runtime
// does not say into what a function was inlined; `quietpatch sites` reads it
// from the file.)
func (img *Image) Place(pc uint64, hide func(fn string) bool) (fn, file string, line int) {
	f := runtime.FuncForPC(uintptr(pc))
	if f == nil {
		return "", "", 0
	}
	for at := uintptr(pc); at < uintptr(pc)+placeBytesMax; at++ {
		g := runtime.FuncForPC(at)
		if g == nil || g.Entry() != f.Entry() {
			break
		}
		if !hide(g.Name()) {
			file, line = g.FileLine(at)
			return g.Name(), file, line
		}
	}
	file, line = f.FileLine(uintptr(pc))
	return runtime.FuncForPC(f.Entry()).Name(), file, line
}
