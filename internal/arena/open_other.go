//go:build !(linux && amd64)

package arena

import (
	"fmt"
	"runtime"
)

// Open reports that there are no stubs here.
func Open(_, _ uintptr) (*Arena, error) {
	return nil, fmt.Errorf("%w: stubs are made on linux/amd64 only, this is %s/%s", ErrBacking, runtime.GOOS, runtime.GOARCH)
}
