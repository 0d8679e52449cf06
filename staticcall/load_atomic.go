//go:build !amd64 || race || msan || asan

package staticcall

import (
	"sync/atomic"
	"unsafe"
)

// Func returns the function. It is for the forwarder.
func (c *Call[F]) Func() F {
	p := atomic.LoadPointer((*unsafe.Pointer)(unsafe.Pointer(&c.fn)))
	return *(*F)(unsafe.Pointer(&p))
}
