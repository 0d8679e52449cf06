//go:build linux && amd64

package text

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alias keeps the poked pages of text in a memfd that is mapped twice:
// read+write at rw, and read+execute over the pages' old place.
//
// Only pages with sites move. What a profiler makes of functions in a page
// that came from a memfd is the reason (docs/RATIONALE.md).
type alias struct {
	fd int
	id fileID
	Window
	src Source
}

const (
	// gapPagesMax joins two runs of pages that are this close: fewer mappings.
	gapPagesMax = 8
	// runsMax bounds the mappings we add (vm.max_map_count is 65530 by default).
	// Beyond it everything between the first and the last site moves.
	runsMax = 512
)

// pageSize is that of amd64.
const pageSize = uintptr(windowPage)

func openAlias(lo, hi uintptr, src Source) (*alias, error) {
	base := lo &^ (pageSize - 1)
	size := (hi - base + pageSize - 1) &^ (pageSize - 1)
	fd, err := memfd()
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	id, err := identify(fd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fstat of the memfd: %w", err), unix.Close(fd))
	}
	a := &alias{fd: fd, id: id, src: src}
	a.base, a.moved = base, make([]bool, size/pageSize)
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, errors.Join(fmt.Errorf("ftruncate of the memfd to %d bytes: %w", size, err), unix.Close(fd))
	}
	a.rw, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mmap of the memfd read+write: %w", err), unix.Close(fd))
	}
	if err := a.mayExecute(); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// memfd asks for an executable memfd by name where the kernel knows the flag
// (6.3), because vm.memfd_noexec may have turned the default round.
func memfd() (int, error) {
	fd, err := unix.MemfdCreate("quietpatch-text", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("quietpatch-text", unix.MFD_CLOEXEC)
	}
	return fd, err
}

// mayExecute maps one page of the memfd executable, somewhere else: a security
// policy that forbids it must speak now, not over live text.
func (a *alias) mayExecute() error {
	b, err := unix.Mmap(a.fd, 0, int(pageSize), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap of the memfd read+execute: %w", err)
	}
	return unix.Munmap(b)
}

func (a *alias) name() string { return Alias }

// begin: pages that moved need no file descriptor any more; moveRun asks for it.
func (a *alias) begin() error { return nil }

func (a *alias) holds(addr uintptr) bool { return a.moved[(addr-a.base)/pageSize] }
func (a *alias) movedAny() bool          { return slices.Contains(a.moved, true) }

// close gives everything back if no page of text lives in the memfd. Else it
// does nothing: pages that moved stay where they are, writable.
func (a *alias) close() error {
	if a.movedAny() {
		return nil
	}
	return errors.Join(unix.Munmap(a.rw), a.id.close(a.fd))
}

