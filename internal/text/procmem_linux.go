//go:build linux && amd64

package text

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// procmem writes through /proc/self/mem. The kernel writes where the process
// could not (FOLL_FORCE, mm/gup.c), into a private copy of the page: the file
// and other processes do not see it. The setting proc_mem.force_override of
// Linux 6.12 can forbid it.
type procmem struct {
	fd  int
	id  fileID
	buf [WordMax]byte
}

func openProcmem() (*procmem, error) {
	p := &procmem{}
	if err := p.open(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *procmem) open() error {
	p.fd = -1 // if this fails, nothing must be written to the old number
	fd, err := unix.Open("/proc/self/mem", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /proc/self/mem for writing: %w", err)
	}
	id, err := identify(fd)
	if err != nil {
		return errors.Join(fmt.Errorf("fstat of /proc/self/mem: %w", err), unix.Close(fd))
	}
	p.fd, p.id = fd, id
	return nil
}

// begin opens the file again if somebody closed it.
func (p *procmem) begin() error {
	if p.id.is(p.fd) {
		return nil
	}
	return p.open()
}

func (p *procmem) holds(uintptr) bool { return false }
func (p *procmem) movedAny() bool     { return false }

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

func (p *procmem) close() error { return p.id.close(p.fd) }
