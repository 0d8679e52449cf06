//go:build !linux

package trace

import (
	"errors"
	"os/exec"
)

// A Child cannot be here.
type Child struct{ PID int }

// StartChild fails.
func StartChild(*exec.Cmd) (*Child, error) {
	return nil, errors.New("programs can be watched on linux/amd64 only")
}

// Go is never called.
func (*Child) Go() <-chan error { return nil }

// Kill is never called.
func (*Child) Kill() error { return nil }
