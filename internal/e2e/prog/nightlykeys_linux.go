package main

import (
	"errors"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/quietpatch/quietpatch/statickey"
)

// boolKeys are the keys that batches and selectors change together.
var boolKeys = func() []*nightKey {
	hammer := []nightFunc{}
	for _, c := range checkFuncs {
		hammer = append(hammer, nightFunc{name: c.name, f: c.f, checks: c.checks})
	}
	deep := func(*scratch) int { return deepC(199) }
	return []*nightKey{
		boolKey("prog.hammer", &hammerKey, hammer, nil),
		boolKey("night.a", &night.a, twoFuncs("branchesA", branchesA, "pairA", pairA), []nightFunc{{name: "panicsA", f: panicsA, checks: 2}}),
		boolKey("night.b", &night.b, twoFuncs("branchesB", branchesB, "pairB", pairB), []nightFunc{{name: "faultsB", f: faultsB, checks: 2}}),
		boolKey("night.c", &night.c, twoFuncs("branchesC", branchesC, "pairC", pairC), []nightFunc{{name: "deepC", f: deep, checks: 200}}),
		boolKey("night.d", &night.d, twoFuncs("branchesD", branchesD, "pairD", pairD), []nightFunc{{name: "tracedD", f: tracedD, checks: 2}}),
		boolKey("night.e", &night.e, append(twoFuncs("branchesE", branchesE, "pairE", pairE), nightFunc{name: "rowE", f: rowE, checks: 32}), nil),
	}
}()

func twoFuncs(branches string, f func(*scratch) int, pair string, g func(*scratch) int) []nightFunc {
	return []nightFunc{{name: branches, f: f, checks: 4}, {name: pair, f: g, checks: 2}}
}

// boolKey describes a Bool.
func boolKey(name string, key *statickey.Bool, fast, slow []nightFunc) *nightKey {
	k := &nightKey{name: name, kind: kindBool, values: []int64{0, 1}, fast: fast, slow: slow}
	k.set = func(v int64) error { return key.Set(v != 0) }
	k.setNoWait = func(v int64) error { return key.SetNoWait(v != 0) }
	k.queue = func(b *statickey.Batch, v int64) { b.Set(key, v != 0) }
	k.memory = func() int64 { return int64(count(memory(key))) }
	k.text = func(v int64) string { return []string{"off", "on"}[v] }
	k.sites = key.Sites
	k.register = func(name, desc string) error { return statickey.Register(key, name, desc) }
	return k.prepare()
}

// registerNightKeys names the keys that have no name yet.
func registerNightKeys() error {
	var errs []error
	for _, k := range nightKeys {
		if strings.HasPrefix(k.name, "night.") {
			errs = append(errs, k.register(k.name, "changed by the nightly"))
		}
	}
	return errors.Join(errs...)
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
