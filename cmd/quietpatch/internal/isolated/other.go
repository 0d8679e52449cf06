//go:build !(linux && amd64)

package isolated

import (
	"context"
	"fmt"
	"runtime"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/progress"
)

// Run reports what is missing.
func Run(_ context.Context, o Options, _ progress.Writer) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("this is %s/%s: threads are isolated on linux/amd64 only, by membarrier and the context words of package isolate",
		runtime.GOOS, runtime.GOARCH)
}
