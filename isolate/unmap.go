package isolate

import (
	"errors"
	"fmt"
	"time"

	"github.com/quietpatch/quietpatch/internal/deferral"
)

// ErrUnmap is wrapped by the errors of [Unmap].
var ErrUnmap = errors.New("isolate: unmap")

// Unmap removes a mapping that mmap has made (syscall.Mmap, or Mmap of golang.org/x/sys/unix): at once
// if no thread is isolated. Else that would interrupt each of them, because their CPUs must
// forget the mapping, so it is kept until nobody is isolated: the last thread
// that comes back removes it, before it goes on. If that takes too long, or too much waits, all that waits is removed,
// the isolated CPUs are interrupted, and [Status] counts that: see [SetUnmapLimits].
//
// The memory must not be used any more when Unmap is called. A use that comes too late is not noticed as long as the mapping
// waits. If the program does not know when Unmap fails (nil was returned, and the removal failed later), Status counts it.
func Unmap(b []byte) error {
	if err := checkMapping(b); err != nil {
		return fmt.Errorf("%w: %w", ErrUnmap, err)
	}
	if err := deferral.Hold(len(b), func() error { return munmap(b) }); err != nil {
		return fmt.Errorf("%w: %w", ErrUnmap, err)
	}
	return nil
}

// SetUnmapLimits sets how many bytes may wait to be unmapped, and for how long. The
// defaults are 64 MiB and 10 seconds. Zero for either lets nothing wait. What waits
// already and is beyond the new limits is removed.
func SetUnmapLimits(bytes int, age time.Duration) error {
	if bytes < 0 || age < 0 {
		return fmt.Errorf("%w: limits of %d bytes and %v: expected none below 0", ErrOptions, bytes, age)
	}
	if err := deferral.SetLimits(deferral.Limits{Bytes: bytes, Age: age}); err != nil {
		return fmt.Errorf("%w: %w", ErrUnmap, err)
	}
	return nil
}
