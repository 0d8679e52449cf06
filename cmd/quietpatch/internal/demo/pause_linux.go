package demo

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allowedCPUs returns the CPUs that this process may run on, in order.
func allowedCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	var cpus []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// pinThread makes the calling thread run on one CPU only.
func pinThread(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}

// pause sleeps on the calling thread. A raw system call, since for an ordinary
// one the runtime would hand the thread's P to another thread and wake that,
// and the wake-up is an interrupt that is not the flip's.
func pause(d time.Duration) {
	ts := unix.NsecToTimespec(d.Nanoseconds())
	// A signal may end the sleep early. That does no harm.
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}
