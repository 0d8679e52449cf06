package arena

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"
)

// fake is a backing of ordinary memory.
type fake struct {
	base   uintptr
	mem    []byte
	deaf   bool  // writes do not arrive
	refuse error // of commit
}

func newFake(t testing.TB, size uintptr) (*Arena, *fake) {
	t.Helper()
	f := &fake{mem: make([]byte, size+chunkBytes)}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(f.mem)))
	f.base = roundUp(start, chunkBytes)
	f.mem = f.mem[f.base-start:][:size]
	return newArena(f.base, size, f), f
}

func (f *fake) name() string { return "fake" }
func (f *fake) close() error { return nil }

func (f *fake) commit(addr, n uintptr) error {
	if f.refuse != nil {
		return f.refuse
	}
	if n == 0 {
		return errors.New("nothing to commit")
	}
	b := f.view(addr, n)
	for i := range b {
		if b[i] != 0 {
			return fmt.Errorf("%#x committed twice", addr)
		}
		b[i] = int3
	}
	return nil
}

func (f *fake) write(addr uintptr, code []byte) error {
	if !f.deaf {
		copy(f.mem[addr-f.base:], code)
	}
	return nil
}

func (f *fake) view(addr, n uintptr) []byte { return f.mem[addr-f.base:][:n] }

// model knows what should stand in the arena.
type model struct {
	a      *Arena
	blocks map[uintptr][]byte
	order  []uintptr
	next   byte
}

func newModel(a *Arena) *model { return &model{a: a, blocks: map[uintptr][]byte{}} }

// alloc allocates a block of n bytes and fills it with bytes of its own.
func (m *model) alloc(t testing.TB, n int) {
	addr, err := m.a.Alloc(n)
	if errors.Is(err, ErrFull) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if addr%align != 0 || !m.a.Contains(addr) || !m.a.Contains(addr+uintptr(n)-1) {
		t.Fatalf("block of %d at %#x, arena at %#x", n, addr, m.a.base)
	}
	m.next = (m.next + 1) % 200 // never INT3, 204
	code := bytes.Repeat([]byte{m.next}, n)
	if err := m.a.Write(addr, code); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.blocks[addr]; ok {
		t.Fatalf("%#x handed out twice", addr)
	}
	m.blocks[addr] = code
	m.order = append(m.order, addr)
}

// free frees the i-th block, which nobody else may have written to.
func (m *model) free(t testing.TB, i int) {
	addr := m.order[i]
	code := m.blocks[addr]
	if found := m.a.mem.view(addr, uintptr(len(code))); !bytes.Equal(found, code) {
		t.Fatalf("block of %d at %#x: wrote %#x, found % x", len(code), addr, code[0], found)
	}
	if err := m.a.Free(addr); err != nil {
		t.Fatal(err)
	}
	delete(m.blocks, addr)
	m.order[i] = m.order[len(m.order)-1]
	m.order = m.order[:len(m.order)-1]
}

// check compares the numbers, and everything that is not in use with INT3.
func (m *model) check(t testing.TB) {
	s := m.a.Stats()
	var inUse uintptr
	used := make([]bool, s.CommittedBytes)
	for addr, code := range m.blocks {
		n := roundUp(uintptr(len(code)), align)
		inUse += n
		for i := range code {
			used[addr-m.a.base+uintptr(i)] = true
		}
	}
	if s.Blocks != len(m.blocks) || s.InUseBytes != inUse || s.CommittedBytes > s.ReservedBytes {
		t.Fatalf("stats %+v, expected %d blocks of %d bytes", s, len(m.blocks), inUse)
	}
	for i, b := range m.a.mem.view(m.a.base, s.CommittedBytes) {
		if !used[i] && b != int3 {
			t.Fatalf("%#x at %#x, which is not in use", b, m.a.base+uintptr(i))
		}
	}
	for i, f := range m.a.free.list {
		if f.size == 0 || i > 0 && m.a.free.list[i-1].end() >= f.addr {
			t.Fatalf("free spans %#x", m.a.free.list)
		}
	}
	if f := m.a.free.total() + inUse; f != s.CommittedBytes {
		t.Fatalf("%d bytes free and in use, %d committed", f, s.CommittedBytes)
	}
}

func (s *spans) total() (n uintptr) {
	for _, f := range s.list {
		n += f.size
	}
	return n
}

// random allocates and frees n times.
func random(t testing.TB, a *Arena, n int) {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	m := newModel(a)
	for range n {
		if len(m.order) == 0 || rng.IntN(100) < 52 {
			m.alloc(t, 1+rng.IntN(1<<rng.IntN(11)))
		} else {
			m.free(t, rng.IntN(len(m.order)))
		}
	}
	m.check(t)
	for len(m.order) > 0 {
		m.free(t, rng.IntN(len(m.order)))
	}
	m.check(t)
	if len(a.free.list) != 1 {
		t.Errorf("all is free, in %d pieces", len(a.free.list))
	}
}

func TestRandom(t *testing.T) {
	a, _ := newFake(t, 5*chunkBytes)
	random(t, a, 20_000)
}

