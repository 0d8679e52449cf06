package engine

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// Cell is the memory of a key: what sites that are not armed read.
type Cell interface {
	Load() int64
	Store(v int64)
}

// Texter is a cell that knows how people write its values.
type Texter interface {
	Text(v int64) string
	Parse(s string) (int64, error)
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
	sites    []Site
	unarmed  int  // sites that wait to be armed
	armed    int  // sites that are ours
	slow     int  // of these, how many are no flips
	listed   bool // the engine keeps this record for the address
	wasSet   bool // by a call, so that the environment comes too late
	last     int  // the last change in the batch at hand; see pending
	// shown is the value that the armed sites hold. The byte has the same
	// value, unless somebody has overwritten the key by assignment.
	shown int64

	noinstr   bool     // isolated threads may run its sites
	owner     string   // what to use instead of selectors and the environment, "" for most
	callees   *callees // of a static call, else nil
	initial   int64    // what the variable started with
	validate  atomic.Pointer[func(int64) error]
	seal      uint8
	forgotten int // sites that a sealed key had
}

// NewKey describes the key at addr, width bytes wide. The engine does not know
// it until it is registered or set.
func NewKey(addr unsafe.Pointer, width int, cell Cell) *Key {
	return &Key{addr: addr, width: width, cell: cell, initial: cell.Load()}
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
	return e.recordAt(addr, current, install, func() *Key { return NewKey(addr, width, cell) })
}

func (e *Engine) recordAt(addr unsafe.Pointer, current func() *Key, install func(*Key), make func() *Key) (*Key, error) {
	h := current()
	if h != nil && h.addr == addr {
		return e.known(h), nil
	}
	if k := e.byAddr[addr]; k != nil {
		e.problem("%s was overwritten by assignment; what armed sites do and what is in memory may differ until it is set: use Set, or Update", k.label())
		install(k)
		return k, nil
	}
	if h != nil {
		err := fmt.Errorf("%w: a copy of %s is in use; a copy is an ordinary variable without sites: use the key itself, by pointer",
			ErrPlain, h.label())
		e.problem("%v", err)
		return nil, err
	}
	k := make()
	k.noinstr = e.noinstrAt[addr]
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

// text writes a value as people do.
func (k *Key) text(v int64) string {
	if t, ok := k.cell.(Texter); ok {
		return t.Text(v)
	}
	return strconv.FormatInt(v, 10)
}

// parse reads a value as people write it.
func (k *Key) parse(s string) (int64, error) {
	if t, ok := k.cell.(Texter); ok {
		return t.Parse(s)
	}
	return strconv.ParseInt(s, 0, 64)
}

// judge asks the key's own validation.
func (k *Key) judge(v int64) error {
	f := k.validate.Load()
	if f == nil {
		return nil
	}
	return (*f)(v)
}

// label names the key in messages.
func (k *Key) label() string {
	what := "key"
	if k.callees != nil {
		what = "static call"
	}
	if k.name != "" {
		return fmt.Sprintf("%s %q", what, k.name)
	}
	return fmt.Sprintf("the unnamed %s at %#x", what, uintptr(k.addr))
}

// code returns the bytes that stand at an armed site while the key is v.
func (k *Key) code(s *Site, v int64) insn.Code {
	if s.form.Transfers() {
		return k.callees.code(s, v)
	}
	return s.code(v)
}

// Errors that callers may test for.
var (
	// ErrName: a key's name is not usable, or is taken.
	ErrName = errors.New("key name")
	// ErrPlain: the key is not a package-level variable of the executable, so
	// it has no sites and works as an ordinary byte.
	ErrPlain = errors.New("plain key")
	// ErrNoWait: the change cannot be made by stores alone, without interrupting
	// anybody.
	ErrNoWait = errors.New("no change without waiting")
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
