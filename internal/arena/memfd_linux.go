//go:build linux && amd64

package arena

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memfd is committed memory that is mapped twice. The two have the same
// distance everywhere.
type memfd struct {
	region
	rw []byte // reserved like the region; nil before the first commit
}

func newMemfd(r region) backing { return &memfd{region: r} }

func (m *memfd) name() string { return "memfd" }

func (m *memfd) commit(addr, n uintptr) error {
	if m.rw == nil {
		rw, err := unix.Mmap(-1, 0, int(m.size), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
		if err != nil {
			return fmt.Errorf("addresses for %d bytes: %w", m.size, err)
		}
		m.rw = rw
	}
	f, err := createFile(n)
	if err != nil {
		return err
	}
	err = m.mapTwice(f, addr, n)
	return errors.Join(err, f.close())
}

// mapTwice maps the file writable first, fills it, and only then executable.
func (m *memfd) mapTwice(f file, addr, n uintptr) error {
	rw := m.rw[addr-m.base:][:n]
	at := uintptr(unsafe.Pointer(unsafe.SliceData(rw)))
	if err := f.mapAt(at, n, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return errors.Join(err, m.forget(at, n))
	}
	rw[0] = int3
	for done := 1; done < len(rw); done *= 2 {
		copy(rw[done:], rw[:done])
	}
	if err := f.mapAt(addr, n, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		return errors.Join(err, m.forget(addr, n), m.forget(at, n))
	}
	return nil
}

func (m *memfd) write(addr uintptr, code []byte) error {
	copy(m.rw[addr-m.base:], code)
	return nil
}

func (m *memfd) close() error {
	var err error
	if m.rw != nil {
		err = unix.Munmap(m.rw)
		m.rw = nil
	}
	return errors.Join(err, m.region.close())
}

// file is a memfd for the moment in which it is open. Daemons close all
// descriptors, and the number may become somebody else's file: which it is, is
// asked after mapping it, before a byte is written, and before closing it.
type file struct {
	fd       int
	dev, ino uint64
}

// createFile asks for an executable memfd by name where the kernel knows the
// flag (6.3), because vm.memfd_noexec may have turned the default round.
func createFile(n uintptr) (file, error) {
	fd, err := unix.MemfdCreate("quietpatch-stubs", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("quietpatch-stubs", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return file{}, fmt.Errorf("memfd_create: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return file{}, errors.Join(fmt.Errorf("fstat of the memfd: %w", err), unix.Close(fd))
	}
	f := file{fd, st.Dev, st.Ino}
	if st.Nlink != 0 || st.Size != 0 { // a new memfd has no name and no bytes: this is not it
		return file{}, f.lost()
	}
	// Not ftruncate: memory that is not there at the first store is a SIGBUS.
	if err := unix.Fallocate(fd, 0, 0, int64(n)); err != nil {
		return file{}, errors.Join(fmt.Errorf("fallocate of %d bytes for the memfd: %w", n, err), f.close())
	}
	return f, nil
}

// check returns an error if the descriptor is not our file any more.
func (f file) check() error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil || st.Dev != f.dev || st.Ino != f.ino {
		return f.lost()
	}
	return nil
}

func (f file) lost() error {
	return fmt.Errorf("the memfd was closed, or its number %d is another file now", f.fd)
}

// mapAt maps the file over reserved addresses. If it fails, the caller makes
// them reserved again.
func (f file) mapAt(addr, n uintptr, prot int) error {
	if _, err := unix.MmapPtr(f.fd, 0, pointer(addr), n, prot, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
		how := "read+write"
		if prot&unix.PROT_EXEC != 0 {
			how = "read+execute"
		}
		return fmt.Errorf("mmap of the memfd %s: %w", how, err)
	}
	return f.check()
}

// close closes the descriptor, if it is still ours.
func (f file) close() error {
	if f.check() != nil {
		return nil
	}
	return unix.Close(f.fd)
}
