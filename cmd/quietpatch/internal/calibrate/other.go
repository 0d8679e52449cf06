//go:build !(linux && amd64)

package calibrate

import (
	"context"
	"fmt"
	"runtime"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/scale"
)

// Run reports that nothing can be measured here.
func Run(context.Context, func(format string, args ...any)) (*scale.Measured, error) {
	return nil, fmt.Errorf("%w: text is patched on linux/amd64 only, this is %s/%s", ErrUnsupported, runtime.GOOS, runtime.GOARCH)
}
