package statickey

import (
	"fmt"
	"strings"
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
	return set(k.key, number(on), engine.Default.Apply, k.setPlain)
}

// setPlain is for a copy: an ordinary bool, and Status says so.
func (k *Bool) setPlain(v int64) { k.on.store(v != 0) }

// SetNoWait turns the key on or off by stores alone: no sync, no interrupt on any CPU.
// When it returns nil the new value is in the machine code, and every CPU will see it
// soon, but nothing says when: a check that starts later may still see the old
// value, and go back to it. [Sync] makes it certain, for all such changes together.
//
// What soon rests on. AMD: APM vol. 2, 7.6.1 lets a store to text be seen
// asynchronously, as old or new; caches are coherent, so a CPU that fetches the
// line again sees it, and any interrupt, system call return by IRET or switch of
// threads serializes. Intel: the same in practice, without the manual's word (SDM
// vol. 3A, "Handling Self- and Cross-Modifying Code"); SetNoWait is then the
// caller's decision, as the strategy store is. arm64 and others: keys are atomics,
// a store is seen soon, and Sync has nothing to do.
//
// It arms nothing: checks that wait to be armed go on reading memory. If the strategy
// in force is not store, or a check needs more than one store, nothing is changed
// and the error wraps [ErrNoWait].
func (k *Bool) SetNoWait(on bool) error {
	return set(k.key, number(on), engine.Default.ApplyNoWait, k.setPlain)
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
	return sitesOf(k)
}

// key returns the engine's record of k, made on first use; an error for a copy.
func (k *Bool) key() (*engine.Key, error) {
	return record(unsafe.Pointer(k), 1, (*boolCell)(k), &k.h)
}

// boolCell is a Bool as the engine sees it.
type boolCell Bool

func (c *boolCell) Load() int64   { return number(c.on.load()) }
func (c *boolCell) Store(v int64) { c.on.store(v != 0) }

// Text and Parse are how people write it.
func (c *boolCell) Text(v int64) string { return onOff(v) }

func (c *boolCell) Parse(s string) (int64, error) {
	switch strings.ToLower(s) {
	case "on", "true", "1", "yes", "+":
		return 1, nil
	case "off", "false", "0", "no", "-":
		return 0, nil
	}
	return 0, fmt.Errorf("expected on or off, found %q", s)
}

func onOff(v int64) string {
	if v != 0 {
		return "on"
	}
	return "off"
}

func number(on bool) int64 {
	if on {
		return 1
	}
	return 0
}
