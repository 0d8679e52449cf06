package engine

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// Cell is the memory of a key: what sites that are not armed read.
type Cell interface {
	Load() int64
	Store(v int64)
}

// Key is what the engine knows of a key. Its fields are covered by the engine's
// mutex.
type Key struct {
	name, desc string
	addr       unsafe.Pointer // of the byte that sites read
	width      int
	cell       Cell

	searched bool   // sites are known
	plain    string // why it is an ordinary byte, or ""
	sites    []*Site
	unarmed  int // sites that wait to be armed
	armed    int // sites that hold the value
	// shown is the value that the armed sites hold. The byte has the same
	// value, unless somebody has overwritten the key by assignment.
	shown int64
}

// NewKey describes the key at addr, width bytes wide. The engine does not know
// it until it is registered or set.
func NewKey(addr unsafe.Pointer, width int, cell Cell) *Key {
	return &Key{addr: addr, width: width, cell: cell}
}

// KeyAt returns the engine's record of the key at addr: what the variable's own
// pointer (current) says, if that is a record for addr; else the one that the
// engine knows for addr, because somebody has overwritten the variable by
// assignment; else a new one. For a variable that holds the record of another
// key that has never been a key itself it returns an error: it is a copy. The
// record is put into the variable (install) under the lock, so that two first
// uses at the same time get the same one.
func (e *Engine) KeyAt(addr unsafe.Pointer, width int, cell Cell, current func() *Key, install func(*Key)) (*Key, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := current()
	if h != nil && h.addr == addr {
		return e.known(h), nil
	}
	if k := e.byAddr[addr]; k != nil {
		e.problem("%s was overwritten by assignment; its byte and its checks may differ until it is set: use Set", k.label())
		install(k)
		return k, nil
	}
	if h != nil {
		err := fmt.Errorf("%w: a copy of %s is in use; a copy is an ordinary byte without sites: use the key itself, by pointer",
			ErrPlain, h.label())
		e.problem("%v", err)
		return nil, err
	}
	k := NewKey(addr, width, cell)
	install(k)
	return k, nil
}

// known returns the record that the engine keeps for k's address, k itself if
// it keeps none. Two may have been made for one variable that was overwritten
// between; only one is in force.
func (e *Engine) known(k *Key) *Key {
	if other := e.byAddr[k.addr]; other != nil {
		return other
	}
	return k
}

// value returns what the key's checks see: the armed ones, if there are any.
func (k *Key) value() int64 {
	if k.armed > 0 {
		return k.shown
	}
	return k.cell.Load()
}

// Addr returns where the key is.
func (k *Key) Addr() unsafe.Pointer { return k.addr }

// label names the key in messages.
func (k *Key) label() string {
	if k.name != "" {
		return fmt.Sprintf("key %q", k.name)
	}
	return fmt.Sprintf("the unnamed key at %#x", uintptr(k.addr))
}

// State of a site.
type State uint8

const (
	Memory  State = iota // reads the key's memory; may be armed
	Armed                // holds the value as an immediate
	Refused              // reads memory for good, Why says why
)

// String returns "memory" or "armed": a refused site reads memory.
func (s State) String() string {
	if s == Armed {
		return "armed"
	}
	return "memory"
}

// Site is one instruction that reads a key.
type Site struct {
	addr  uintptr
	orig  uint64 // the compiler's bytes, the first one lowest
	zero  uint64 // the armed form that holds 0
	form  insn.Form
	n     uint8 // bytes
	off   uint8 // of the byte that a toggle changes
	flip  uint8 // what a toggle does to it: zero's byte XOR one's
	state State
	again bool // refused for what may pass: Arm tries again
	why   string
}

// covers reports whether the byte at addr belongs to the site.
func (s *Site) covers(addr uintptr) bool { return addr-s.addr < uintptr(s.n) }

// word returns the armed form that holds v, which is 0 or 1.
func (s *Site) word(v int64) uint64 {
	return s.zero ^ uint64(s.flip)*uint64(v)<<(8*s.off)
}

// Errors that callers may test for.
var (
	// ErrName: a key's name is not usable, or is taken.
	ErrName = errors.New("key name")
	// ErrPlain: the key is not a package-level variable of the executable, so
	// it has no sites and works as an ordinary byte.
	ErrPlain = errors.New("plain key")
)

// checkName accepts what can stand in an environment variable and a glob:
// letters, digits, and . - _ between them.
func checkName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: empty", ErrName)
	}
	bad := strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_", r))
	})
	if bad >= 0 {
		return fmt.Errorf("%w %q: expected letters, digits, '.', '-' and '_', found %q at position %d",
			ErrName, name, name[bad:bad+1], bad)
	}
	return nil
}
