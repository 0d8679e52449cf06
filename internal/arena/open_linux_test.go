//go:build linux && amd64

package arena

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// text returns a range like that of a text: some of the test's own.
func text() (lo, hi uintptr) {
	pc := reflect.ValueOf(text).Pointer()
	return pc&^0xFFFFF - 1<<16, pc + 1<<20
}

var backings = map[string]func(region) backing{"memfd": newMemfd, "procmem": newProcmem}

// each runs the test with each backing.
func each(t *testing.T, f func(t *testing.T, a *Arena)) {
	for name, b := range backings {
		t.Run(name, func(t *testing.T) {
			lo, hi := text()
			a, err := open(lo, hi, b)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Stats().Backing; got != name {
				t.Errorf("backing %q, expected %q", got, name)
			}
			f(t, a)
			ours := []uintptr{a.base}
			if m, ok := a.mem.(*memfd); ok {
				ours = append(ours, writable(m))
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			for _, at := range ours {
				if m, ok := mapped(t, at); ok {
					t.Errorf("after Close: %s", m.rest)
				}
			}
		})
	}
}

// writable returns where the writable mappings are.
func writable(m *memfd) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(m.rw))) }

type line struct {
	start, end  uintptr
	perms, rest string
}

// maps returns the lines of /proc/self/maps.
func maps(t testing.TB) []line {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Error(err)
	}
	var out []line
	for s := range strings.Lines(string(b)) {
		var l line
		if _, err := fmt.Sscanf(s, "%x-%x %s", &l.start, &l.end, &l.perms); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		l.rest = s
		out = append(out, l)
	}
	return out
}

func mapped(t testing.TB, at uintptr) (line, bool) {
	for _, l := range maps(t) {
		if l.start <= at && at < l.end {
			return l, true
		}
	}
	return line{}, false
}

// run calls the code at addr as a Go function without arguments: a func value
// is a pointer to a word that holds the address of the code.
func run(addr uintptr) uint64 {
	p := &addr
	return (*(*func() uint64)(unsafe.Pointer(&p)))()
}

// returns is code that returns v: MOVL $v, AX; RET.
func returns(v uint32) []byte {
	return []byte{0xB8, byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24), 0xC3}
}

