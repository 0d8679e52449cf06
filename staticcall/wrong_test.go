package staticcall

import (
	"strings"
	"testing"
)

// Functions that compile to the shape of a forwarder and are none: what they are given on
// the stack by their callers is less than what the callee expects.

var dropped = New(func(x int) [3]int { return [3]int{x, x, x} })

//go:noinline
func Dropped(x int) { dropped.Func()(x) }

//go:noinline
func droppedCaller(x int) [4]int {
	a, b, c, d := x*3, x*5, x*7, x*11
	Dropped(x)
	keep(&a)
	return [4]int{a, b, c, d}
}

//go:noinline
func keep(*int) {}

type padded struct {
	b int64
	a int8
}

var unpacked = New(func(p padded, y int8, z int64) int64 { return 0 })

// Unpacked passes an argument as a struct: it has more room on the stack than its parts.
//
//go:noinline
func Unpacked(b int64, a, y int8, z int64) int64 { return unpacked.Func()(padded{b, a}, y, z) }

//go:noinline
func unpackedCaller(x int64) int64 {
	v, w, q := threeInts(x)
	r := Unpacked(1, 2, 3, 4)
	return r*1000 + v + w + q
}

//go:noinline
func threeInts(x int64) (int64, int64, int64) { return x, x * 10, x * 66 }

func wantsStack(p padded, y int8, z int64) int64 {
	var big [64 << 10]byte
	big[z] = 1
	keepBytes(&big)
	return p.b + int64(p.a) + int64(y) + z
}

//go:noinline
func keepBytes(*[64 << 10]byte) {}

// TestLessStack: no call may make the callee write into its caller's variables.
func TestLessStack(t *testing.T) {
	if err := dropped.Update(func(int) [3]int { return [3]int{-1, -1, -1} }); err != nil {
		t.Fatal(err)
	}
	if got := droppedCaller(1); got != [4]int{3, 5, 7, 11} {
		t.Errorf("variables of the caller were overwritten: %v", got)
	}
	if err := unpacked.Update(wantsStack); err != nil {
		t.Fatal(err)
	}
	got := make(chan int64)
	go func() { got <- unpackedCaller(5) }() // on a new stack, which has to grow
	if n := <-got; n != 10_385 {
		t.Errorf("variables of the caller were overwritten: %d, expected 10385", n)
	}
	for _, sites := range []func() ([]Site, error){dropped.Sites, unpacked.Sites} {
		ss, err := sites()
		if err != nil {
			continue
		}
		for _, s := range ss {
			if s.State != "memory" || !strings.Contains(s.Why, "not a forwarder") {
				t.Errorf("%+v", s)
			}
		}
	}
}

// Others that are none, for what they do.

var wrong = New(func(a, b int) (int, int) { return a, b })

//go:noinline
func Swapped(a, b int) (int, int) { return wrong.Func()(b, a) }

//go:noinline
func SwappedResults(a, b int) (int, int) { x, y := wrong.Func()(a, b); return y, x }

//go:noinline
func OneTwice(a, _ int) (int, int) { return wrong.Func()(a, a) }

//go:noinline
func Constant(a, _ int) (int, int) { return wrong.Func()(a, 1) }

//go:noinline
func Twice(a, b int) (int, int) { wrong.Func()(a, b); return wrong.Func()(a, b) }

//go:noinline
func Sometimes(a, b int) (int, int) {
	if a > b {
		return wrong.Func()(a, b)
	}
	return 0, 0
}

//go:noinline
func Deferred(a, b int) (x, y int) {
	defer func() { x, y = wrong.Func()(a, b) }()
	return 0, 0
}

var counted int

//go:noinline
func Counted(a, b int) (int, int) { counted++; return wrong.Func()(a, b) }

//go:noinline
func Shifted(_, a, b int) (int, int) { return wrong.Func()(a, b) }

func Inlined(a, b int) (int, int) { return wrong.Func()(a, b) }

//go:noinline
func FirstOnly(a, b int) int { x, _ := wrong.Func()(a, b); return x } // this one is a forwarder

//go:noinline
func SecondOnly(a, b int) int { _, y := wrong.Func()(a, b); return y }

//go:noinline
func wrongCaller() (all []int) {
	add := func(x, y int) { all = append(all, x, y) }
	add(Swapped(1, 2))
	add(SwappedResults(1, 2))
	add(OneTwice(1, 2))
	add(Constant(3, 2))
	add(Twice(1, 2))
	add(Sometimes(2, 1))
	add(Sometimes(1, 2))
	add(Deferred(1, 2))
	add(Counted(1, 2))
	add(Shifted(0, 1, 2))
	add(Inlined(1, 2))
	add(FirstOnly(1, 2), SecondOnly(1, 2))
	return all
}

// TestOtherFunctions: functions that use the variable in other ways go on doing what they
// do, and are listed with the reason.
func TestOtherFunctions(t *testing.T) {
	k := 10
	for _, c := range []struct {
		f    func(a, b int) (int, int)
		want []int
	}{
		{func(a, b int) (int, int) { return a, b }, []int{2, 1, 2, 1, 1, 1, 3, 1, 1, 2, 2, 1, 0, 0, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2}},
		{func(a, b int) (int, int) { return k * a, k * b }, []int{20, 10, 20, 10, 10, 10, 30, 10, 10, 20, 20, 10, 0, 0, 10, 20, 10, 20, 10, 20, 10, 20, 10, 20}},
	} {
		if err := wrong.Update(c.f); err != nil {
			t.Fatal(err)
		}
		got := wrongCaller()
		for i := range c.want {
			if got[i] != c.want[i] {
				t.Fatalf("%v, expected %v", got, c.want)
			}
		}
	}
	sites, err := wrong.Sites()
	if err != nil {
		return
	}
	refused := map[string]bool{}
	for _, s := range sites {
		name := s.Func[strings.LastIndexByte(s.Func, '.')+1:]
		if s.State == "armed" {
			if name != "wrongCaller" || s.Form != "call" {
				t.Errorf("armed: %+v", s)
			}
			continue
		}
		refused[name] = true
		if !strings.Contains(s.Why, "not a forwarder") {
			t.Errorf("%+v", s)
		}
	}
	for _, name := range []string{"Swapped", "SwappedResults", "OneTwice", "Constant", "Twice", "Sometimes", "Counted", "Shifted", "SecondOnly"} {
		if !refused[name] {
			t.Errorf("%s is not listed: %v", name, refused)
		}
	}
}
