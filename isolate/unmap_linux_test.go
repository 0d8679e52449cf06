package isolate_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/quietpatch/quietpatch/isolate"
)

func init() {
	scenarios["unmap"] = scenarioUnmap
	scenarios["limits"] = scenarioUnmapLimits
	scenarios["nounmap"] = scenarioNoUnmap
}

func TestUnmap(t *testing.T)          { scenario(t, nil, "unmap") }
func TestUnmap2Bits(t *testing.T)     { scenario(t, []string{"QUIETPATCH_CONTEXT_BITS=2"}, "unmap") }
func TestUnmapLimits(t *testing.T)    { scenario(t, nil, "limits") }
func TestUnmapArguments(t *testing.T) { scenario(t, nil, "nounmap") }

var page = unix.Getpagesize()

// mappers are those who make mappings, and how each is unmapped. All map a file of a name that is
// found again: memory at an address may be somebody else's by then.
var mappers = map[string]struct {
	mmap  func(fd, bytes int) ([]byte, error)
	unmap func(b []byte) error
}{
	"syscall": {func(fd, n int) ([]byte, error) { return syscall.Mmap(fd, 0, n, protRW, unix.MAP_PRIVATE) }, isolate.Unmap},
	"unix":    {func(fd, n int) ([]byte, error) { return unix.Mmap(fd, 0, n, protRW, unix.MAP_PRIVATE) }, isolate.Unmap},
	"C code":  {rawMmap, func(b []byte) error { return isolate.UnmapFunc(len(b), func() error { return rawMunmap(b) }) }},
}

const protRW = unix.PROT_READ | unix.PROT_WRITE

func rawMmap(fd, n int) ([]byte, error) {
	p, err := unix.MmapPtr(fd, 0, nil, uintptr(n), protRW, unix.MAP_PRIVATE)
	return unsafe.Slice((*byte)(p), n), err
}

func rawMunmap(b []byte) error { return unix.MunmapPtr(unsafe.Pointer(&b[0]), uintptr(len(b))) }

// mapping makes one that is in use.
func mapping(pages int) []byte { return mappedBy("unix", pages) }

func mappedBy(who string, pages int) []byte {
	fd, err := unix.MemfdCreate(mappedName, 0)
	must(err)
	must(unix.Ftruncate(fd, int64(pages*page)))
	b, err := mappers[who].mmap(fd, pages*page)
	if err != nil {
		failAt(2, "mmap by %s: %v", who, err)
	}
	must(unix.Close(fd))
	for i := range b {
		b[i] = mark
	}
	return b
}

const (
	mappedName = "isolate-test"
	mark       = 0xA5
)

// there reports whether all pages of b are mapped, to a file of ours.
func there(b []byte) bool {
	maps, err := os.ReadFile("/proc/self/maps")
	must(err)
	at := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	end := at + uint64(len(b))
	for line := range strings.Lines(string(maps)) { // sorted
		var from, to uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			fail("/proc/self/maps has a line %q: %v", line, err)
		}
		if from <= at && at < to && strings.Contains(line, "/memfd:"+mappedName) {
			at = to
		}
	}
	return at >= end
}

// kept expects that b is there, as it was.
func kept(what string, b []byte) {
	if !there(b) {
		failAt(1, "%s: the mapping of %d bytes is gone", what, len(b))
	}
	for i := range b {
		if b[i] != mark {
			failAt(1, "%s: byte %d of the mapping is %#x", what, i, b[i])
		}
	}
}

func unmaps() isolate.UnmapCounts { return isolate.Status().Unmaps }

// scenarioUnmap: a mapping stays while a thread is isolated, and is gone when none is.
func scenarioUnmap(c *child) {
	c.reserve()
	for who := range mappers {
		b := mappedBy(who, 3)
		must(mappers[who].unmap(b))
		if there(b) || unmaps() != (isolate.UnmapCounts{}) {
			fail("nobody is isolated: mapping of %s still there: %v, %+v", who, there(b), unmaps())
		}
	}
	for who := range mappers {
		for _, state := range states {
			for _, back := range []string{"Kernel", "end of Run"} {
				c.tryUnmap(who, state, back)
			}
		}
	}
	if n := unmaps(); n.Held == 0 || n.Held != n.Released || n.Waiting+n.WaitingBytes+int(n.Forced+n.Failed+n.Interrupts) != 0 {
		fail("at the end %+v", n)
	}
}

// tryUnmap unmaps from another goroutine, and from the isolated one itself.
func (c *child) tryUnmap(who, state, back string) {
	own, others := mappedBy(who, 2), mappedBy(who, 5)
	what := fmt.Sprintf("mapped by %s, thread in %s, back by %s", who, state, back)
	c.run(isolate.Options{DeferIdle: true}, func(t *isolate.Thread) {
		call(t, state, func() {
			unmapped := make(chan struct{})
			go func() {
				must(mappers[who].unmap(others))
				close(unmapped)
			}()
			<-unmapped
			must(mappers[who].unmap(own))
			if state == "KERNEL" {
				if there(own) || there(others) {
					fail("%s: still there, and nobody is isolated", what)
				}
				return
			}
			kept(what, own)
			kept(what, others)
			if n := unmaps(); n.Waiting != 2 || n.WaitingBytes != len(own)+len(others) {
				fail("%s: %+v", what, n)
			}
			if back == "Kernel" {
				t.Kernel(func() {
					if there(own) || there(others) {
						fail("%s: ordinary code runs, and it is still there", what)
					}
				})
			}
		})
	})
	if there(own) || there(others) {
		fail("%s: still there after Run", what)
	}
}

