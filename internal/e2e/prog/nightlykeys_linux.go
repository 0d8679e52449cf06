package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/quietpatch/quietpatch/statickey"
)

// A nightKey is a key, the functions that check it, and what they must see.
type nightKey struct {
	name string
	key  *statickey.Bool
	fast []nightFunc
	slow []nightFunc // panics, tracebacks, deep stacks

	mu sync.Mutex // held by the one operation that may change the key
	// word says what the checks must see: a count of changes, valueBit, and
	// busyBit while a change is under way. A round of checks between two reads
	// of the same word that is not busy must see its value and no other.
	word atomic.Uint64
	seen atomic.Uint64 // the last word that a checker's thread verified
}

const (
	busyBit  = 1
	valueBit = 2
	wordStep = 4
)

// nightFunc makes checks and returns how many of them saw the key on.
type nightFunc struct {
	name   string
	f      func(*scratch) int
	checks int
}

// night holds the keys of the nightly. They are named when it runs, and fields:
// neither the other programs nor the tests that list the keys of a file know
// them.
var night struct{ a, b, c, d, e statickey.Bool }

var nightKeys = func() []*nightKey {
	hammer := &nightKey{name: "prog.hammer", key: &hammerKey}
	for _, c := range checkFuncs {
		hammer.fast = append(hammer.fast, nightFunc(c))
	}
	return []*nightKey{
		hammer,
		{
			name: "night.a", key: &night.a,
			fast: []nightFunc{{"branchesA", branchesA, 4}, {"pairA", pairA, 2}},
			slow: []nightFunc{{"panicsA", panicsA, 2}},
		},
		{
			name: "night.b", key: &night.b,
			fast: []nightFunc{{"branchesB", branchesB, 4}, {"pairB", pairB, 2}},
			slow: []nightFunc{{"faultsB", faultsB, 2}},
		},
		{
			name: "night.c", key: &night.c,
			fast: []nightFunc{{"branchesC", branchesC, 4}, {"pairC", pairC, 2}},
			slow: []nightFunc{{"deepC", func(*scratch) int { return deepC(199) }, 200}},
		},
		{
			name: "night.d", key: &night.d,
			fast: []nightFunc{{"branchesD", branchesD, 4}, {"pairD", pairD, 2}},
			slow: []nightFunc{{"tracedD", tracedD, 2}},
		},
		{
			name: "night.e", key: &night.e,
			fast: []nightFunc{{"branchesE", branchesE, 4}, {"pairE", pairE, 2}, {"rowE", rowE, 32}},
		},
	}
}()

func registerNightKeys() error {
	for _, k := range nightKeys[1:] {
		if err := statickey.Register(k.key, k.name, "flipped by the nightly"); err != nil {
			return err
		}
	}
	return nil
}

// memory reads the key through a pointer: never a site.
//
//go:noinline
func memory(k *statickey.Bool) bool { return k.Enabled() }

//go:noinline
func branchesA(s *scratch) (on int) {
	if night.a.Enabled() {
		on++
	}
	s.n[0]++
	if !night.a.Enabled() {
		on--
	}
	s.n[1]++
	if night.a.Enabled() {
		on++
	}
	s.f[0] += 1.5
	if night.a.Enabled() {
		on++
	}
	return on + 1
}

//go:noinline
func twoA(s *scratch) (x, y bool) {
	x = night.a.Enabled()
	s.n[2]++
	return x, night.a.Enabled()
}

//go:noinline
func pairA(s *scratch) int { x, y := twoA(s); return count(x) + count(y) }

//go:noinline
func branchesB(s *scratch) (on int) {
	for i := range 4 {
		if night.b.Enabled() {
			on++
			s.n[i]--
		}
		s.n[i]++
	}
	return on
}

//go:noinline
func twoB(s *scratch) (x, y bool) {
	x = night.b.Enabled()
	s.n[2]++
	return x, night.b.Enabled()
}

//go:noinline
func pairB(s *scratch) int { x, y := twoB(s); return count(x) + count(y) }

//go:noinline
func branchesC(s *scratch) (on int) {
	if night.c.Enabled() && s.n[0] >= 0 {
		on++
	}
	s.n[0] = 0
	if !night.c.Enabled() || s.n[0] != 0 {
		on--
	}
	s.n[1]++
	if night.c.Enabled() {
		on++
	}
	s.f[1] *= 0.5
	if night.c.Enabled() {
		on++
	}
	return on + 1
}

//go:noinline
func twoC(s *scratch) (x, y bool) {
	x = night.c.Enabled()
	s.n[2]++
	return x, night.c.Enabled()
}

//go:noinline
func pairC(s *scratch) int { x, y := twoC(s); return count(x) + count(y) }

//go:noinline
func branchesD(s *scratch) (on int) {
	f := func() {
		if night.d.Enabled() {
			on++
		}
		s.n[3]++
	}
	for range 4 {
		callVoid(f)
	}
	return on
}

//go:noinline
func callVoid(f func()) { f() }

//go:noinline
func twoD(s *scratch) (x, y bool) {
	x = night.d.Enabled()
	s.n[2]++
	return x, night.d.Enabled()
}

