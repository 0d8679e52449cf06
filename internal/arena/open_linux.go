//go:build linux && amd64

package arena

import (
	"errors"
	"fmt"
)

// Open reserves addresses from which a rel32 reaches every byte of the text
// [lo, hi), and back, and commits the first piece: proof that the system lets
// us make code.
func Open(lo, hi uintptr) (*Arena, error) { return open(lo, hi, newMemfd, newProcmem) }

// open uses the first backing that works. Each owns the region that it is given.
func open(lo, hi uintptr, backings ...func(region) backing) (*Arena, error) {
	refusal := fmt.Errorf("%w", ErrBacking)
	for _, backed := range backings {
		r, err := reserve(lo, hi)
		if err != nil {
			return nil, err
		}
		a := newArena(r.base, r.size, backed(r))
		err = a.grow(align)
		if err == nil {
			return a, nil
		}
		refusal = fmt.Errorf("%w; %s: %w", refusal, a.mem.name(), errors.Join(err, a.mem.close()))
	}
	return nil, refusal
}