// TestReach: the distances between all ends fit in a rel32.
func TestReach(t *testing.T) {
	lo, hi := text()
	a, err := Open(lo, hi)
	if err != nil {
		t.Fatal(err)
	}
	s := a.Stats()
	for _, x := range []uintptr{lo, hi} {
		for _, y := range []uintptr{s.Base, s.Base + s.ReservedBytes} {
			for _, d := range []int64{int64(x) - int64(y), int64(y) - int64(x)} {
				if d < math.MinInt32+1<<16 || d > math.MaxInt32-1<<16 {
					t.Errorf("from %#x to %#x: %d", x, y, d)
				}
			}
		}
	}
	if s.ReservedBytes < reserveMin || s.CommittedBytes != chunkBytes || s.Backing != "memfd" {
		t.Errorf("stats %+v", s)
	}
	if !a.Contains(s.Base) || a.Contains(s.Base-1) || !a.Contains(s.Base+s.ReservedBytes-1) || a.Contains(s.Base+s.ReservedBytes) {
		t.Error("Contains is wrong at an end")
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// TestRun: what is written runs, in one piece after the other, and what was
// never written or is free again is INT3.
func TestRun(t *testing.T) {
	each(t, func(t *testing.T, a *Arena) {
		var at []uintptr
		for i := range 3 * chunkBytes / 64 {
			addr, err := a.Alloc(50)
			if err == nil {
				err = a.Write(addr, returns(uint32(i)))
			}
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, addr)
		}
		for i, addr := range at {
			if got := run(addr); got != uint64(i) {
				t.Fatalf("the code at %#x returned %d, expected %d", addr, got, i)
			}
			if pad := a.mem.view(addr, 64)[6:]; !bytes.Equal(pad, bytes.Repeat([]byte{int3}, 58)) {
				t.Fatalf("behind the code: % x", pad)
			}
		}
		for _, addr := range at {
			if err := a.Free(addr); err != nil {
				t.Fatal(err)
			}
			if b := a.mem.view(addr, 64); !bytes.Equal(b, bytes.Repeat([]byte{int3}, 64)) {
				t.Fatalf("after Free: % x", b)
			}
		}
		addr, err := a.Alloc(64)
		if err == nil {
			err = a.Write(addr, returns(77))
		}
		if err != nil || addr != at[0] || run(addr) != 77 {
			t.Errorf("again: %#x, %v", addr, err)
		}
		if err := a.Free(addr); err != nil {
			t.Error(err)
		}
	})
}

// TestNeverWritableAndExecutable looks at the map all the time.
func TestNeverWritableAndExecutable(t *testing.T) {
	each(t, func(t *testing.T, a *Arena) {
		var over atomic.Bool
		looked := make(chan int)
		go func() {
			n := 0
			for ; n == 0 || !over.Load(); n++ {
				for _, l := range maps(t) {
					if strings.Contains(l.perms, "w") && strings.Contains(l.perms, "x") {
						t.Errorf("writable and executable: %s", l.rest)
					}
				}
			}
			looked <- n
		}()
		random(t, a, 4000)
		for a.committed < 16*chunkBytes {
			if err := a.grow(a.free.largest() + 1); err != nil {
				t.Fatal(err)
			}
		}
		over.Store(true)
		t.Logf("looked %d times", <-looked)
		s := a.Stats()
		code, _ := mapped(t, s.Base)
		last, _ := mapped(t, s.Base+s.CommittedBytes-1)
		rest, _ := mapped(t, s.Base+s.CommittedBytes)
		want := map[string]string{"memfd": "r-xs", "procmem": "r-xp"}[s.Backing]
		if code.perms != want || last.perms != want || rest.perms != "---p" {
			t.Errorf("expected %s and the rest ---p, found\n%s%s%s", want, code.rest, last.rest, rest.rest)
		}
		if m, ok := a.mem.(*memfd); ok {
			rw, _ := mapped(t, writable(m))
			if rw.perms != "rw-s" {
				t.Errorf("expected rw-s, found %s", rw.rest)
			}
		}
	})
}

// TestNoDescriptorStays: there is none that others could close.
func TestNoDescriptorStays(t *testing.T) {
	each(t, func(t *testing.T, a *Arena) {
		addr, err := a.Alloc(2 * chunkBytes)
		if err == nil {
			err = errors.Join(a.Write(addr, returns(1)), a.Free(addr))
		}
		if err != nil {
			t.Fatal(err)
		}
		fds, err := filepath.Glob("/proc/self/fd/*")
		if err != nil || len(fds) == 0 {
			t.Fatal(fds, err)
		}
		for _, fd := range fds {
			if to, _ := os.Readlink(fd); strings.Contains(to, "quietpatch-stubs") || strings.HasSuffix(to, "/mem") {
				t.Errorf("%s is open: %s", fd, to)
			}
		}
	})
}

// TestStolenDescriptor: the number becomes another file while it is in use. It
// is neither mapped nor closed nor written to.
func TestStolenDescriptor(t *testing.T) {
	lo, hi := text()
	a, err := open(lo, hi, newMemfd)
	if err != nil {
		t.Fatal(err)
	}
	m := a.mem.(*memfd)
	f, err := createFile(chunkBytes)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("foreign "), chunkBytes/8)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, content, 0o700); err != nil {
		t.Fatal(err)
	}
	v, err := os.OpenFile(victim, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := unix.Dup3(int(v.Fd()), f.fd, 0); err != nil {
		t.Fatal(err)
	}
	at := a.base + a.committed
	if err := m.mapTwice(f, at, chunkBytes); err == nil || !strings.Contains(err.Error(), "another file") {
		t.Errorf("mapTwice: %v", err)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
	if _, err := unix.FcntlInt(uintptr(f.fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("the other file was closed: %v", err)
	}
	_ = unix.Close(f.fd)
	if b, err := os.ReadFile(victim); err != nil || !bytes.Equal(b, content) {
		t.Errorf("the other file was changed: %v, %d bytes", err, len(b))
	}
	for _, x := range []uintptr{at, at - a.base + writable(m)} {
		if l, ok := mapped(t, x); !ok || l.perms != "---p" {
			t.Errorf("expected reserved addresses, found %s", l.rest)
		}
	}
	if addr, err := a.Alloc(2 * chunkBytes); err != nil {
		t.Errorf("afterwards: %v", err)
	} else if err := errors.Join(a.Free(addr), a.Close()); err != nil {
		t.Error(err)
	}
}

// refused is a backing that the system does not allow.
type refused struct {
	procmem
	why string
}

func (r *refused) name() string              { return r.why }
func (r *refused) commit(_, _ uintptr) error { return errors.New("no " + r.why) }
func refuse(why string) func(region) backing {
	return func(r region) backing { return &refused{procmem{r}, why} }
}

// TestFallback: the second backing is used where the first is refused, and
// where both are, the error says why for each; nothing stays reserved.
func TestFallback(t *testing.T) {
	lo, hi := text()
	a, err := open(lo, hi, refuse("sun"), newProcmem)
	if err != nil || a.Stats().Backing != "procmem" {
		t.Fatalf("%v, %+v", err, a.Stats())
	}
	first := region{a.base, a.size}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	_, err = open(lo, hi, refuse("sun"), refuse("moon"))
	if !errors.Is(err, ErrBacking) || !strings.Contains(err.Error(), "sun: ") || !strings.Contains(err.Error(), "no moon") {
		t.Errorf("error %v", err)
	}
	r, errReserve := reserve(lo, hi)
	if errReserve != nil || r != first {
		t.Errorf("afterwards %#x is free, %v; expected %#x again", r, errReserve, first)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
}

// TestDescriptorsExhausted: without a descriptor there is an error, and with
// one again there is memory.
func TestDescriptorsExhausted(t *testing.T) {
	each(t, func(t *testing.T, a *Arena) {
		addr, err := a.Alloc(8)
		if err != nil {
			t.Fatal(err)
		}
		var was unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
		none := was
		none.Cur = 0
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
			t.Fatal(err)
		}
		before := a.Stats()
		_, errAlloc := a.Alloc(2 * chunkBytes)
		errFree := a.Free(addr)
		after := a.Stats()
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(errAlloc, unix.EMFILE) {
			t.Errorf("Alloc: %v", errAlloc)
		}
		if before.Backing == "procmem" {
			if !errors.Is(errFree, unix.EMFILE) || after != before {
				t.Errorf("Free: %v, %+v", errFree, after)
			}
			errFree = a.Free(addr)
		}
		if errFree != nil {
			t.Error(errFree)
		}
		if addr, err = a.Alloc(2 * chunkBytes); err != nil {
			t.Fatal(err)
		}
		if err := a.Free(addr); err != nil {
			t.Error(err)
		}
	})
}
