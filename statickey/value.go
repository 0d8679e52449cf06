package statickey

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/engine"
)

// Integer is what a [Value] may hold.
type Integer interface {
	~int32 | ~uint32 | ~int64 | ~int
}

// Value is a tunable: a number that hot code reads and that changes rarely. A read
// (Get) is inlined to a load; the first time the value is set, every load and
// every compare with a constant is rewritten so that it holds the value as an
// immediate.
//
// The rules are those of [Bool]: a package-level variable, Get called on it
// directly; anything else works as an ordinary number. The zero value is 0 and
// ready for use; [Of] starts with another.
//
// An immediate has 32 bits, sign-extended where 64 are read. A check of a value
// that does not fit (a [Duration] above two seconds) reads memory until the next
// Set. Comparisons with a constant of 32 bits hold every value. Comparisons with
// another variable, and sums, read memory. Sites says which.
//
// A change that needs more than one aligned store for some check goes by int3
// (three syncs) although the strategy is store. On procmem that is every change
// of more than one byte.
type Value[T Integer] struct {
	c cell[T] // first: sites read the key's own address
	h atomic.Pointer[engine.Key]
}

// The usual ones.
type (
	Int32    = Value[int32]
	Int64    = Value[int64]
	Uint32   = Value[uint32]
	Int      = Value[int]
	Duration = Value[time.Duration]
)

// Of returns a value that starts with v, for the declaration of a variable.
//
//	var maxRetries = statickey.Of[int32](3)
func Of[T Integer](v T) Value[T] { return Value[T]{c: cell[T]{v: v}} }

// Set changes the value, with the promises of [Bool.Set]. If the validation (see
// [Value.Validate]) refuses it, nothing is changed and the error wraps that of the
// validation.
func (k *Value[T]) Set(v T) error { return set(k.key, int64(v), engine.Default.Apply, k.setPlain) }

// SetNoWait changes the value without waiting and without interrupting anybody. See
// [Bool.SetNoWait].
func (k *Value[T]) SetNoWait(v T) error {
	return set(k.key, int64(v), engine.Default.ApplyNoWait, k.setPlain)
}

// setPlain is for a copy: an ordinary number, and Status says so.
func (k *Value[T]) setPlain(v int64) { k.c.store(T(v)) }

// Validate makes f judge every value that is set from now on, and the present
// one: if f refuses that, it is replaced by the one that the variable started
// with, and the error returned. f is called without locks, possibly by several
// goroutines. A second call replaces the first.
func (k *Value[T]) Validate(f func(T) error) error {
	key, err := k.key()
	if err != nil {
		return err
	}
	return engine.Default.Validate(key, func(v int64) error { return f(T(v)) })
}

// Limit is Validate with bounds, both included.
func (k *Value[T]) Limit(lowest, highest T) error {
	return k.Validate(func(v T) error {
		if v < lowest || v > highest {
			return fmt.Errorf("%w: expected %v to %v, found %v", ErrRange, lowest, highest, v)
		}
		return nil
	})
}

// Sites returns the checks of this value in the machine code. See [Bool.Sites].
func (k *Value[T]) Sites() ([]Site, error) {
	return sitesOf(k)
}

// key returns the engine's record of k, made on first use; an error for a copy.
func (k *Value[T]) key() (*engine.Key, error) {
	return record(unsafe.Pointer(k), int(unsafe.Sizeof(k.c.v)), (*valueCell[T])(k), &k.h)
}

// valueCell is a Value as the engine sees it.
type valueCell[T Integer] Value[T]

func (c *valueCell[T]) Load() int64         { return int64(c.c.load()) }
func (c *valueCell[T]) Store(v int64)       { c.c.store(T(v)) }
func (c *valueCell[T]) Text(v int64) string { return fmt.Sprint(T(v)) }

// Parse reads a value as people write it: 250ms for a duration, 1_000 or 0x10 for
// a number.
func (c *valueCell[T]) Parse(s string) (int64, error) {
	var v any = T(0)
	if _, ok := v.(time.Duration); ok {
		d, err := time.ParseDuration(s)
		return int64(d), err
	}
	return parseNumber(s, int(unsafe.Sizeof(T(0)))*8, T(0)-1 > 0)
}
