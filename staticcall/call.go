package staticcall

import (
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/engine"
	"github.com/quietpatch/quietpatch/statickey"
)

// Call is a variable of the function type F. It should be a package-level variable, made
// by [New] or [NewCond]; the zero value holds nil. It must not be copied after first use:
// a copy works, as an ordinary variable, and Status reports it.
//
// All methods are safe for concurrent use.
type Call[F any] struct {
	fn      F // first: the forwarder reads the call's own address
	h       atomic.Pointer[engine.Key]
	nothing engine.Func // of a conditional call
}

// New returns a call of f, for the declaration of a variable. F is a function type.
func New[F any](f F) Call[F] { return Call[F]{fn: f} }

// NewCond is New for a call that does nothing, and returns zero values, while its
// function is nil.
func NewCond[F any](f F) Call[F] {
	none := nothing(reflect.TypeFor[F]())
	if none != nil && pointer(&f) == nil {
		f = *(*F)(unsafe.Pointer(&none))
	}
	return Call[F]{fn: f, nothing: none}
}

// ErrType: the type argument of a call is no function type.
var ErrType = errors.New("not a function type")

// Site is one call in the machine code, as [Call.Sites] returns it.
type Site = engine.SiteInfo

// Update makes f the function that is called.
//
// In the terms of the Go memory model: if a call of Update returns nil, it synchronizes
// before every call by way of the variable, patched or not, that starts after the return,
// on any goroutine and any thread, until the next Update. "After" needs no synchronization
// of the caller's own. A call that overlaps Update goes to the old function or the new
// one; seeing the new one early orders nothing. Calls that are under way go on in the
// function that they have entered.
//
// On an error every call goes where it went before; the error (a *[statickey.SiteError])
// names the site, and its fields say when that is not so, as for [statickey.Bool.Set].
//
// Cost: as for Set. A batch that is stores only (the strategy store, on the backend alias,
// where each displacement that changes lies in one aligned quadword) has one sync, any
// other three, and one more if there is a new closure in it; the first Update of a call finds
// and arms its sites.
func (c *Call[F]) Update(f F) error {
	ch, err := c.change(f)
	if err != nil {
		return err
	}
	if ch.Key == nil {
		storeFunc(&c.fn, ch.Func)
		return nil
	}
	return engine.Default.Apply([]engine.Change{ch})
}

// UpdateIn queues Update(f) in a batch of keys, for one sync with all that it holds.
func (c *Call[F]) UpdateIn(b *statickey.Batch, f F) {
	ch, err := c.change(f)
	if err == nil && ch.Key == nil {
		_, err = c.key() // a copy cannot be part of all-or-nothing
	}
	b.Queue(ch, err)
}

// change describes Update(f); without a key if c is a copy.
func (c *Call[F]) change(f F) (engine.Change, error) {
	if t := reflect.TypeFor[F](); t.Kind() != reflect.Func {
		return engine.Change{}, fmt.Errorf("staticcall: %w: %v; declare the call by New with a function", ErrType, t)
	}
	fn := pointer(&f)
	if fn == nil {
		fn = c.nothing
	}
	k, err := c.key()
	if err != nil {
		return engine.Change{Func: fn}, nil
	}
	return engine.CallChange(k, fn), nil
}

// Current returns the function, nil if there is none.
func (c *Call[F]) Current() F {
	f := current(&c.fn)
	if c.nothing != nil && pointer(&f) == c.nothing {
		var none F
		return none
	}
	return f
}

// Sites returns the direct calls of the forwarder that the machine code holds, sorted by
// address, each with its state and, if it goes by way of the forwarder for good, why; also
// the functions that read the variable and are no forwarders. The error wraps
// [statickey.ErrPlain] for a variable that can have none (on the heap, a copy), or says why
// text is not looked at here. Nothing is patched by it.
func (c *Call[F]) Sites() ([]Site, error) {
	k, err := c.key()
	if err != nil {
		return nil, err
	}
	return engine.Default.Sites(k)
}

// key returns the engine's record of c, made on first use; an error for a copy.
func (c *Call[F]) key() (*engine.Key, error) {
	if t := reflect.TypeFor[F](); t.Kind() != reflect.Func {
		return nil, fmt.Errorf("staticcall: %w: %v", ErrType, t)
	}
	if k := c.h.Load(); k != nil && k.Addr() == unsafe.Pointer(c) {
		return k, nil
	}
	void := reflect.TypeFor[F]().NumOut() == 0
	return engine.Default.CallAt(unsafe.Pointer(c), c.nothing, void, c.h.Load, c.h.Store)
}

// A func value is one pointer, to a closure whose first word is the address of its code
// (runtime.funcval).

func pointer[F any](f *F) engine.Func { return *(*unsafe.Pointer)(unsafe.Pointer(f)) }

func storeFunc[F any](to *F, fn engine.Func) {
	atomic.StorePointer((*unsafe.Pointer)(unsafe.Pointer(to)), fn)
}

// current is not inlined: it would be a read of the variable that is no forwarder.
//
//go:noinline
func current[F any](f *F) F {
	p := atomic.LoadPointer((*unsafe.Pointer)(unsafe.Pointer(f)))
	return *(*F)(unsafe.Pointer(&p))
}

// Register gives c a name and a one-line description, under which tools list it:
//
//	var sum = staticcall.New(sumGeneric)
//	var _ = staticcall.Register(&sum, "sum", "checksum of a block")
//
// On error (see [statickey.ErrName]) the call works, unnamed, and Status remembers the
// mistake. Names are shared with keys. `quietpatch sites` finds the name in the binary if name and
// description are constants.
func Register[F any](c *Call[F], name, description string) error {
	return registerCall(c, name, description)
}

type keyed interface{ key() (*engine.Key, error) }

// registerCall is what `quietpatch sites` looks for in a binary: calls with constant
// arguments.
//
//go:noinline
func registerCall(c keyed, name, description string) error {
	k, err := c.key()
	if err != nil {
		return err
	}
	return engine.Default.Register(k, name, description)
}

// Info describes one call, as [Calls] returns it.
type Info = engine.CallInfo

// Calls returns every call that has a name, in the order of registration.
func Calls() []Info { return engine.Default.Calls() }
