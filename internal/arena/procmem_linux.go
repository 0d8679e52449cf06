//go:build linux && amd64

package arena

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// procmem is private memory that only the kernel can write to: through
// /proc/self/mem (FOLL_FORCE, mm/gup.c).
type procmem struct{ region }

func newProcmem(r region) backing { return &procmem{r} }

func (p *procmem) name() string { return "procmem" }

func (p *procmem) commit(addr, n uintptr) error {
	if _, err := unix.MmapPtr(-1, 0, pointer(addr), n, unix.PROT_READ|unix.PROT_EXEC,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED); err != nil {
		return errors.Join(fmt.Errorf("mmap of anonymous memory read+execute: %w", err), p.forget(addr, n))
	}
	fill := bytes.Repeat([]byte{int3}, int(n))
	err := p.write(addr, fill)
	if err == nil && !bytes.Equal(p.view(addr, n), fill) {
		err = fmt.Errorf("a write through /proc/self/mem to %#x did not arrive", addr)
	}
	if err != nil {
		return errors.Join(err, p.forget(addr, n))
	}
	return nil
}

// write opens the file each time: a descriptor that stays open may be closed by
// others, and its number given to another file.
func (p *procmem) write(addr uintptr, code []byte) error {
	f, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(code, int64(addr))
	return errors.Join(err, f.Close())
}
