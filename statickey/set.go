package statickey

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/engine"
)

// set applies one change, or stores into a copy.
func set(key func() (*engine.Key, error), v int64, apply func([]engine.Change) error, plain func(int64)) error {
	k, err := key()
	if err != nil {
		plain(v)
		return nil
	}
	c := [1]engine.Change{{Key: k, Value: v}}
	return apply(c[:])
}

// record returns the engine's record of the variable at addr, which keeps it in h; it is
// made on first use. An error says that the variable is a copy.
func record(addr unsafe.Pointer, width int, cell engine.Cell, h *atomic.Pointer[engine.Key]) (*engine.Key, error) {
	if k := h.Load(); k != nil && k.Addr() == addr {
		return k, nil
	}
	return engine.Default.KeyAt(addr, width, cell, h.Load, h.Store)
}

func sitesOf(k keyed) ([]Site, error) {
	key, err := k.key()
	if err != nil {
		return nil, err
	}
	return engine.Default.Sites(key)
}

// Sync makes certain what [Bool.SetNoWait] and the like made soon: every check that
// starts after it returned sees the value. One sync serves all keys; without
// anything pending it does nothing and interrupts nobody.
func Sync() error { return engine.Default.Sync() }

// parseNumber reads a number of so many bits, and refuses what does not fit.
func parseNumber(s string, bits int, unsigned bool) (int64, error) {
	if unsigned {
		v, err := strconv.ParseUint(s, 0, bits)
		if err != nil {
			return 0, fmt.Errorf("expected a number of %d bits without sign, found %q", bits, s)
		}
		return int64(v), nil
	}
	v, err := strconv.ParseInt(s, 0, bits)
	if err != nil {
		return 0, fmt.Errorf("expected a number of %d bits, found %q", bits, s)
	}
	return v, nil
}