func FuzzAlloc(f *testing.F) {
	f.Add([]byte{1, 20, 0, 0, 200, 2, 3, 0, 1})
	f.Add(bytes.Repeat([]byte{255, 3, 0}, 100))
	f.Fuzz(func(t *testing.T, ops []byte) {
		a, _ := newFake(t, 2*chunkBytes)
		m := newModel(a)
		for i := 0; i+1 < len(ops); i += 2 {
			switch {
			case ops[i]%3 != 0:
				m.alloc(t, 1+int(ops[i+1])<<(ops[i]>>5))
			case len(m.order) > 0:
				m.free(t, int(ops[i+1])%len(m.order))
			}
		}
		m.check(t)
	})
}

// TestReuse: what was freed is given out again, the best fit first.
func TestReuse(t *testing.T) {
	a, _ := newFake(t, chunkBytes)
	var at []uintptr
	for _, n := range []int{64, 16, 32, 16, 100} {
		addr, err := a.Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, addr)
	}
	for _, i := range []int{0, 2} {
		if err := a.Free(at[i]); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := a.Alloc(20); err != nil || got != at[2] {
		t.Errorf("block of 20 bytes at %#x, %v; expected the free 32 at %#x", got, err, at[2])
	}
	if got, err := a.Alloc(60); err != nil || got != at[0] {
		t.Errorf("block of 60 bytes at %#x, %v; expected the free 64 at %#x", got, err, at[0])
	}
}

// TestFull: an arena that is full says so, takes no harm, and goes on when a
// block is free.
func TestFull(t *testing.T) {
	a, _ := newFake(t, 3*chunkBytes)
	var at []uintptr
	for {
		addr, err := a.Alloc(5000)
		if err != nil {
			if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "in 39 blocks") {
				t.Error(err)
			}
			break
		}
		at = append(at, addr)
	}
	if s := a.Stats(); len(at) != 3*chunkBytes/5008 || s.CommittedBytes != s.ReservedBytes || s.Blocks != len(at) {
		t.Errorf("%d blocks, stats %+v", len(at), s)
	}
	for _, n := range []int{3*chunkBytes + 1, 1 << 30} {
		if _, err := a.Alloc(n); !errors.Is(err, ErrFull) {
			t.Errorf("Alloc(%d): %v", n, err)
		}
	}
	if err := a.Free(at[7]); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Alloc(5000); err != nil || got != at[7] {
		t.Errorf("after Free: %#x, %v", got, err)
	}
}

// TestRefusals: what is wrong is an error, and changes nothing.
func TestRefusals(t *testing.T) {
	a, f := newFake(t, 2*chunkBytes)
	addr, err := a.Alloc(40)
	if err != nil {
		t.Fatal(err)
	}
	other, err := a.Alloc(16)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Write(addr, []byte{1, 2, 3}), a.Free(other)); err != nil {
		t.Fatal(err)
	}
	before, image := a.Stats(), bytes.Clone(f.mem)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"free twice":     {a.Free(other), "freed twice?"},
		"free inside":    {a.Free(addr + 16), "not the start"},
		"free of 0":      {a.Free(0), "not the start"},
		"write twice":    {a.Write(addr, []byte{9}), "expected 0xcc"},
		"write freed":    {a.Write(other, []byte{9}), "not the start"},
		"write too much": {a.Write(addr, make([]byte, 49)), "49 bytes of code for the block of 48"},
		"write inside":   {a.Write(addr+16, []byte{9}), "not the start"},
		"alloc 0":        {second(a.Alloc(0)), "at least 1 byte"},
		"alloc -1":       {second(a.Alloc(-1)), "at least 1 byte"},
		"close":          {a.Close(), "1 blocks in use"},
	} {
		if !errors.Is(c.err, ErrBlock) || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if after := a.Stats(); after != before || !bytes.Equal(f.mem, image) {
		t.Errorf("refused calls changed %+v to %+v", before, after)
	}
	f.deaf = true
	if err := a.Free(addr); !errors.Is(err, ErrBlock) || a.Stats() != before {
		t.Errorf("free that did not arrive: %v, %+v", err, a.Stats())
	}
	f.deaf, f.refuse = false, errors.New("no memory")
	if _, err := a.Alloc(chunkBytes); !errors.Is(err, f.refuse) || a.Stats() != before {
		t.Errorf("commit refused: %v, %+v", err, a.Stats())
	}
	if err := errors.Join(a.Free(addr), a.Close(), a.Close()); err != nil {
		t.Error(err)
	}
	if _, err := a.Alloc(1); err == nil || a.Contains(addr) || a.Write(addr, nil) == nil || a.Free(addr) == nil || a.Stats() != (Stats{}) {
		t.Error("a closed arena works")
	}
}

func second(_ uintptr, err error) error { return err }

// TestTail: what is free at the end of the committed part counts for a block
// that does not fit there: the last of the reserved bytes can be used.
func TestTail(t *testing.T) {
	a, _ := newFake(t, 2*chunkBytes)
	first, err := a.Alloc(16)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := a.Alloc(2*chunkBytes - 16)
	if err != nil || rest != first+16 {
		t.Errorf("all the rest: %#x, %v", rest, err)
	}
}

// TestGrowth: an arena of the greatest size is made of few pieces.
func TestGrowth(t *testing.T) {
	a, _ := newFake(t, 64<<20)
	commits := 0
	for a.committed < a.size {
		if err := a.grow(a.free.endingAt(a.base+a.committed) + align); err != nil {
			t.Fatal(err)
		}
		commits++
	}
	if commits > 60 {
		t.Errorf("%d commits for %d bytes", commits, a.size)
	}
}
