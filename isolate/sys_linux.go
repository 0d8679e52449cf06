package isolate

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func gettid() int { return unix.Gettid() }

// keptSignals are those that stay open: those that a thread raises itself, and those by which
// the C library and the Go runtime reach every thread (glibc's SIGCANCEL and SIGSETXID;
// the runtime uses the latter for system calls that all threads make).
var keptSignals = []unix.Signal{
	unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS,
	unix.Signal(32), unix.Signal(33), unix.Signal(34),
}

// blockSignals blocks all others on the calling thread.
func blockSignals() (unblock func() error, err error) {
	var set, before unix.Sigset_t
	for i := range set.Val {
		set.Val[i] = ^set.Val[i]
	}
	bits := int(unsafe.Sizeof(set.Val[0])) * 8
	for _, s := range keptSignals {
		set.Val[(int(s)-1)/bits] &^= 1 << ((int(s) - 1) % bits)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &before); err != nil {
		return nil, fmt.Errorf("isolate: rt_sigprocmask: %w", err)
	}
	return func() error { return unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }, nil
}

// Where the Go runtime asks for its heap on 64-bit systems (runtime/malloc.go,
// arenaHints): nothing that mmap returned by itself lies there.
const (
	heapLo uint64 = 0x00c000000000
	heapHi uint64 = 0x010000000000
)

// checkMapping finds what cannot be a mapping.
func checkMapping(b []byte) error {
	page := uintptr(os.Getpagesize())
	addr := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	switch {
	case len(b) == 0:
		return fmt.Errorf("expected a mapping, found an empty slice")
	case addr%page != 0:
		return fmt.Errorf("expected all of a mapping, found %d bytes at %#x, which begins within a page: give it the slice that Mmap returned", len(b), addr)
	case len(b) != cap(b):
		return fmt.Errorf("expected all of a mapping, found %d of its %d bytes at %#x: give it the slice that Mmap returned", len(b), cap(b), addr)
	case uint64(addr) >= heapLo && uint64(addr) < heapHi:
		return fmt.Errorf("expected a mapping, found %d bytes at %#x in Go's heap: the collector frees that memory", len(b), addr)
	}
	return nil
}

// munmap gives b to the package that has mapped it, which keeps a list; a mapping
// that neither knows was made by C code.
func munmap(b []byte) error {
	err := unix.Munmap(b)
	if err == unix.EINVAL {
		err = syscall.Munmap(b)
	}
	if err == syscall.EINVAL {
		if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0); errno != 0 {
			return fmt.Errorf("munmap(%p, %d): %w", unsafe.SliceData(b), len(b), errno)
		}
		return nil
	}
	return err
}
