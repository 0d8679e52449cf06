//go:build linux && amd64

package text

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// open opens a backend for the test binary's own text, as far as these tests
// poke: the page of the self-test's target.
func open(t *testing.T, name string) *Text {
	t.Helper()
	at := targetAddr() &^ (pageSize - 1)
	x, err := Open(name, at, at+2*pageSize, noSource{})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// noSource says that the file is as the text is.
type noSource struct{}

func (noSource) Original(addr, n uintptr) []byte { return textBytes(addr, n) }
func (noSource) Ours(uintptr, byte) bool         { return false }

// aliasOnly skips where procmem is tested: a page that moved to alias stays
// there, so tests of alias run in a process of their own.
func aliasOnly(t *testing.T) {
	t.Helper()
	if os.Getenv("TEXT_TEST_ALIAS") == "" {
		t.Skip("runs in a process of its own: TestAlias")
	}
}

func TestAlias(t *testing.T) {
	if os.Getenv("TEXT_TEST_ALIAS") != "" {
		t.Skip("this is that process")
	}
	cmd := exec.Command(os.Args[0], "-test.run=TestBackend|TestUnprepared|TestAliasClosed|TestForeignPage", "-test.v")
	cmd.Env = append(os.Environ(), "TEXT_TEST_ALIAS=1")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") < 4 {
		t.Errorf("tests of alias: %v\n%s", err, out)
	}
}

func noSync() error { return nil } // one thread pokes and runs the target; see barrier for real syncs

func TestBackend(t *testing.T) {
	name := Procmem
	if os.Getenv("TEXT_TEST_ALIAS") != "" {
		name = Alias
	}
	x := open(t, name)
	if err := x.SelfTest(noSync); err != nil {
		t.Fatal(err)
	}
	at := targetAddr() + targetOff
	if err := x.Poke(at, 1, targetValue, 0x77); err != nil {
		t.Fatal(err)
	}
	if got := target(); got != 0x77 {
		t.Errorf("poked 0x77, executed %#x", got)
	}
	var mismatch *MismatchError
	err := x.Poke(at, 2, targetValue, 0x99)
	if !errors.As(err, &mismatch) || mismatch.Found != 0x77 || mismatch.Expected != targetValue || mismatch.Addr != at {
		t.Errorf("poke over other bytes: %v", err)
	}
	if !strings.Contains(err.Error(), "expected 11 00, found 77 00") {
		t.Errorf("message %q", err)
	}
	if got := target(); got != 0x77 {
		t.Errorf("a refused poke wrote: %#x", got)
	}
	if err := x.Poke(at, 4, 0x77, 0x01020304); err != nil || target() != 0x01020304 {
		t.Errorf("poke of 4 bytes: %v, executed %#x", err, target())
	}
	if err := x.Poke(at, 4, 0x01020304, targetValue); err != nil {
		t.Error(err)
	}
}

func TestOutside(t *testing.T) {
	x := open(t, Procmem)
	for _, addr := range []uintptr{x.lo - 1, x.hi - 3, x.hi, 0} {
		if err := x.Poke(addr, 4, 0, 0); !errors.Is(err, ErrBackend) {
			t.Errorf("Poke(%#x): %v", addr, err)
		}
		if addr == x.hi-3 {
			continue
		}
		if err := x.Prepare([]uintptr{addr}); !errors.Is(err, ErrBackend) {
			t.Errorf("Prepare(%#x): %v", addr, err)
		}
	}
	if _, err := Open("magic", 0, 1, nil); !errors.Is(err, ErrBackend) {
		t.Errorf("Open of an unknown backend: %v", err)
	}
}

// liar says that it wrote.
type liar struct{ procmem }

func (*liar) write(uintptr, int, uint64) error { return nil }

// TestVerify: a write that did not arrive is an error.
func TestVerify(t *testing.T) {
	x := open(t, Procmem)
	x.b = &liar{}
	at := x.lo + pageSize
	old := Load(at, 1)
	var we *WriteError
	if err := x.Poke(at, 1, old, old^1); !errors.As(err, &we) || !strings.Contains(err.Error(), "stands there instead") {
		t.Errorf("error %v", err)
	}
}

// TestUnprepared: alias refuses a page that it did not move.
func TestUnprepared(t *testing.T) {
	aliasOnly(t)
	x := open(t, Alias)
	at := x.lo + pageSize // not the target's page
	old := Load(at, 1)
	var we *WriteError
	if err := x.Poke(at, 1, old, old^1); !errors.As(err, &we) || !strings.Contains(err.Error(), "not prepared") {
		t.Errorf("error %v", err)
	}
}

