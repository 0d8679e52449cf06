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

// heapNear is how far from any of its objects Go's heap is taken to reach. The runtime asks for
// one piece of the address space that grows (runtime/malloc.go, arenaHints), at a place that is random since Go 1.26
// and far below that of mappings.
const heapNear uint64 = 1 << 36

// heapObject is in the heap: a variable that the compiler lays out is not.
var heapObject = allocate()

//go:noinline
func allocate() *[64]byte { return new([64]byte) }

// inHeap reports whether the address is near the heap. With 32 bits everything is near.
func inHeap(addr uintptr) bool {
	object := uint64(uintptr(unsafe.Pointer(heapObject)))
	return unsafe.Sizeof(addr) == 8 && uint64(addr)-object+heapNear < 2*heapNear
}

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
	case inHeap(addr):
		return fmt.Errorf("expected a mapping, found %d bytes at %#x in Go's heap: the collector frees that memory", len(b), addr)
	}
	return nil
}

// start returns where a mapping begins.
func start(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// munmap gives b to the package that has mapped it, which keeps a list.
func munmap(b []byte) error {
	err := unix.Munmap(b)
	if err == unix.EINVAL {
		err = syscall.Munmap(b)
	}
	if err == syscall.EINVAL {
		return fmt.Errorf("expected all of a mapping, found %d bytes at %#x, which Mmap has not made, neither of package syscall nor of golang.org/x/sys/unix, "+
			"or which are unmapped already; for other mappings there is UnmapFunc: %w", len(b), start(b), err)
	}
	return err
}
