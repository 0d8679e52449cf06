//go:build amd64 && !race && !msan && !asan

package statickey

// flag is the byte that sites read. A plain byte: that is the instruction that
// gets replaced. It is for amd64 only, where text is patched and where a store
// is seen by every load that comes after it in time, once the lock that Set
// releases has drained the store buffer.
type flag struct{ b bool }

func (f *flag) load() bool   { return f.b }
func (f *flag) store(v bool) { f.b = v }

// cell is the number that sites read, plain for the same reason.
type cell[T Integer] struct{ v T }

func (c *cell[T]) load() T   { return c.v }
func (c *cell[T]) store(v T) { c.v = v }

// The reads that become sites. They are written out, because a call of load, inlined
// within one that is inlined itself, leaves a NOP at every check.

// Enabled reports whether the key is on. It is inlined to a read of one byte
// and a branch; see the package comment for when that read goes away. Under
// the race detector it is an atomic load.
func (k *Bool) Enabled() bool { return k.on.b }

// Enabled reports whether the key is on. See [Bool.Enabled].
func (k *Counted) Enabled() bool { return k.on.b }

// Enabled reports whether the key is on. See [Bool.Enabled].
func (k *Sealed) Enabled() bool { return k.b.on.b }

// Get returns the value. See [Bool.Enabled].
func (k *Value[T]) Get() T { return k.c.v }
