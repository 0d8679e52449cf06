//go:build !linux

package affinity

import (
	"errors"
	"runtime"
)

var errUnsupported = errors.New("threads are pinned to CPUs only on linux")

// Allowed returns all CPUs: which of them may be used is not known here.
func Allowed() ([]int, error) {
	cpus := make([]int, runtime.NumCPU())
	for i := range cpus {
		cpus[i] = i
	}
	return cpus, nil
}

// Pin reports that threads cannot be pinned here.
func Pin(int) error { return errUnsupported }

// Avoid reports that threads cannot be moved here.
func Avoid(func(cpu int) bool) error { return errUnsupported }
