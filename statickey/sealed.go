package statickey

import "github.com/quietpatch/quietpatch/internal/engine"

// Sealed is a key that is decided while the program starts and constant from then
// on: a CPU feature, a mode of operation, what the command line said. Until [Seal] it
// is set like a [Bool]; after it a Set is an error that wraps [ErrSealed], and the
// program keeps no table of its checks. It is what the kernel's __ro_after_init is.
//
// A sealed key may be checked where nothing else may, in code that must not meet a
// patch in progress: its text does not change again, unless the program itself calls
// quietpatch.Disarm, Arm, or Configure with another backend.
type Sealed struct {
	b Bool // first: sites read its own address
}

// Set turns the key on or off, with the promises of [Bool.Set]. It marks the key as
// one to be sealed. After [Seal] it is an error, also for the value that the key
// has.
func (k *Sealed) Set(on bool) error {
	return set(k.key, number(on), engine.Default.Apply, k.b.setPlain)
}

// key returns the engine's record, marked.
func (k *Sealed) key() (*engine.Key, error) {
	key, err := k.b.key()
	if err == nil {
		engine.Default.MarkSealed(key)
	}
	return key, err
}

// Sites returns the checks of this key; none after [Seal], which forgets them.
func (k *Sealed) Sites() ([]Site, error) { return k.b.Sites() }

// Seal arms the checks of all [Sealed] keys that were set or registered, in one
// batch, and makes the keys constant. It is called once, when the program has
// started; a Sealed key that is first used after it can be set once more, by a
// second Seal. An error says what could not be armed; those checks read memory, and
// the keys are sealed all the same. Where text is not patched at all (another system, a
// sanitizer, the backend none) there is no error, as there is none for Set.
func Seal() error { return engine.Default.Seal() }
