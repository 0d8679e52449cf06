package ipidrive

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of futex(2).
const (
	futexWait    = 0
	futexWake    = 1
	futexPrivate = 128
)

// waitOnFutex starts a thread that waits for the word to change. It never does, so that each
// wake is one.
func waitOnFutex(s *stage) error {
	return s.waitOnVictim(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&s.futex)), futexWait|futexPrivate, 0)
}

func wakeFutex(s *stage) error {
	// It can be on its way to the wait still. A wake of nobody sends nothing.
	for end := time.Now().Add(waitMost); ; {
		n, _, errno := unix.RawSyscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&s.futex)), futexWake|futexPrivate, 1)
		if errno != 0 {
			return errno
		}
		if n == 1 || time.Now().After(end) {
			break
		}
	}
	return s.waitWoken(func() {})
}

// waitOnFD starts a thread that reads from the descriptor.
func (s *stage) waitOnFD(fd int) error {
	s.fds = append(s.fds, fd)
	return s.waitOnVictim(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&s.read)), unsafe.Sizeof(s.read))
}

func waitOnTimer(s *stage) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, 0)
	if err != nil {
		return err
	}
	return s.waitOnFD(fd)
}

// expire lets a timer of the sender's CPU wake the victim while the sender is in system calls
// that have nothing to do with it. One shot each: a period would be set going again by
// the reader, on its own CPU.
func expire(s *stage) error {
	soon := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(200 * time.Microsecond))}
	if err := unix.TimerfdSettime(s.fds[0], 0, &soon, nil); err != nil {
		return err
	}
	return s.waitWoken(func() { _, _ = unix.Getpgid(0) })
}

// waitOnSocket and send: the softirq that receives a datagram runs in the sender's
// system call.
func waitOnSocket(s *stage) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return missing("the loopback device: " + err.Error())
	}
	if s.to, err = unix.Getsockname(fd); err != nil {
		return err
	}
	return s.waitOnFD(fd)
}

func send(s *stage) error {
	if err := unix.Sendto(s.fds[0], []byte{1}, 0, s.to); err != nil {
		return err
	}
	return s.waitWoken(func() {})
}
