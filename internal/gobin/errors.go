package gobin

import (
	"errors"
	"fmt"
)

// What can be wrong with a file. The errors that this package returns wrap one
// of these and add the file, the place, what was expected and what was found.
var (
	ErrNotELF    = errors.New("not an ELF file")
	ErrArch      = errors.New("unsupported machine")
	ErrNotGo     = errors.New("not a Go executable")
	ErrVersion   = errors.New("unsupported Go version")
	ErrTruncated = errors.New("truncated file")
	ErrCorrupt   = errors.New("corrupt file")
)

// detailf is kind with the place and the finding after it.
func detailf(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))
}

// guard runs a std parser over untrusted bytes and turns a panic into
// ErrCorrupt: the parsers promise errors, but a file that breaks the promise
// must not take the command down with it.
func guard(what string, parse func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = detailf(ErrCorrupt, "%s: parser failed: %v", what, r)
		}
	}()
	return parse()
}
