package ipidrive

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// timestamp turns the key of network time stamps on and off. Both go through a workqueue,
// for which it waits: else the second undoes the first before that begins.
func timestamp(s *stage) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	before := s.calls()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1); err != nil {
		return err
	}
	s.awaitFlip(before)
	before = s.calls()
	if err := unix.Close(fd); err != nil {
		return err
	}
	s.awaitFlip(before)
	return nil
}

// awaitFlip waits until the kworker has patched the kernel's text. If another socket holds the
// key, it never does: after some waits that were for nothing, the others are short.
func (s *stage) awaitFlip(before uint64) {
	const (
		most  = int(time.Second / settle) // where others use the sender's CPU, the kworker waits for it, too
		least = 10
		some  = 3
	)
	tries := most
	if s.unflipped >= some {
		tries = least
	}
	for range tries {
		pause(settle)
		if s.calls()-before >= callsPerFlip {
			s.unflipped = 0
			return
		}
	}
	s.unflipped++
}

// openInterrupts is for calls.
func openInterrupts(s *stage) error {
	fd, err := unix.Open("/proc/interrupts", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	s.fds = append(s.fds, fd)
	s.text = bytes.Repeat([]byte{' '}, 64<<10)
	return err
}

// calls reads how many calls the victim has received. It allocates nothing, as package interrupts
// does: memory that is touched for the first time can interrupt the other threads of a process.
func (s *stage) calls() (n uint64) {
	size := 0
	for size < len(s.text) {
		some, _, _ := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(s.fds[0]), uintptr(unsafe.Pointer(&s.text[size])), uintptr(len(s.text)-size), uintptr(size), 0, 0)
		if int(some) <= 0 {
			break
		}
		size += int(some)
	}
	_, row, _ := bytes.Cut(s.text[:size], []byte("CAL:"))
	column := 0
	for i, c := range row {
		switch {
		case c >= '0' && c <= '9':
			if column == s.Victim {
				n = 10*n + uint64(c-'0')
			}
		case i > 0 && row[i-1] != ' ':
			column++
		}
		if column > s.Victim {
			break
		}
	}
	return n
}

// Both sysctls turn a key of the scheduler's or of BPF's statistics.
const (
	statsFile      = "/proc/sys/kernel/bpf_stats_enabled"
	schedstatsFile = "/proc/sys/kernel/sched_schedstats"
)

func switchable(s *stage) error      { return s.checkOff(statsFile) }
func schedSwitchable(s *stage) error { return s.checkOff(schedstatsFile) }
func switchStats(*stage) error       { return onAndOff(statsFile) }
func switchSchedstats(*stage) error  { return onAndOff(schedstatsFile) }

// checkOff refuses what is on already: it was not this process that wanted it.
func (s *stage) checkOff(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return missing("the kernel does not have " + file)
	}
	if err == nil && string(text) != "0\n" {
		return missing(fmt.Sprintf("%s is %q, expected 0", file, text))
	}
	return err
}

func onAndOff(file string) error {
	return errors.Join(os.WriteFile(file, []byte("1"), 0), os.WriteFile(file, []byte("0"), 0))
}
