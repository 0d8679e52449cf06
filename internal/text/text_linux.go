//go:build linux && amd64

package text

import (
	"errors"
	"fmt"
)

// Backend names, as in options, Status and JSON.
const (
	Procmem = "procmem"
	Alias   = "alias"
)

// backend is one way to get bytes into text.
type backend interface {
	name() string
	// begin makes sure, before a batch, that the means to write are still ours.
	begin() error
	// prepare is told, once, which addresses will be written. Sorted.
	prepare(addrs []uintptr) error
	// holds reports whether only this backend can write at addr, and movedAny
	// whether there is such an address.
	holds(addr uintptr) bool
	movedAny() bool
	// write writes the low n bytes of w at addr, with one store if n is 1, or up
	// to StoreMax within an aligned quadword.
	write(addr uintptr, n int, w uint64) error
	// verify reports whether a write should be read back.
	verify() bool
	close() error
}

// Compile-time check: every backend is complete.
var (
	_ backend = (*procmem)(nil)
	_ backend = (*alias)(nil)
)

// Source is the text as the compiler made it, for comparison.
type Source interface {
	// Original returns n bytes of the executable file that belong at addr,
	// fewer where the file holds fewer.
	Original(addr, n uintptr) []byte
	// Ours reports whether b at addr is what the caller has poked there, or is
	// poking.
	Ours(addr uintptr, b byte) bool
}

// Text writes to the text of this process. It is not safe for concurrent use:
// the engine's lock covers it, as the kernel's text_mutex does.
type Text struct {
	lo, hi uintptr
	b      backend
}

// ErrBackend is wrapped by errors that mean: this backend does not work here.
var ErrBackend = errors.New("text backend")

// Open returns a writer for the text [lo, hi) by the named backend.
func Open(name string, lo, hi uintptr, src Source) (*Text, error) {
	var b backend
	var err error
	switch name {
	case Procmem:
		b, err = openProcmem()
	case Alias:
		b, err = openAlias(lo, hi, src)
	default:
		return nil, fmt.Errorf("%w: %q is not one of %s, %s", ErrBackend, name, Procmem, Alias)
	}
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrBackend, name, err)
	}
	return &Text{lo: lo, hi: hi, b: b}, nil
}

// Name returns the backend's name.
func (t *Text) Name() string { return t.b.name() }

// Close gives up the backend's means to write. Text stays as it is.
func (t *Text) Close() error { return t.b.close() }

// Begin is called before every batch: it makes sure that what the backend
// writes through has not been closed or replaced behind its back.
func (t *Text) Begin() error {
	if err := t.b.begin(); err != nil {
		return fmt.Errorf("%w %s: %w", ErrBackend, t.Name(), err)
	}
	return nil
}

// Holds reports whether the page of addr can be written by this backend only,
// because it has moved.
func (t *Text) Holds(addr uintptr) bool { return addr >= t.lo && addr < t.hi && t.b.holds(addr) }

// Moved reports whether any page can be written by this backend only.
func (t *Text) Moved() bool { return t.b.movedAny() }

// Prepare makes the pages of the addresses (sorted) ready to be poked. It may
// be called while threads run them.
func (t *Text) Prepare(addrs []uintptr) error {
	for _, a := range addrs {
		if a < t.lo || a >= t.hi {
			return t.outside(a)
		}
	}
	if err := t.b.prepare(addrs); err != nil {
		return fmt.Errorf("%w %s: %w", ErrBackend, t.Name(), err)
	}
	return nil
}

func (t *Text) outside(addr uintptr) error {
	return fmt.Errorf("%w: %#x is outside the text [%#x, %#x)", ErrBackend, addr, t.lo, t.hi)
}

// Poke writes the low n bytes of new at addr if the low n bytes of old stand
// there, and where a backend's word is not enough reads them back. On a
// *[MismatchError] nothing was written. A poke of one byte is a single store.
func (t *Text) Poke(addr uintptr, n int, old, new uint64) error {
	if addr < t.lo || addr+uintptr(n) > t.hi {
		return t.outside(addr)
	}
	if found := Load(addr, n); found != old {
		return &MismatchError{Addr: addr, N: n, Expected: old, Found: found}
	}
	if err := t.b.write(addr, n, new); err != nil {
		return &WriteError{Backend: t.Name(), Addr: addr, N: n, Err: err}
	}
	if !t.b.verify() {
		return nil
	}
	if found := Load(addr, n); found != new {
		return &WriteError{Backend: t.Name(), Addr: addr, N: n, Err: fmt.Errorf(
			"the write returned, but %s stands there instead of %s", Hex(found, n), Hex(new, n))}
	}
	return nil
}

// StoreMax is how many bytes within an aligned quadword the backend writes by one
// store. How the kernel copies more than one byte for procmem is its own affair.
func (t *Text) StoreMax() int {
	if t.Name() == Alias {
		return 4
	}
	return 1
}

// Window returns the direct way to write single bytes, nil if the backend has none.
func (t *Text) Window() *Window {
	if a, ok := t.b.(*alias); ok {
		return &a.Window
	}
	return nil
}
