package statickey

import (
	"fmt"
	"strconv"

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
