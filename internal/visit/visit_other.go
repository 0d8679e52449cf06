//go:build !(linux && amd64)

package visit

import (
	"fmt"
	"runtime"
	"sync/atomic"
)

var signals atomic.Uint64

// Round reports that threads cannot be looked at here.
func Round(Scene) error {
	return fmt.Errorf("%w on %s/%s", ErrUnable, runtime.GOOS, runtime.GOARCH)
}
