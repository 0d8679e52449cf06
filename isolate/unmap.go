package isolate

import (
	"errors"
	"fmt"
	"time"

	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/engine"
)

// ErrUnmap is wrapped by the errors of [Unmap].
var ErrUnmap = errors.New("isolate: unmap")

// Unmap removes a mapping that Mmap has made, of package syscall or of golang.org/x/sys/unix: at once
// if no thread is isolated. Else that would interrupt each of them, because their CPUs must
// forget the mapping, so it is kept until nobody is isolated: threads that come back
// remove it, a few mappings each time, before they go on. If that takes too long, or too much waits, all that waits is
// removed, the isolated CPUs are interrupted, and [Status] counts that: see [SetUnmapLimits].
//
// The memory must not be used any more when Unmap is called. A use that comes too late is not
// noticed as long as the mapping waits. Nor is, at first, that b is no mapping of these packages:
// where Unmap has returned nil and the removal fails later, [Status] counts and names it.
func Unmap(b []byte) error {
	if err := checkMapping(b); err != nil {
		return fmt.Errorf("%w: %w", ErrUnmap, err)
	}
	if err := hold(start(b), len(b), func() error { return munmap(b) }); err != nil {
		return fmt.Errorf("%w: %w", ErrUnmap, err)
	}
	return nil
}

// UnmapFunc is [Unmap] for everything else whose removal interrupts other CPUs: memory that C
// code has mapped, MADV_DONTNEED, mprotect. bytes is what it counts for; unmap is called once, on
// whatever thread comes by, the caller's if nobody is isolated: it must not take a lock that the
// caller holds. If it panics, that counts as an error; so does runtime.Goexit (FailNow of a test), which ends
// the goroutine of whoever came by.
func UnmapFunc(bytes int, unmap func() error) error {
	if bytes < 0 || unmap == nil {
		return fmt.Errorf("%w: %d bytes and the function %t: expected 0 bytes or more, and a function", ErrOptions, bytes, unmap != nil)
	}
	if err := hold(0, bytes, unmap); err != nil {
		return fmt.Errorf("%w: %w", ErrUnmap, err)
	}
	return nil
}

// hold lets release wait, and notes when it fails later.
func hold(addr uintptr, bytes int, release func() error) error {
	return deferral.Hold(addr, bytes, release, func(err error) {
		go engine.Default.Note("isolate: a mapping of %d bytes that waited could not be removed: %v", bytes, err)
	})
}

// SetUnmapLimits sets how many bytes may wait to be unmapped, and for how long. The
// defaults are 64 MiB and 10 seconds. Zero for either lets nothing wait. What waits
// already and is beyond the new limits is removed.
func SetUnmapLimits(bytes int, age time.Duration) error {
	if bytes < 0 || age < 0 {
		return fmt.Errorf("%w: limits of %d bytes and %v: expected none below 0", ErrOptions, bytes, age)
	}
	deferral.SetLimits(deferral.Limits{Bytes: bytes, Age: age})
	return nil
}
