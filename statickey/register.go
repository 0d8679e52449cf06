package statickey

import "github.com/quietpatch/quietpatch/internal/engine"

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
func Register(k *Bool, name, description string) error {
	key, err := k.key()
	if err != nil {
		return err
	}
	return engine.Default.Register(key, name, description)
}

// Keys returns every key that has a name, in the order of registration.
func Keys() []Key { return engine.Default.Keys() }
