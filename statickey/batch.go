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
func (b *Batch) Set(k *Bool, on bool) {
	key, err := k.key()
	if err != nil {
		if b.err == nil {
			b.err = err // a copy cannot be part of all-or-nothing
		}
		return
	}
	b.changes = append(b.changes, engine.Change{Key: key, Value: number(on)})
}

// Apply makes all queued changes, or none and returns why, and empties the
// batch. Its promises are those of [Bool.Set], for all keys together: when it
// returns nil, every later check of every one of them sees its new value. In
// between, some checks may see new values and others old ones. Keys that have
// their new value already cost nothing; if all have, there is no sync.
func (b *Batch) Apply() error {
	changes, err := b.changes, b.err
	b.changes, b.err = nil, nil
	if err != nil {
		return err
	}
	return engine.Default.Apply(changes)
}
