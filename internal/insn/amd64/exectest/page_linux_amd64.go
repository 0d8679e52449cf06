package exectest

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ret ends the code, so that it returns to Run.
const ret = 0xC3

// Page is memory for code, with a page for data behind it.
type Page struct {
	mem    []byte
	sealed bool
}

// NewPage maps a page for code and one for data, both writable.
func NewPage() (*Page, error) {
	mem, err := unix.Mmap(-1, 0, 2*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("exectest: mmap: %w", err)
	}
	return &Page{mem: mem}, nil
}

// Addr returns the address of the code.
func (p *Page) Addr() uint64 { return uint64(uintptr(unsafe.Pointer(&p.mem[0]))) }

// Data returns the page of data, which remains writable.
func (p *Page) Data() []byte { return p.mem[os.Getpagesize():] }

// DataOffset returns how far the data lies behind the start of the code.
func (p *Page) DataOffset() int { return os.Getpagesize() }

// Seal writes the code, with a RET behind it, and makes it executable and
// read-only.
func (p *Page) Seal(code []byte) error {
	size := os.Getpagesize()
	if p.sealed || len(code)+1 > size {
		return fmt.Errorf("exectest: cannot write %d bytes of code: sealed %v, page of %d bytes", len(code), p.sealed, size)
	}
	copy(p.mem, code)
	p.mem[len(code)] = ret
	if err := unix.Mprotect(p.mem[:size], unix.PROT_READ|unix.PROT_EXEC); err != nil {
		return fmt.Errorf("exectest: mprotect: %w", err)
	}
	p.sealed = true
	return nil
}

// Close unmaps the page.
func (p *Page) Close() error {
	mem := p.mem
	p.mem, p.sealed = nil, false
	return unix.Munmap(mem)
}

// State is what an instruction can read and change.
type State struct {
	Reg    [16]uint64 // by hardware number; Reg[4], RSP, is only set on return
	RFLAGS uint64     // of those passed in only the arithmetic flags count
}

// arithmetic are the flags that Run passes in: CF, PF, AF, ZF, SF, OF. The
// others (direction, trap, interrupts) are not for a test to change.
const (
	arithmetic = 0x8D5
	reserved   = 0x202 // bit 1 and IF are always 1 in user mode
)

// Run calls the sealed code on this goroutine's stack with the registers and
// flags of in, and returns what they are afterwards.
func (p *Page) Run(in State) (out State, err error) {
	if !p.sealed {
		return out, fmt.Errorf("exectest: Run before Seal")
	}
	in.RFLAGS = in.RFLAGS&arithmetic | reserved
	call(unsafe.Pointer(&p.mem[0]), &in, &out)
	runtime.KeepAlive(p)
	return out, nil
}

// call is in assembly: it loads *in, calls code and stores *out.
//
//go:noescape
func call(code unsafe.Pointer, in, out *State)
