//go:build linux && amd64

package arena

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	reserveMax = 64 << 20
	reserveMin = 1 << 20
	// reach of a rel32, less a margin for the length of instructions and for
	// what stands beside the text.
	reach = 1<<31 - 1<<20
	// lowest and highest are where we look at all: far above any
	// vm.mmap_min_addr in use, and below the end of user addresses with 4-level
	// page tables (Documentation/arch/x86/x86_64/mm.rst).
	lowest  = 1 << 20
	highest = 1<<47 - 1<<16
	// brkRoom is what the brk heap keeps at least to grow.
	brkRoom = 256 << 20
)

// region is a range of reserved addresses.
type region struct{ base, size uintptr }

// layout is what is mapped, and where the brk heap ends.
type layout struct {
	maps []mapping // sorted
	brk  uintptr
}

type mapping struct {
	start, end uintptr
	name       string
}

// reserve takes addresses near the text, without access. It settles for less
// where there is no room for all.
func reserve(lo, hi uintptr) (region, error) {
	if lo >= hi || hi-lo >= reach {
		return region{}, fmt.Errorf("%w: expected a text of less than %d bytes, found [%#x, %#x)", ErrNoRoom, reach, lo, hi)
	}
	var last error
	var l layout
	for size := uintptr(reserveMax); size >= reserveMin; size /= 2 {
		// Read again each time: another thread may have mapped something.
		var err error
		if l, err = readLayout(hi); err != nil {
			return region{}, fmt.Errorf("%w: %w", ErrNoRoom, err)
		}
		for _, at := range l.places(lo, hi, size) {
			r := region{at, size}
			if last = r.reserve(); last == nil {
				return r, nil
			}
		}
	}
	from, to := window(lo, hi)
	err := fmt.Errorf("%w: looked for %d down to %d free bytes in [%#x, %#x), within 2 GiB of the text [%#x, %#x), "+
		"and %d bytes away from the end of the heap at %#x; the largest gap has %d",
		ErrNoRoom, reserveMax, reserveMin, from, to, lo, hi, brkRoom, l.brk, l.largest(lo, hi))
	if last != nil {
		err = fmt.Errorf("%w; last refusal: %w", err, last)
	}
	return region{}, err
}

// window returns the addresses from which the whole text is within reach.
func window(lo, hi uintptr) (from, to uintptr) {
	from = lowest
	if hi > reach+lowest {
		from = hi - reach
	}
	return from, min(lo+reach, highest)
}

// gaps returns the free ranges in which an arena may lie.
func (l *layout) gaps(lo, hi uintptr) []span {
	from, to := window(lo, hi)
	var out []span
	add := func(start, end uintptr) {
		start, end = max(start, from), min(end, to)
		if start < end {
			out = append(out, span{start, end - start})
		}
	}
	at := uintptr(0)
	for _, m := range append(slices.Clone(l.maps), mapping{start: highest, end: highest}) {
		switch {
		case m.start <= at || m.name == "[stack]": // the stack grows down into its gap
		case l.brk+brkRoom <= at || m.start <= l.brk:
			add(at, m.start)
		default:
			add(at, max(at, l.brk))
			add(l.brk+brkRoom, m.start)
		}
		at = m.end
	}
	return out
}

// places returns where size bytes may be reserved, best first: below the text,
// where nothing grows, then above it; in both the highest address first, to
// leave room for the heap.
func (l *layout) places(lo, hi, size uintptr) []uintptr {
	var below, above []uintptr
	for _, g := range l.gaps(lo, hi) {
		at := (g.end() - min(size, g.size)) &^ (chunkBytes - 1)
		switch {
		case at < g.addr || at+size > g.end():
		case at < lo:
			below = append(below, at)
		default:
			above = append(above, at)
		}
	}
	slices.Reverse(below)
	slices.Reverse(above)
	return append(below, above...)
}

func (l *layout) largest(lo, hi uintptr) uintptr {
	s := spans{l.gaps(lo, hi)}
	return s.largest()
}

// readLayout reads what is mapped now. Where the kernel does not say where the
// brk heap begins, it is taken to begin at hi, the end of the text.
func readLayout(hi uintptr) (layout, error) {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return layout{}, err
	}
	l := layout{brk: startBrk()}
	if l.brk == 0 {
		l.brk = hi
	}
	for line := range strings.Lines(string(b)) {
		m, err := parseMapping(line)
		if err != nil {
			return layout{}, fmt.Errorf("line %d of /proc/self/maps, %q: %w", len(l.maps)+1, line, err)
		}
		if m.name == "[heap]" {
			l.brk = max(l.brk, m.end)
		}
		l.maps = append(l.maps, m)
	}
	return l, nil
}

// parseMapping reads one line of /proc/self/maps (proc_pid_maps(5)).
func parseMapping(line string) (mapping, error) {
	f := strings.Fields(line)
	if len(f) < 5 {
		return mapping{}, fmt.Errorf("expected at least 5 fields, found %d", len(f))
	}
	start, end, _ := strings.Cut(f[0], "-")
	a, err := strconv.ParseUint(start, 16, 64)
	b, err2 := strconv.ParseUint(end, 16, 64)
	m := mapping{start: uintptr(a), end: uintptr(b)}
	if len(f) > 5 {
		m.name = f[5]
	}
	return m, errors.Join(err, err2)
}

// startBrk returns where the brk heap begins, 0 if the kernel does not say. The
// kernel puts it up to 1 GiB above the bss (arch/x86/kernel/process.c,
// arch_randomize_brk), and nothing is mapped there until C code asks. brk(2) would tell,
// but a seccomp filter made for a Go program may kill for it.
func startBrk() uintptr {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	return parseStartBrk(string(b))
}

// parseStartBrk takes field 47 of /proc/self/stat (proc_pid_stat(5)). The second
// field, the command, may hold blanks and parentheses.
func parseStartBrk(stat string) uintptr {
	const third, startBrk = 3, 47
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) <= startBrk-third {
		return 0
	}
	v, _ := strconv.ParseUint(f[startBrk-third], 10, 64) // 0 if it is no number
	return uintptr(v)
}

// reserve maps the region without access, and over nothing else. Kernels before
// 4.17 take the address as a hint and ignore the flag (mmap(2)).
func (r region) reserve() error {
	p, err := unix.MmapPtr(-1, 0, pointer(r.base), r.size, unix.PROT_NONE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE|unix.MAP_FIXED_NOREPLACE)
	if err != nil {
		return fmt.Errorf("mmap of %d bytes at %#x: %w", r.size, r.base, err)
	}
	if uintptr(p) != r.base {
		return errors.Join(fmt.Errorf("mmap of %d bytes at %#x went to %#x", r.size, r.base, uintptr(p)),
			unix.MunmapPtr(p, r.size))
	}
	return nil
}

// forget takes the access from [addr, addr+n) of the region, and the memory.
func (r region) forget(addr, n uintptr) error {
	_, err := unix.MmapPtr(-1, 0, pointer(addr), n, unix.PROT_NONE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE|unix.MAP_FIXED)
	return err
}

func (r region) view(addr, n uintptr) []byte { return unsafe.Slice((*byte)(pointer(addr)), n) }

func (r region) close() error { return unix.MunmapPtr(pointer(r.base), r.size) }

// pointer makes a pointer to memory that is not Go's.
func pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }
