package main

import "github.com/quietpatch/quietpatch/statickey"

// hammerKey is read by every function of this file, in all the ways in which
// the compiler is known to read a bool. siteCount and the golden list in the
// tests follow from them.
var hammerKey statickey.Bool

var _ = statickey.Register(&hammerKey, "prog.hammer", "flipped while every thread runs into it")

// otherKey shows that sites of different keys do not mix. It stays off.
var otherKey statickey.Bool

var _ = statickey.Register(&otherKey, "prog.other", "stays off")

// checkFuncs are the functions to call in turn; each returns how many of its
// checks saw the key on.
var checkFuncs = []struct {
	name   string
	f      func(*scratch) int
	checks int
}{
	{"ifOn", ifOn, 1},
	{"ifOff", ifOff, 1},
	{"value", value, 1},
	{"negated", negated, 1},
	{"both", both, 1},
	{"choose", choose, 1},
	{"inLoop", inLoop, 8},
	{"many", many, 10},
	{"values", values, 10},
	{"inlinedTwice", inlinedTwice, 2},
	{"closure", closure, 1},
	{"generic", generic, 1},
	{"deferred", deferred, 1},
	{"method", method, 1},
	{"floats", floats, 1},
}

// scratch keeps the compiler from merging two reads of the key: a store
// between them might have changed it.
type scratch struct {
	n    [16]int
	f    [4]float64
	flag [16]bool
	v    [16]int // what was read of a number
	w    [16]int32
}

//go:noinline
func ifOn(s *scratch) int {
	if hammerKey.Enabled() {
		s.n[0]++
		return 1
	}
	return 0
}

//go:noinline
func ifOff(s *scratch) int {
	if !hammerKey.Enabled() {
		s.n[0]++
		return 0
	}
	return 1
}

//go:noinline
func enabled(*scratch) bool { return hammerKey.Enabled() }

//go:noinline
func value(s *scratch) int { return count(enabled(s)) }

//go:noinline
func disabled(*scratch) bool { return !hammerKey.Enabled() }

//go:noinline
func negated(s *scratch) int { return 1 - count(disabled(s)) }

//go:noinline
func and(a, b bool) bool { return a && hammerKey.Enabled() && !b && !otherKey.Enabled() }

//go:noinline
func both(*scratch) int { return count(and(true, false)) }

//go:noinline
func pick(a, b int) int {
	x := a
	if hammerKey.Enabled() {
		x = b
	}
	return x
}

//go:noinline
func choose(*scratch) int { return pick(0, 1) }

//go:noinline
func inLoop(s *scratch) int {
	on := 0
	for i := range 8 {
		if hammerKey.Enabled() {
			on++
		}
		s.n[i]++
	}
	return on
}

//go:noinline
func many(s *scratch) int {
	on := 0
	if hammerKey.Enabled() {
		on++
	}
	s.n[0]++
	if hammerKey.Enabled() {
		on++
	}
	s.n[1]++
	if !hammerKey.Enabled() {
		on--
	}
	on++
	s.n[2]++
	if hammerKey.Enabled() {
		on++
	}
	s.n[3]++
	if hammerKey.Enabled() {
		on++
	}
	s.n[4]++
	if hammerKey.Enabled() {
		on++
	}
	s.n[5]++
	if !hammerKey.Enabled() {
		on--
	}
	on++
	s.n[6]++
	if hammerKey.Enabled() {
		on++
	}
	s.n[7]++
	if hammerKey.Enabled() {
		on++
	}
	s.n[8]++
	if hammerKey.Enabled() {
		on++
	}
	return on
}

// tenValues loads the key into as many registers as there are results.
//
//go:noinline
func tenValues(s *scratch) (a, b, c, d, e, f, g, h, i, j bool) {
	a = hammerKey.Enabled()
	s.n[0]++
	b = hammerKey.Enabled()
	s.n[1]++
	c = hammerKey.Enabled()
	s.n[2]++
	d = hammerKey.Enabled()
	s.n[3]++
	e = hammerKey.Enabled()
	s.n[4]++
	f = hammerKey.Enabled()
	s.n[5]++
	g = hammerKey.Enabled()
	s.n[6]++
	h = hammerKey.Enabled()
	s.n[7]++
	i = hammerKey.Enabled()
	s.n[8]++
	j = hammerKey.Enabled()
	s.n[9]++
	return
}

//go:noinline
func values(s *scratch) int {
	a, b, c, d, e, f, g, h, i, j := tenValues(s)
	return count(a) + count(b) + count(c) + count(d) + count(e) + count(f) + count(g) + count(h) + count(i) + count(j)
}

func small(s *scratch) int {
	if hammerKey.Enabled() {
		s.flag[0] = true
		return 1
	}
	return 0
}

//go:noinline
func inlinedTwice(s *scratch) int {
	n := small(s)
	s.n[0]++
	return n + small(s)
}

//go:noinline
func closure(s *scratch) int {
	f := func() int {
		if hammerKey.Enabled() {
			return 1 + s.n[15]
		}
		return 0
	}
	return call(f)
}

//go:noinline
func call(f func() int) int { return f() }

//go:noinline
func typed[T int | int64](x T) T {
	if hammerKey.Enabled() {
		x++
	}
	return x
}

//go:noinline
func generic(*scratch) int { return int(typed[int64](0)) }

//go:noinline
func deferred(*scratch) (n int) {
	defer func() {
		if hammerKey.Enabled() {
			n++
		}
	}()
	return 0
}

type counter struct{ n int }

//go:noinline
func (c *counter) add() {
	if hammerKey.Enabled() {
		c.n++
	}
}

//go:noinline
func method(*scratch) int {
	var c counter
	c.add()
	return c.n
}

// floats keeps vector registers busy around the check.
//
//go:noinline
func floats(s *scratch) int {
	x := s.f[0]*s.f[1] + s.f[2]
	n := 0
	if hammerKey.Enabled() {
		x, n = x*2, 1
	}
	s.f[3] = x
	return n
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// roundChecks is how many checks one round over checkFuncs makes.
var roundChecks = func() (n int) {
	for _, c := range checkFuncs {
		n += c.checks
	}
	return n
}()
