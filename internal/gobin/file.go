package gobin

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"

	"github.com/quietpatch/quietpatch/internal/site"
)

// File is an opened Go program. Its methods may be called from several
// goroutines at once, Close aside.
type File struct {
	name     string
	closer   io.Closer
	r        io.ReaderAt // what std readers may see
	size     int64
	pie      bool
	im       *image
	rel      []reloc
	tab      *pclntab
	syms     *symbols
	sections []*elf.Section
	text     []Segment
	names    *copies

	version  string
	settings map[string]string

	scanOnce sync.Once
	scanned  scan

	declaredOnce sync.Once
	declaredVars declared
}

// Open reads the Go program at path.
func Open(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // to open a FIFO would block
		return nil, fmt.Errorf("%s: %w", path, detailf(ErrNotELF, "not a regular file (%v)", info.Mode().Type()))
	}
	osf, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if info, err = osf.Stat(); err != nil {
		return nil, errors.Join(err, osf.Close())
	}
	f, err := New(osf, info.Size(), path)
	if err != nil {
		return nil, errors.Join(err, osf.Close())
	}
	f.closer = osf
	return f, nil
}

// New reads the Go program of size bytes in r. name stands for it in errors. r
// must stay readable until the File is no longer used.
func New(r io.ReaderAt, size int64, name string) (*File, error) {
	f := &File{name: name, size: size, names: newCopies(size)}
	if err := guard("program", func() error { return f.load(r) }); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// load does the work of New in the order in which one part needs the other.
func (f *File) load(r io.ReaderAt) error {
	progs, err := f.openELF(r)
	if err != nil {
		return err
	}
	if f.im, err = newImage(r, progs, f.size); err != nil {
		return err
	}
	f.rel = f.im.relocs(progs)
	f.syms = readSymbols(r, f.sections, f.size)
	f.readBuildInfo()
	if f.tab, err = findPclntab(f.im, f.sections); err != nil {
		return f.explain(err)
	}
	if err := f.placeText(f.sections); err != nil {
		return f.explain(err)
	}
	f.text, err = f.im.readText(f.codeRanges())
	return err
}

// openELF reads the headers, without those of the sections when these are
// missing or make no sense.
func (f *File) openELF(r io.ReaderAt) ([]*elf.Prog, error) {
	h, err := readHeader(r, f.size)
	if err != nil {
		return nil, err
	}
	f.pie = h.kind == elf.ET_DYN
	f.r = r
	ef, err := (*elf.File)(nil), checkSections(r, h, f.size)
	if err == nil {
		ef, err = elf.NewFile(io.NewSectionReader(r, 0, f.size))
	}
	if err != nil {
		f.r = headless{r}
		ef, err = elf.NewFile(io.NewSectionReader(f.r, 0, f.size))
	}
	if err != nil {
		return nil, detailf(ErrCorrupt, "ELF headers: %v", err)
	}
	f.sections = ef.Sections
	return ef.Progs, nil
}

// readBuildInfo takes what it can get: a program without the record (built by
// other build systems) has keys and sites like any other.
func (f *File) readBuildInfo() {
	f.settings = map[string]string{}
	_ = guard("build information", func() error {
		bi, err := buildinfo.Read(io.NewSectionReader(f.r, 0, f.size))
		if err != nil {
			return err
		}
		f.version = bi.GoVersion
		for _, s := range bi.Settings {
			f.settings[s.Key] = s.Value
		}
		return nil
	})
}

// explain adds the Go version to an error about the tables of the runtime,
// which is what their layout depends on.
func (f *File) explain(err error) error {
	if f.version == "" {
		return err
	}
	return fmt.Errorf("%w (built by %q; tested with go1.25 to go1.27)", err, f.version)
}

// codeRanges is where Text is read from: sections, unless they leave out Go code.
func (f *File) codeRanges() []Range {
	lo, hi := f.tab.bounds()
	ranges := f.im.textRanges(f.sections)
	for _, r := range ranges {
		if r.Start <= lo && hi <= r.End {
			return ranges
		}
	}
	return f.im.execRanges()
}

// Close closes the file that Open opened.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Text returns the code, in ascending order. The caller must not change it.
func (f *File) Text() []Segment { return f.text }

// Data returns the writable memory, bss included, in ascending order: where
// package-level keys live.
func (f *File) Data() []Range { return f.im.data() }

// Func returns the Go function that contains pc. It is false for addresses
// outside Go code, and for code of C in between. Every Go function has a name;
// one that cannot be read makes the function unknown.
func (f *File) Func(pc uint64) (entry uint64, name string, ok bool) {
	i, ok := f.tab.find(pc)
	if !ok || !f.tab.isGo(i) {
		return 0, "", false
	}
	name = f.names.get(copyKey{funcName, uint64(f.tab.nameOff(i))}, f.tab.nameBytes(i), "")
	return f.tab.entry(i), name, name != ""
}

// Assembly says whether the function at entry was written in assembly.
func (f *File) Assembly(entry uint64) bool {
	i, ok := f.tab.find(entry)
	if !ok || !f.tab.isGo(i) {
		return false
	}
	p := f.tab.position(i, entry)
	return bytes.HasSuffix(p.name, []byte(".s"))
}

// ArgBytes returns the room on the stack that every caller of the function at entry has
// for it.
func (f *File) ArgBytes(entry uint64) (n int, ok bool) {
	i, ok := f.tab.find(entry)
	if !ok || !f.tab.isGo(i) || f.tab.entry(i) != entry || f.tab.argBytes(i) < 0 {
		return 0, false
	}
	return int(f.tab.argBytes(i)), true
}

// FuncEnd returns the end of the function that contains pc, padding included.
func (f *File) FuncEnd(pc uint64) (end uint64, ok bool) {
	i, ok := f.tab.find(pc)
	if !ok || !f.tab.isGo(i) {
		return 0, false
	}
	return f.tab.entry(i + 1), true
}

// Line returns the source position of pc, the innermost one where calls were
// inlined; "" and 0 when it is not known.
func (f *File) Line(pc uint64) (file string, line int) {
	i, ok := f.tab.find(pc)
	if !ok || !f.tab.isGo(i) {
		return "", 0
	}
	return f.source(f.tab.position(i, pc))
}

// source makes a string of the file's name.
func (f *File) source(p position) (file string, line int) {
	file = f.names.get(copyKey{fileName, uint64(p.nameOff)}, p.name, "")
	if file == "" {
		return "", 0
	}
	return file, p.line
}

// placeBytesMax is how far Place looks for a position that is not hidden.
const placeBytesMax = 64

// Place returns the source position of the instruction at pc as a person would
// name it. Where the innermost position lies in a file that hide is true for (a
// method that was inlined) it takes the next instruction of the function that
// lies in another: what uses a check stands behind it, at the check's line.
func (f *File) Place(pc uint64, hide func(file string) bool) (file string, line int) {
	i, ok := f.tab.find(pc)
	if !ok || !f.tab.isGo(i) {
		return "", 0
	}
	first := f.tab.position(i, pc)
	for p := first; ; p = f.tab.position(i, p.end) {
		if file, line = f.source(p); file != "" && !hide(file) {
			return file, line
		}
		if p.end >= min(pc+placeBytesMax, f.tab.entry(i+1)) {
			break
		}
	}
	// What is inlined around the check has no instruction of its own behind it;
	// in front of it stands what was done before the call.
	for at := pc; at > f.tab.entry(i) && pc-at < placeBytesMax; {
		at--
		if file, line = f.source(f.tab.position(i, at)); file != "" && !hide(file) {
			return file, line
		}
	}
	return f.source(first)
}

// Compile-time check: a file can be searched for sites.
var _ site.Image = (*File)(nil)

// Symbol names the variable at addr: "main.verbose", or "main.options+0x8" for
// an address inside of one. It is "" when no symbol covers addr and in a
// stripped program.
func (f *File) Symbol(addr uint64) string {
	name, rest := f.syms.at(addr)
	return f.names.get(copyKey{symbolName, addr}, name, rest)
}

// GoVersion returns the version of the toolchain, such as "go1.26.8"; "" when
// the program does not say, or has no section headers: how far debug/buildinfo
// then looks depends on the Go version that this package was built with.
func (f *File) GoVersion() string { return f.version }

// Settings returns the build settings as `go version -m` shows them, such as
// "-race" and "GOAMD64"; none where GoVersion is "".
func (f *File) Settings() map[string]string { return maps.Clone(f.settings) }

// PIE says whether the program runs at addresses other than those in the file.
func (f *File) PIE() bool { return f.pie }

// Stripped says whether the symbol table is missing.
func (f *File) Stripped() bool { return f.syms == nil }
