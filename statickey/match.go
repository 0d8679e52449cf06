package statickey

import (
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/engine"
)

// Selected is a key that a selector chose, with its checks.
type Selected = engine.Selected

// ErrSelector: a selector is not understood.
var ErrSelector = engine.ErrSelector

// ErrOwned: the key is part of something larger, such as a logger's level or a fail point,
// which alone may change it.
var ErrOwned = engine.ErrOwned

// Own says that k is part of something larger, which is to be asked to change it: selectors and the
// environment leave it alone then, and name what to use instead, such as "slogkey.SetLevel". It comes
// before [Register]. Set and Batch are not affected: who has the key may change it.
func Own(k *Bool, use string) { engine.Default.Own(unsafe.Pointer(k), use) }

// Match returns the named keys that a selector chooses, in the order of their
// registration. Selectors are made in the manner of the kernel's dynamic debug:
//
//	net.*                       by name: * any characters, ? one, [a-z] one of these
//	file server.go              checked in that file (a glob over the path or its last part)
//	func Serve*                 checked in that function (with or without its package)
//	line 10-20                  checked there; also 10, 10- and -20
//
// All words must hold, those about places for one and the same check; SiteList has
// the checks that they hold for. So "net.* file conn.go" is every key whose name starts
// with net. and that conn.go checks. Nothing is patched.
func Match(selector string) ([]Selected, error) { return engine.Default.Select(selector) }

// SetMatching gives every key that the selector chooses the same value, in one
// batch: all of them, or none. The value is written as people do: on, off, 250ms,
// 0x10. All keys that are chosen must take the value. It returns how many they are; none is no error.
//
// Keys of loggers' levels (package slogkey), of fail points (package failpoint), and all others that have an owner
// ([Own]) are left out, here and by the environment. To name one of them is an error, [ErrOwned].
//
// A selector that speaks of places needs the text: where keys are read from memory, also with -race, it is
// an error. Names always work.
//
// The environment can do it at the start, by name: QUIETPATCH=net.*=on,db.timeout=250ms.
// Values from there are in force when a key has been registered, before main.
func SetMatching(selector, value string) (int, error) {
	return engine.Default.SetSelected(selector, value)
}
