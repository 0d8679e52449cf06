// Package staticcall stands in for the real package of the same import path:
// the same names and signatures, none of the machinery.
package staticcall

import (
	"errors"
	"unsafe"
)

// Call has the shape of the real one: the function comes first.
type Call[F any] struct {
	fn      F
	h       unsafe.Pointer
	nothing unsafe.Pointer
}

// New returns a call of f.
func New[F any](f F) Call[F] { return Call[F]{fn: f} }

// Func inlines into the load of the variable, as the real one does.
func (c *Call[F]) Func() F { return c.fn }

// Register inlines into a call of registerCall.
func Register[F any](c *Call[F], name, description string) error {
	return registerCall(c, name, description)
}

func (c *Call[F]) key() (unsafe.Pointer, error) { return unsafe.Pointer(c), nil }

type keyed interface {
	key() (unsafe.Pointer, error)
}

//go:noinline
func registerCall(c keyed, name, description string) error {
	if name == "" {
		return errors.New("staticcall: empty name")
	}
	k, err := c.key()
	registered = append(registered, k)
	return err
}

var registered []unsafe.Pointer
