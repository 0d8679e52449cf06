package demo

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pause sleeps on the calling thread. A raw system call, since for an ordinary
// one the runtime would hand the thread's P to another thread and wake that,
// and the wake-up is an interrupt that is not the flip's.
func pause(d time.Duration) {
	ts := unix.NsecToTimespec(d.Nanoseconds())
	// A signal may end the sleep early. That does no harm.
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}
