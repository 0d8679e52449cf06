//go:build linux && amd64

package text

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// procmem writes through /proc/self/mem. The kernel writes where the process
// could not (FOLL_FORCE, mm/gup.c), into a private copy of the page: the file
// and other processes do not see it. The setting proc_mem.force_override of
// Linux 6.12 can forbid it.
type procmem struct {
	fd  int
	buf [WordMax]byte
}

func openProcmem() (*procmem, error) {
	fd, err := unix.Open("/proc/self/mem", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /proc/self/mem for writing: %w", err)
	}
	return &procmem{fd: fd}, nil
}

func (p *procmem) name() string { return Procmem }

func (p *procmem) prepare([]uintptr) error { return nil }

func (p *procmem) write(addr uintptr, n int, w uint64) error {
	for i := range n {
		p.buf[i] = byte(w >> (8 * i))
	}
	done, err := unix.Pwrite(p.fd, p.buf[:n], int64(addr))
	if err != nil {
		return fmt.Errorf("pwrite to /proc/self/mem: %w", err)
	}
	if done != n {
		return fmt.Errorf("pwrite to /proc/self/mem: wrote %d of %d bytes", done, n)
	}
	return nil
}

// verify: the kernel may be told to refuse such writes in ways that we do not
// know; next to the system call, reading back costs nothing.
func (p *procmem) verify() bool { return true }

func (p *procmem) close() error { return unix.Close(p.fd) }
