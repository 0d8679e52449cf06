package ipidrive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
)

// timestamp turns the key of network time stamps on and off. Both go through a workqueue,
// for which it waits: else the second undoes the first before that begins.
func timestamp(s *stage) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	before := interrupts.Read()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1); err != nil {
		return err
	}
	s.awaitFlip(before)
	before = interrupts.Read()
	if err := unix.Close(fd); err != nil {
		return err
	}
	s.awaitFlip(before)
	return nil
}

// awaitFlip waits until the kworker has patched the kernel's text, for a while: if another
// socket holds the key, it does not.
func (s *stage) awaitFlip(before interrupts.Reading) {
	const tries = 10
	for range tries {
		pause(settle)
		if receivedSince(before, s.Victim).Calls >= callsPerFlip {
			return
		}
	}
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
