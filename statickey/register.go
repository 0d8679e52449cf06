package statickey

import (
	"errors"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/engine"
)

// Site is one check in the machine code, as [Bool.Sites] returns it.
type Site = engine.SiteInfo

// Key describes a key, as [Keys] returns it.
type Key = engine.KeyInfo

// Errors that callers may test for with errors.Is.
var (
	// ErrName: the name is empty, has a character other than letters, digits,
	// '.', '-' and '_', or is taken.
	ErrName = engine.ErrName
	// ErrPlain: the key is not a package-level variable of the executable; it
	// works as an ordinary bool.
	ErrPlain = engine.ErrPlain
	// ErrNoWait: a change cannot be made by stores alone.
	ErrNoWait = engine.ErrNoWait
	// ErrSealed: the key may not change any more.
	ErrSealed = engine.ErrSealed
	// ErrRange: a value outside of its [Value.Limit].
	ErrRange = errors.New("value out of range")
)

// SiteError is what [Bool.Set] and [Batch.Apply] return when text could not be
// changed: site, step, expected and found bytes, and whether all is as before.
type SiteError = engine.SiteError

// Register gives k a name and a one-line description, under which tools list
// it. Write it next to the key:
//
//	var traceSends statickey.Bool
//	var _ = statickey.Register(&traceSends, "net.trace-sends", "log every packet sent")
//
// On error (see [ErrName]) the key works, unnamed, and Status remembers the
// mistake: a start-up that ignores the error loses nothing. `quietpatch sites`
// finds the name in the binary if name and description are constants.
//
//go:noinline
func Register(k *Bool, name, description string) error { return register(k, name, description) }

// RegisterValue is [Register] for a number.
func RegisterValue[T Integer](k *Value[T], name, description string) error {
	return registerNumber(k, unsafe.Sizeof(k.c.v), name, description)
}

// RegisterCounted is [Register] for a key that is counted.
//
//go:noinline
func RegisterCounted(k *Counted, name, description string) error {
	return register(k, name, description)
}

// RegisterSealed is [Register] for a key that is going to be sealed.
//
//go:noinline
func RegisterSealed(k *Sealed, name, description string) error {
	return register(k, name, description)
}

// keyed is any kind of key.
type keyed interface{ key() (*engine.Key, error) }

// registerNumber is what `quietpatch sites` looks for in a binary: calls with
// constant arguments.
//
//go:noinline
func registerNumber(k keyed, _ uintptr, name, description string) error {
	return register(k, name, description)
}

func register(k keyed, name, description string) error {
	key, err := k.key()
	if err != nil {
		return err
	}
	return engine.Default.Register(key, name, description)
}

// Keys returns every key that has a name, in the order of registration.
func Keys() []Key { return engine.Default.Keys() }
