//go:build !amd64 || race || msan || asan

package statickey

import (
	"sync/atomic"
	"unsafe"
)

// flag is atomic where the order of plain accesses promises nothing, and where
// a sanitizer watches: it would rightly call the plain read a race.
type flag struct{ b atomic.Bool }

func (f *flag) load() bool   { return f.b.Load() }
func (f *flag) store(v bool) { f.b.Store(v) }

// cell is the number that checks read. On 32-bit systems an int64 is aligned to 4
// bytes only, and 64-bit atomics want 8; an atomic.Int64 of no length sees to it.
type cell[T Integer] struct {
	_ [0]atomic.Int64
	v T
}

func (c *cell[T]) load() T {
	if unsafe.Sizeof(c.v) == 4 {
		return T(atomic.LoadUint32((*uint32)(unsafe.Pointer(&c.v))))
	}
	return T(atomic.LoadUint64((*uint64)(unsafe.Pointer(&c.v))))
}

func (c *cell[T]) store(v T) {
	if unsafe.Sizeof(c.v) == 4 {
		atomic.StoreUint32((*uint32)(unsafe.Pointer(&c.v)), uint32(v))
		return
	}
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&c.v)), uint64(v))
}

// The reads that become sites where text is patched.

// Enabled reports whether the key is on. It is inlined to a read of one byte
// and a branch; see the package comment for when that read goes away. Under
// the race detector it is an atomic load.
func (k *Bool) Enabled() bool { return k.on.load() }

// Enabled reports whether the key is on. See [Bool.Enabled].
func (k *Counted) Enabled() bool { return k.on.load() }

// Enabled reports whether the key is on. See [Bool.Enabled].
func (k *Sealed) Enabled() bool { return k.b.on.load() }

// Get returns the value. See [Bool.Enabled].
func (k *Value[T]) Get() T { return k.c.load() }
