package engine

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Glob reports whether the pattern, which CheckGlob accepts, matches the name.
func Glob(pattern, name string) bool { return glob(pattern, name) }

// CheckGlob returns an error for a pattern that is not understood.
func CheckGlob(pattern string) error { return checkGlob(pattern) }

// glob matches names: * for any characters, dots and slashes included, ? for one,
// [a-z] for one of several. path.Match keeps slashes apart, so they are hidden
// from it.
func glob(pattern, name string) bool {
	ok, err := path.Match(noSlash(pattern), noSlash(name))
	return err == nil && ok
}

func noSlash(s string) string { return strings.ReplaceAll(s, "/", "\x01") }

// ErrSelector: a selector is not understood.
var ErrSelector = errors.New("selector")

func checkGlob(pattern string) error {
	if pattern == "" {
		return fmt.Errorf("%w: an empty pattern", ErrSelector)
	}
	if _, err := path.Match(noSlash(pattern), ""); err != nil {
		return fmt.Errorf("%w %q: %w", ErrSelector, pattern, err)
	}
	return nil
}
