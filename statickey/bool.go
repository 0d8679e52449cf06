package statickey

import (
	"sync/atomic"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/engine"
)

// Bool is a key that is on or off. The zero value is off and ready for use; it
// should be a package-level variable. It must not be copied after first use: a
// copy works, as an ordinary bool, and Status reports it. It should not be
// overwritten either (k = Bool{}): its checks keep their value until the next
// Set.
//
// All methods are safe for concurrent use.
type Bool struct {
	on flag // first: sites read the key's own address
	h  atomic.Pointer[engine.Key]
}

// Enabled reports whether the key is on. It is inlined to a read of one byte
// and a branch; see the package comment for when that read goes away. Under
// the race detector it is an atomic load.
func (k *Bool) Enabled() bool { return k.on.load() }

// Set turns the key on or off. Setting a key to the value it has does nothing.
//
// In the terms of the Go memory model: if a call of Set returns nil, it
// synchronizes before every check ([Bool.Enabled]) that starts after the
// return, on any goroutine and any thread, until the next Set. "After" needs no
// synchronization of the reader's own; it is so by the clock. A check that
// overlaps the call may see either value, and different checks may see
// different ones; seeing the new value early orders nothing. Calls that set
// keys happen one after the other. (On CPUs other than amd64 keys are atomics,
// with the promises of sync/atomic.)
//
// A check is one execution of the compiled read. As with any variable, the
// compiler may let one read serve several checks between which the goroutine
// neither synchronizes nor writes memory that could be the key: do not wait in
// a loop that does nothing but check a key.
//
// If an armed check cannot be rewritten, Set changes nothing: when it returns
// an error, every check sees the old value again. The error (a *[SiteError])
// names the site, what was expected there and what was found. There are two
// exceptions, in which SiteError.Undone is false: the old bytes are back but the
// sync behind them failed (Unsynced), so a CPU may act on the new ones for a
// while; or the text refused to be put back, so some checks may see the new
// value, and every later call first tries to repair.
//
// A call that changes the value interrupts, for about a microsecond, every CPU
// that is running a thread of this process, as often as the strategy says (see
// the package quietpatch), however many checks there are. The caller waits for
// tens of microseconds; the first call for a key finds and arms its checks,
// which takes milliseconds.
func (k *Bool) Set(on bool) error {
	key, err := k.key()
	if err != nil {
		k.on.store(on) // a copy: an ordinary bool, and Status says so
		return nil
	}
	v := [1]engine.Change{{Key: key, Value: number(on)}}
	return engine.Default.Apply(v[:])
}

// Enable is Set(true).
func (k *Bool) Enable() error { return k.Set(true) }

// Disable is Set(false).
func (k *Bool) Disable() error { return k.Set(false) }

// Sites returns the checks of this key that the machine code holds, sorted by
// address, each with its state and, if it is read from memory for good, why.
// The error wraps [ErrPlain] for a key that can have none (on the heap, a
// copy), or says why text is not looked at here. Nothing is patched by it.
func (k *Bool) Sites() ([]Site, error) {
	key, err := k.key()
	if err != nil {
		return nil, err
	}
	return engine.Default.Sites(key)
}

// key returns the engine's record of k, made on first use; an error for a copy.
func (k *Bool) key() (*engine.Key, error) {
	if h := k.h.Load(); h != nil && h.Addr() == unsafe.Pointer(k) {
		return h, nil
	}
	return engine.Default.KeyAt(unsafe.Pointer(k), 1, (*boolCell)(k), k.h.Load, k.h.Store)
}

// boolCell is a Bool as the engine sees it.
type boolCell Bool

func (c *boolCell) Load() int64   { return number(c.on.load()) }
func (c *boolCell) Store(v int64) { c.on.store(v != 0) }

func number(on bool) int64 {
	if on {
		return 1
	}
	return 0
}