// prepare moves the pages of the addresses into the memfd.
func (a *alias) prepare(addrs []uintptr) error {
	runs := a.runs(addrs, gapPagesMax)
	if len(runs) > runsMax {
		runs = [][2]int{{runs[0][0], runs[len(runs)-1][1]}}
	}
	for _, r := range runs {
		if err := a.move(r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}

// runs returns the page ranges [from, to) that the addresses need, joined where
// the gap is at most gap pages.
func (a *alias) runs(addrs []uintptr, gap int) [][2]int {
	var runs [][2]int
	for _, addr := range addrs {
		from := int((addr - a.base) / pageSize)
		to := min(int((addr+SiteMax-1-a.base)/pageSize)+1, len(a.moved))
		if n := len(runs); n > 0 && from <= runs[n-1][1]+gap {
			runs[n-1][1] = max(runs[n-1][1], to)
		} else {
			runs = append(runs, [2]int{from, to})
		}
	}
	return runs
}

// move puts the pages [from, to) that are not there yet into the memfd and maps
// them over their old place. The kernel replaces a mapping under its lock; a
// thread that fetches from the page meanwhile waits in the page fault. The
// bytes are the same before and after, and nobody else writes: the engine's
// lock is held.
func (a *alias) move(from, to int) error {
	for from < to {
		if a.moved[from] {
			from++
			continue
		}
		end := from
		for end < to && !a.moved[end] {
			end++
		}
		if err := a.moveRun(from, end); err != nil {
			return err
		}
		from = end
	}
	return nil
}

func (a *alias) moveRun(from, to int) error {
	off := uintptr(from) * pageSize
	size := uintptr(to-from) * pageSize
	at := a.base + off
	live := textBytes(at, size)
	fresh := a.rw[off : off+size]
	copy(fresh, live)
	if err := a.unprobed(at, fresh); err != nil {
		return err
	}
	if !a.id.is(a.fd) {
		return fmt.Errorf("the memfd was closed, or its number %d is another file now", a.fd)
	}
	p, err := unix.MmapPtr(a.fd, int64(off), unsafe.Pointer(unsafe.SliceData(live)), size,
		unix.PROT_READ|unix.PROT_EXEC, unix.MAP_SHARED|unix.MAP_FIXED)
	if err != nil {
		return fmt.Errorf("mmap of %d bytes of the memfd over the text at %#x: %w", size, at, err)
	}
	if uintptr(p) != at {
		return fmt.Errorf("mmap over the text at %#x went to %#x", at, uintptr(p))
	}
	for i := from; i < to; i++ {
		a.moved[i] = true
	}
	return nil
}

// unprobed refuses to move pages in which somebody else has changed the text. A
// uprobe's breakpoint works because the kernel knows the page as one of the
// executable file; moved into a memfd, it would be a trap that nobody expects.
// It looks at the copy that is to be mapped: a breakpoint that is set after it
// was made is lost, which does no harm.
func (a *alias) unprobed(at uintptr, fresh []byte) error {
	file := a.src.Original(at, uintptr(len(fresh)))
	if len(file) == 0 {
		return fmt.Errorf("the executable file cannot be read: not known whether a page of text at %#x is as it was", at)
	}
	for i, b := range file {
		if addr := at + uintptr(i); fresh[i] != b && !a.src.Ours(addr, fresh[i]) {
			return fmt.Errorf("%w: a page of text may not move: %w (a breakpoint or a uprobe? remove it, or use %s)",
				ErrForeign, &MismatchError{Addr: addr, N: 1, Expected: uint64(b), Found: uint64(fresh[i])}, Procmem)
		}
	}
	return nil
}

// ErrForeign: somebody else has changed the text.
var ErrForeign = errors.New("text changed by somebody else")

// write stores through the read+write mapping. One byte is one store.
func (a *alias) write(addr uintptr, n int, w uint64) error {
	off := addr - a.base
	if !a.moved[off/pageSize] || !a.moved[(off+uintptr(n)-1)/pageSize] {
		return fmt.Errorf("the page of %#x was not prepared", addr)
	}
	a.store(off, n, w)
	return nil
}

// store writes n bytes, with one store if n is 1, 2 or 4. Text is little-endian
// on the one CPU that is patched.
func (a *alias) store(off uintptr, n int, w uint64) {
	p := unsafe.Pointer(&a.rw[off])
	switch n {
	case 1:
		*(*uint8)(p) = uint8(w)
	case 2:
		*(*uint16)(p) = uint16(w)
	case 4:
		*(*uint32)(p) = uint32(w)
	default:
		for i := range n {
			a.rw[off+uintptr(i)] = byte(w >> (8 * i))
		}
	}
}

// verify: a store does not fail, and the compare in front of the next one would
// see a mapping that was replaced. Reading back would wait, at every site, for
// the cache line to come over from the CPU that executes it; without, the
// stores of a batch overlap.
func (a *alias) verify() bool { return false }

// textBytes views text as bytes. Text is not Go memory; see loadByte.
func textBytes(addr, size uintptr) []byte {
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), size)
}
