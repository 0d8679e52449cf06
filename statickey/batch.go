package statickey

import "github.com/quietpatch/quietpatch/internal/engine"

// Batch changes many keys at the cost of one: queue, then apply. The zero value
// is an empty batch. A Batch is for one goroutine; different batches may be
// applied at the same time.
type Batch struct {
	changes []engine.Change
	err     error
}

// Set queues k := on. Of several changes of one key the last one counts.
func (b *Batch) Set(k *Bool, on bool) { b.add(k.key, number(on)) }

// SetValue queues k := v, for a key that is a number. (Methods of Batch cannot have
// type parameters.)
func SetValue[T Integer](b *Batch, k *Value[T], v T) { b.add(k.key, int64(v)) }

func (b *Batch) add(key func() (*engine.Key, error), v int64) {
	k, err := key()
	b.Queue(engine.Change{Key: k, Value: v}, err)
}

// Queue is for the packages of this module whose changes may share a batch with keys,
// such as staticcall.
func (b *Batch) Queue(c engine.Change, err error) {
	if err != nil {
		if b.err == nil {
			b.err = err // a copy cannot be part of all-or-nothing
		}
		return
	}
	b.changes = append(b.changes, c)
}

// Apply makes all queued changes, or none and returns why, and empties the
// batch. Its promises are those of [Bool.Set], for all keys together: when it
// returns nil, every later check of every one of them sees its new value. In
// between, some checks may see new values and others old ones. Keys that have
// their new value already cost nothing; if all have, there is no sync (but for one
// that changes without waiting have left out).
func (b *Batch) Apply() error { return b.apply(engine.Default.Apply) }

// ApplyNoWait makes all queued changes without waiting, or none. See
// [Bool.SetNoWait].
func (b *Batch) ApplyNoWait() error { return b.apply(engine.Default.ApplyNoWait) }

func (b *Batch) apply(how func([]engine.Change) error) error {
	changes, err := b.changes, b.err
	b.changes, b.err = nil, nil
	if err != nil {
		return err
	}
	return how(changes)
}