// TestClosed: the program closes all file descriptors, and a file of its own
// gets the number of ours. It must not be written to.
func TestClosed(t *testing.T) {
	x := open(t, Procmem)
	p := x.b.(*procmem)
	if err := unix.Close(p.fd); err != nil {
		t.Fatal(err)
	}
	victim, err := os.Create(filepath.Join(t.TempDir(), "victim"))
	if err != nil {
		t.Fatal(err)
	}
	if int(victim.Fd()) != p.fd { // mostly it is: the lowest free number
		if err := unix.Dup3(int(victim.Fd()), p.fd, 0); err != nil {
			t.Fatal(err)
		}
	}
	was := p.fd
	at := x.lo + pageSize + 8
	old := Load(at, 1)
	if err := errors.Join(x.Begin(), x.Poke(at, 1, old, old^1), x.Poke(at, 1, old^1, old)); err != nil {
		t.Error(err)
	}
	if st, err := victim.Stat(); err != nil || st.Size() != 0 {
		t.Errorf("the victim has %d bytes, %v", st.Size(), err)
	}
	if p.fd == was {
		t.Error("the same descriptor is in use")
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	if _, err := victim.Write([]byte("x")); err != nil {
		t.Errorf("the victim was closed: %v", err)
	}
}

// changedSource says that the file holds other bytes at one address.
type changedSource struct {
	at   uintptr
	ours bool
}

func (c changedSource) Original(addr, n uintptr) []byte {
	b := slices.Clone(textBytes(addr, n))
	b[c.at-addr] ^= 0xFF
	return b
}

func (c changedSource) Ours(addr uintptr, b byte) bool {
	return c.ours && addr == c.at && b == loadByte(addr)
}

// TestForeignPage: a page in which somebody else has changed a byte stays where
// it is; our own changes do not matter.
func TestForeignPage(t *testing.T) {
	aliasOnly(t)
	at := targetAddr()&^(pageSize-1) + pageSize
	x, err := Open(Alias, at, at+pageSize, changedSource{at: at + 100})
	if err != nil {
		t.Fatal(err)
	}
	err = x.Prepare([]uintptr{at + 10})
	if !errors.Is(err, ErrForeign) || x.Holds(at) {
		t.Errorf("prepare: %v, moved %v", err, x.Holds(at))
	}
	x.b.(*alias).src = changedSource{at: at + 100, ours: true}
	if err := x.Prepare([]uintptr{at + 10}); err != nil || !x.Holds(at) {
		t.Errorf("prepare: %v, moved %v", err, x.Holds(at))
	}
}

// TestAliasClosed: the memfd's number has become another file. It must not be
// mapped over text.
func TestAliasClosed(t *testing.T) {
	aliasOnly(t)
	x := open(t, Alias)
	a := x.b.(*alias)
	victim, err := os.Create(filepath.Join(t.TempDir(), "victim"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup3(int(victim.Fd()), a.fd, 0); err != nil {
		t.Fatal(err)
	}
	if err := x.Prepare([]uintptr{x.lo + pageSize}); err == nil || !strings.Contains(err.Error(), "another file") {
		t.Errorf("prepare: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	if _, err := unix.FcntlInt(uintptr(a.fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("the other file was closed: %v", err)
	}
}

func TestRuns(t *testing.T) {
	a := &alias{Window: Window{base: 0x400000, moved: make([]bool, 100)}}
	page := func(n, off int) uintptr { return a.base + uintptr(n)*pageSize + uintptr(off) }
	end := int(pageSize)
	for _, c := range []struct {
		addrs []uintptr
		want  [][2]int
	}{
		{nil, nil},
		{[]uintptr{page(3, 0)}, [][2]int{{3, 4}}},
		{[]uintptr{page(3, 0), page(3, 100)}, [][2]int{{3, 4}}},
		{[]uintptr{page(3, end-4)}, [][2]int{{3, 5}}}, // crosses into the next page
		{[]uintptr{page(3, 0), page(6, 0)}, [][2]int{{3, 7}}},
		{[]uintptr{page(3, 0), page(4+gapPagesMax, 0)}, [][2]int{{3, 5 + gapPagesMax}}},
		{[]uintptr{page(3, 0), page(5+gapPagesMax, 0)}, [][2]int{{3, 4}, {5 + gapPagesMax, 6 + gapPagesMax}}},
		{[]uintptr{page(99, end-1)}, [][2]int{{99, 100}}}, // not beyond the text
	} {
		if got := a.runs(c.addrs, gapPagesMax); !slices.Equal(got, c.want) {
			t.Errorf("runs(%#x) = %v, expected %v", c.addrs, got, c.want)
		}
	}
}

func TestHexLoad(t *testing.T) {
	if got := Hex(0x0201, 3); got != "01 02 00" {
		t.Errorf("Hex = %q", got)
	}
	if got := Load(targetAddr(), 5); got != targetOp|targetValue<<8 {
		t.Errorf("Load = %#x", got)
	}
}

// TestLoadAcrossPages reads at every offset around the end of a page, behind
// which nothing is mapped.
func TestLoadAcrossPages(t *testing.T) {
	b, err := unix.Mmap(-1, 0, int(2*pageSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	if err := unix.Mprotect(b[pageSize:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	base := uintptr(unsafe.Pointer(&b[0]))
	for off := int(pageSize) - 3*WordMax; off < int(pageSize); off++ {
		for n := 1; n <= WordMax && off+n <= int(pageSize); n++ {
			var want uint64
			for i := range n {
				want |= uint64(b[off+i]) << (8 * i)
			}
			if got := Load(base+uintptr(off), n); got != want {
				t.Fatalf("Load(+%d, %d) = %#x, expected %#x", off, n, got, want)
			}
		}
	}
	if err := unix.Munmap(b); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkPoke(b *testing.B) {
	names := []string{Procmem}
	if os.Getenv("TEXT_BENCH_ALIAS") != "" {
		names = []string{Alias} // a process of its own: the page stays in the memfd
	}
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			at := targetAddr() &^ (pageSize - 1)
			x, err := Open(name, at, at+2*pageSize, noSource{})
			if err != nil {
				b.Fatal(err)
			}
			if err := x.Prepare([]uintptr{targetAddr()}); err != nil {
				b.Fatal(err)
			}
			v := uint64(targetValue)
			for b.Loop() {
				if err := x.Poke(targetAddr()+targetOff, 1, v, v^1); err != nil {
					b.Fatal(err)
				}
				v ^= 1
			}
			_ = x.Poke(targetAddr()+targetOff, 1, v, targetValue)
		})
	}
}
