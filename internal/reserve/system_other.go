//go:build !linux

package reserve

import (
	"errors"
	"fmt"
	"runtime"
)

// system has no affinity masks that the package knows.
type system struct{}

func unsupported() error {
	return fmt.Errorf("CPUs can be reserved for threads on Linux only, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func (system) threads(func(CPUs) bool) ([]task, error) { return nil, unsupported() }
func (system) self() (task, error)                     { return task{}, unsupported() }
func (system) set(int, CPUs) error                     { return unsupported() }
func (system) online() (CPUs, error)                   { return nil, unsupported() }
func (system) wait()                                   {}
func (system) possible() (CPUs, error)                 { return nil, unsupported() }
