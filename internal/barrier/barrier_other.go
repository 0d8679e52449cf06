//go:build !(linux && amd64)

package barrier

import (
	"errors"
	"fmt"
	"runtime"
)

// ErrUnsupported is wrapped by the errors of [Register] where the kernel has no
// such sync, or forbids it.
var ErrUnsupported = errors.New("no core-serializing membarrier")

// Syncs returns how many syncs the process has made.
func Syncs() uint64 { return 0 }

// Register reports that there is no sync here.
func Register() error {
	return fmt.Errorf("%w on %s/%s", ErrUnsupported, runtime.GOOS, runtime.GOARCH)
}

// SyncCore reports that there is no sync here.
func SyncCore() error { return Register() }
