package ipidrive

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func mapPage(s *stage) (err error) {
	s.page, err = unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	return err
}

func unmap(s *stage) error {
	if err := mapPage(s); err != nil {
		return err
	}
	s.page[0] = 1
	return unix.Munmap(s.page)
}

func discard(s *stage) error {
	s.page[0] = 1
	return unix.Madvise(s.page, unix.MADV_DONTNEED)
}

// protect writes in between: the way back flushes only what the CPUs may know already.
func protect(s *stage) error {
	s.page[0] = 1
	return errors.Join(unix.Mprotect(s.page, unix.PROT_READ), unix.Mprotect(s.page, unix.PROT_READ|unix.PROT_WRITE))
}

// Commands and flags of membarrier(2); golang.org/x/sys has them not.
const (
	cmdSyncCore         = 1 << 5
	cmdRegisterSyncCore = 1 << 6
	cmdRseq             = 1 << 7
	cmdRegisterRseq     = 1 << 8
	flagCPU             = 1
)

func membarrier(cmd, flags, cpu int) error {
	_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, uintptr(cmd), uintptr(flags), uintptr(cpu))
	switch errno {
	case 0:
		return nil
	case unix.EINVAL, unix.ENOSYS:
		return missing(fmt.Sprintf("membarrier command %d, flags %d", cmd, flags))
	}
	return fmt.Errorf("membarrier command %d: %w", cmd, errno)
}

func registerSyncCore(*stage) error { return membarrier(cmdRegisterSyncCore, 0, 0) }
func syncCore(*stage) error         { return membarrier(cmdSyncCore, 0, 0) }
func registerRseq(*stage) error     { return membarrier(cmdRegisterRseq, 0, 0) }
func restart(s *stage) error        { return membarrier(cmdRseq, flagCPU, s.Victim) }
