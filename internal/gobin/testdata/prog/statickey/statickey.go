// Package statickey stands in for the real package of the same import path:
// the same names and signatures, none of the machinery.
package statickey

import (
	"errors"
	"unsafe"
)

// Bool has the shape of the real key: the byte that sites read comes first.
type Bool struct {
	on bool
	h  unsafe.Pointer
}

// Enabled inlines into a byte compare with memory, as the real one does.
func (k *Bool) Enabled() bool { return k.on }

// Register must stay a direct call that nothing inlines: the reader finds keys
// by the calls to it.
//
//go:noinline
func Register(k *Bool, name, description string) error {
	if name == "" {
		return errors.New("statickey: empty name")
	}
	k.h = unsafe.Pointer(k)
	registered = append(registered, name+": "+description)
	return nil
}

var registered []string