//go:noinline
func pairD(s *scratch) int { x, y := twoD(s); return count(x) + count(y) }

//go:noinline
func branchesE(s *scratch) (on int) {
	switch {
	case night.e.Enabled():
		on++
		fallthrough
	default:
		s.n[4]++
	}
	if night.e.Enabled() {
		on++
	}
	s.flag[0] = !s.flag[0]
	if night.e.Enabled() {
		on++
	}
	s.flag[1] = night.e.Enabled()
	return on + count(s.flag[1])
}

//go:noinline
func twoE(s *scratch) (x, y bool) {
	x = night.e.Enabled()
	s.n[2]++
	return x, night.e.Enabled()
}

//go:noinline
func pairE(s *scratch) int { x, y := twoE(s); return count(x) + count(y) }

// rowE packs many loads: some of them cross a cache line, where an instruction
// is fetched in two parts. (The compiler keeps compares and their jumps off
// 32-byte boundaries: cmd/internal/obj/x86, padJumps.)
//
//go:noinline
func rowE(s *scratch) int { return flagsE(s) + flagsE(s) }

//go:noinline
func flagsE(s *scratch) (on int) {
	s.flag[0] = night.e.Enabled()
	s.flag[1] = night.e.Enabled()
	s.flag[2] = night.e.Enabled()
	s.flag[3] = night.e.Enabled()
	s.flag[4] = night.e.Enabled()
	s.flag[5] = night.e.Enabled()
	s.flag[6] = night.e.Enabled()
	s.flag[7] = night.e.Enabled()
	s.flag[8] = night.e.Enabled()
	s.flag[9] = night.e.Enabled()
	s.flag[10] = night.e.Enabled()
	s.flag[11] = night.e.Enabled()
	s.flag[12] = night.e.Enabled()
	s.flag[13] = night.e.Enabled()
	s.flag[14] = night.e.Enabled()
	s.flag[15] = night.e.Enabled()
	for _, f := range s.flag {
		on += count(f)
	}
	return on
}

// panicsA panics behind one check and recovers in front of another.
//
//go:noinline
func panicsA(s *scratch) (on int) {
	defer func() {
		if recover() == nil {
			on = -1000 // the panic got lost
		}
		if night.a.Enabled() {
			on++
		}
	}()
	if night.a.Enabled() {
		on++
	}
	s.n[5]++
	panic("night")
}

// faultsB makes the CPU fault behind a check: the runtime turns SIGSEGV into a
// panic by way of the PC.
//
//go:noinline
func faultsB(s *scratch) (on int) {
	defer func() {
		if _, ok := recover().(runtime.Error); !ok {
			on = -1000
		}
		if night.b.Enabled() {
			on++
		}
	}()
	if night.b.Enabled() {
		on++
	}
	s.n[6] = *nothing
	return -1000
}

var nothing *int

// deepC needs n kilobytes of stack, with a check in every frame on the way down.
//
//go:noinline
func deepC(n int) int {
	var pad [1024]byte
	on := 0
	if night.c.Enabled() {
		on, pad[n%1024] = 1, 1
	}
	if n == 0 {
		return on
	}
	return deepC(n-1) + on + int(pad[(n+1)%1024])
}

// tracedD walks its own stack between two checks.
//
//go:noinline
func tracedD(s *scratch) (on int) {
	if night.d.Enabled() {
		on++
	}
	s.n[7] = len(debug.Stack())
	if night.d.Enabled() {
		on++
	}
	return on
}

// roundAll makes every check of the keys once, and of each key that no change
// overlapped it verifies what they saw.
func (h *nightly) roundAll(s *scratch, ks []*nightKey, slow bool) {
	c := &h.cells[h.inForce.Load()]
	var checks, verified uint64
	for _, k := range ks {
		n, _, ok := h.round(c, s, k, slow)
		checks += uint64(n)
		if ok {
			verified++
		}
	}
	c.checks.Add(checks)
	c.verified.Add(verified)
}

// round makes the checks of one key. ok says that no change overlapped it.
func (h *nightly) round(c *cell, s *scratch, k *nightKey, slow bool) (checks int, word uint64, ok bool) {
	word = k.word.Load()
	fs := k.fast
	if slow {
		fs = append(fs[:len(fs):len(fs)], k.slow...)
	}
	var seen [24]int
	for i := range fs {
		seen[i] = fs[i].f(s)
		checks += fs[i].checks
	}
	ok = word&busyBit == 0 && k.word.Load() == word
	for i, f := range fs {
		want := f.checks * count(word&valueBit != 0)
		if ok && seen[i] != want || seen[i] < 0 || seen[i] > f.checks {
			c.wrong.Add(1)
			h.remember(k, f, seen[i], want, word, ok)
		}
	}
	return checks, word, ok
}

func (h *nightly) remember(k *nightKey, f nightFunc, on, want int, word uint64, quiet bool) {
	msg := fmt.Sprintf("key %s: main.%s saw %d of %d checks on, expected %d (change %d, under way %v), strategy %s on %s",
		k.name, f.name, on, f.checks, want, word/wordStep, !quiet, nightlyCells[h.inForce.Load()], h.o.backend)
	h.first.CompareAndSwap(nil, &msg)
}