// scenarioUnmapLimits: what waits for too long, or is too much, goes while a thread is isolated.
func scenarioUnmapLimits(c *child) {
	c.reserve()
	stop := make(chan struct{})
	ended := c.apart(isolate.Options{}, func(*isolate.Thread) { <-stop })
	const forLong = time.Hour
	must(isolate.SetUnmapLimits(10*page, forLong))
	a, b := mapping(4), mapping(6)
	must(isolate.Unmap(a))
	must(isolate.Unmap(b))
	kept("within the limit of bytes", a)
	kept("within the limit of bytes", b)
	d := mapping(1)
	must(isolate.Unmap(d))
	if n := unmaps(); there(a) || there(b) || there(d) || n.Forced != 3 || n.Interrupts != 3 || n.Waiting != 0 {
		fail("beyond the limit of bytes: there are %v %v %v, %+v", there(a), there(b), there(d), n)
	}
	a = mapping(4)
	must(isolate.Unmap(a))
	kept("within the limits again", a)
	must(isolate.SetUnmapLimits(10*page, time.Millisecond))
	until(func() bool { return unmaps().Forced == 4 })
	if n := unmaps(); there(a) || n.Forced != 4 {
		fail("beyond the limit of age: there is %v, %+v", there(a), n)
	}
	must(isolate.SetUnmapLimits(10*page, forLong))
	a = mapping(4)
	must(isolate.Unmap(a))
	kept("within the limits once more", a)
	must(isolate.SetUnmapLimits(3*page, forLong))
	if there(a) {
		fail("a new limit lets it wait")
	}
	for _, zero := range []func() error{
		func() error { return isolate.SetUnmapLimits(0, forLong) },
		func() error { return isolate.SetUnmapLimits(10*page, 0) },
	} {
		must(zero())
		a = mapping(1)
		must(isolate.Unmap(a))
		until(func() bool { return !there(a) })
	}
	for _, err := range []error{isolate.SetUnmapLimits(-1, 0), isolate.SetUnmapLimits(0, -1)} {
		wantError(err, isolate.ErrOptions, "below 0")
	}
	close(stop)
	<-ended
	if n := unmaps(); n.Failed != 0 || n.Released != 0 || n.Waiting != 0 {
		fail("at the end %+v", n)
	}
}

// scenarioNoUnmap: what is no mapping, or not all of one, or waits already.
func scenarioNoUnmap(c *child) {
	c.reserve()
	heap := make([]byte, 64*page) // as large ones do, it begins where a page does
	b := mapping(4)
	c.tryNoUnmap("nobody is isolated", heap, b)
	c.run(isolate.Options{}, func(*isolate.Thread) { c.tryNoUnmap("isolated", heap, b) })
	for i := range heap {
		heap[i] = byte(i)
	}
	// Whether Mmap has made it is known to Munmap alone.
	foreign := mappedBy("C code", 2)
	unknown := map[string][]byte{"the end of a mapping": b[page:], "memory that C code has mapped": foreign}
	for name, bad := range unknown {
		err := isolate.Unmap(bad)
		wantError(err, isolate.ErrUnmap, fmt.Sprintf("%p", bad), "UnmapFunc")
		if !there(bad) {
			fail("%s is gone", name)
		}
	}
	c.run(isolate.Options{}, func(t *isolate.Thread) {
		for _, bad := range unknown {
			must(isolate.Unmap(bad))
		}
		must(isolate.Unmap(b)) // another one
		wantError(isolate.Unmap(b), isolate.ErrUnmap, fmt.Sprintf("%p", b), "twice")
		if n := unmaps(); n.Waiting != 3 {
			fail("%+v", n)
		}
		t.Kernel(func() {
			if n := unmaps(); n.Waiting != 0 || n.Failed != 2 || there(b) || !there(foreign) {
				fail("%+v, there is %v and %v", n, there(b), there(foreign))
			}
		})
	})
	until(func() bool { return len(problems("could not be removed", "UnmapFunc")) == 2 })
	wantError(isolate.Unmap(b), isolate.ErrUnmap) // gone already
	must(rawMunmap(foreign))
	for _, err := range []error{isolate.UnmapFunc(-1, func() error { return nil }), isolate.UnmapFunc(1, nil)} {
		wantError(err, isolate.ErrOptions)
	}
	wantError(isolate.UnmapFunc(1, func() error { return errExit }), errExit)
}

// tryNoUnmap expects that nothing happens.
func (c *child) tryNoUnmap(what string, heap, b []byte) {
	for name, bad := range map[string][]byte{
		"nil": nil, "empty": {}, "the heap": heap, "the beginning of a mapping": b[:page],
		"its middle": b[10:20], "its beginning, clipped": b[: 2*page : 4*page], "nothing of it": b[:0],
	} {
		if name == "the heap" && unsafe.Sizeof(uintptr(0)) < 8 {
			continue // 32 bits do not tell it from mappings; the removal fails later
		}
		if err := isolate.Unmap(bad); !errors.Is(err, isolate.ErrUnmap) {
			fail("%s: Unmap of %s: %v", what, name, err)
		}
	}
	kept(what, b)
	if n := unmaps(); n != (isolate.UnmapCounts{}) {
		fail("%s: %+v", what, n)
	}
}
