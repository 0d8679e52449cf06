package staticcall

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	quietpatch "github.com/quietpatch/quietpatch"
)

var deep = New(deepLeaf)

//go:noinline
func Deep(n int) int { return deep.Func()(n) }

func deepLeaf(n int) int { return n }

// deepSelf calls itself by way of the static call, and needs stack for it.
func deepSelf(n int) int {
	var pad [512]byte
	pad[n%512] = 1
	if n == 0 {
		return 0
	}
	return int(pad[n%512]) + Deep(n-1)
}

//go:noinline
func deepCaller(n int) int { return Deep(n) }

// TestRecursion: an implementation that calls itself grows the stack, plain and as a closure.
func TestRecursion(t *testing.T) {
	if deepCaller(3) != 3 {
		t.Error("before")
	}
	if err := deep.Update(deepSelf); err != nil {
		t.Fatal(err)
	}
	one := 1
	closure := func(n int) int {
		var pad [700]byte
		pad[n%700] = byte(one)
		if n == 0 {
			return 0
		}
		return int(pad[n%700]) + Deep(n-1)
	}
	for range 2 {
		got := make(chan int)
		go func() { got <- deepCaller(5000) }()
		if n := <-got; n != 5000 {
			t.Errorf("recursion returned %d", n)
		}
		if err := deep.Update(closure); err != nil {
			t.Fatal(err)
		}
	}
	if n := deepCaller(1000); n != 1000 {
		t.Errorf("recursion returned %d", n)
	}
	sites, err := deep.Sites()
	armedSites(t, sites, err, 3) // deepSelf, deepCaller, the closure
}

// Methods.

type table struct{ seed int }

var hash = New((*table).plain)

func (t *table) plain(k string) int  { return t.seed + len(k) }
func (t *table) double(k string) int { return 2 * t.plain(k) }

//go:noinline
func (t *table) Hash(k string) int { return hash.Func()(t, k) }

type byValue struct{ a, b int }

var sumOf = New(byValue.add)

func (v byValue) add() int { return v.a + v.b }
func (v byValue) mul() int { return v.a * v.b }

//go:noinline
func (v byValue) Sum() int { return sumOf.Func()(v) }

type hasher interface{ Hash(string) int }

//go:noinline
func hashCaller(t *table, h hasher) (a, b, c, d int) {
	f := t.Hash // a method value
	return t.Hash("ab"), h.Hash("ab"), f("ab"), (*table).Hash(t, "ab")
}

//go:noinline
func sumCaller(v byValue) int { return v.Sum() }

func TestMethods(t *testing.T) {
	tab := &table{10}
	other := &table{100}
	for _, c := range []struct {
		f    func(*table, string) int
		want int
	}{
		{(*table).plain, 12},
		{(*table).double, 24},
		{func(t *table, k string) int { return other.plain(k) + t.seed }, 112},
		{func(_ *table, k string) int { f := other.double; return f(k) }, 204},
	} {
		if err := hash.Update(c.f); err != nil {
			t.Fatal(err)
		}
		if a, b, x, d := hashCaller(tab, tab); a != c.want || b != c.want || x != c.want || d != c.want {
			t.Errorf("%d %d %d %d, expected %d", a, b, x, d, c.want)
		}
	}
	if err := sumOf.Update(byValue.mul); err != nil {
		t.Fatal(err)
	}
	if got := sumCaller(byValue{3, 4}); got != 12 {
		t.Error(got)
	}
	sites, err := sumOf.Sites()
	if err == nil && (len(sites) == 0 || sites[0].State != "armed") {
		t.Errorf("%+v", sites)
	}
}

var other = New(double)

//go:noinline
func Other(x int) int { return other.Func()(x) }

// TestMethodValue: a method value as the function.
func TestMethodValue(t *testing.T) {
	tab := &table{5}
	k := 1
	for i, f := range []func(int) int{func(x int) int { return tab.plain("ab") + x }, tab.add, byValue{3, 4}.plus, func(x int) int { k++; return x + k }} {
		if err := other.Update(f); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		if got, want := Other(1), []int{8, 6, 8, 3}[i]; got != want {
			t.Errorf("%d: %d, expected %d", i, got, want)
		}
	}
}

func (t *table) add(x int) int   { return t.seed + x }
func (v byValue) plus(x int) int { return v.a + v.b + x }

// Calls that are no direct ones, and those that are made for later.

var later = NewCond[func(ch chan<- int, n int)](nil)

//go:noinline
func Later(ch chan<- int, n int) { later.Func()(ch, n) }

//go:noinline
func laterCaller(ch chan int) (got []int) {
	f := Later
	f(ch, 1)
	if later.Current() != nil {
		got = append(got, <-ch)
		go Later(ch, 2)
		got = append(got, <-ch)
	}
	func() {
		defer Later(ch, 3)
		for i := range 2 {
			defer Later(ch, 4+i)
		}
	}()
	func() { Later(ch, 6) }()
	for len(ch) > 0 {
		got = append(got, <-ch)
	}
	return got
}

func TestLater(t *testing.T) {
	ch := make(chan int, 10)
	if err := later.Update(nil); err != nil {
		t.Fatal(err)
	}
	if got := laterCaller(ch); len(got) != 0 {
		t.Errorf("%v of nil", got)
	}
	k := 10
	for _, c := range []struct {
		f    func(chan<- int, int)
		want string
	}{
		{func(ch chan<- int, n int) { ch <- n }, "[1 2 5 4 3 6]"},
		{func(ch chan<- int, n int) { ch <- n * k }, "[10 20 50 40 30 60]"},
		{nil, "[]"},
	} {
		if err := later.Update(c.f); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(laterCaller(ch)); got != c.want {
			t.Errorf("%s, expected %s", got, c.want)
		}
	}
}

// Panics and stacks.

var faulty = New(func(p *int) int { return *p })

//go:noinline
func Faulty(p *int) int { return faulty.Func()(p) }

//go:noinline
func faultyCaller(p *int) (n int, err any, stack string) {
	defer func() {
		if err = recover(); err != nil {
			stack = string(debug.Stack())
		}
	}()
	return Faulty(p), nil, ""
}

//go:noinline
func faultyImpl(p *int) int { return 2 * *p }

func TestPanic(t *testing.T) {
	n := 4
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		f    func(*int) int
		want string // part of the error
		in   string // function that the traceback names
	}{
		"nil pointer":       {faultyImpl, "nil pointer", "staticcall.faultyImpl("},
		"closure":           {func(p *int) int { return n * *p }, "nil pointer", "staticcall.TestPanic.func"},
		"panic":             {func(p *int) int { panic(boom) }, "boom", "staticcall.TestPanic.func"},
		"panic of closure":  {func(p *int) int { panic(fmt.Errorf("%w %d", boom, n)) }, "boom 4", "staticcall.TestPanic.func"},
		"recovered inside":  {func(p *int) (x int) { defer func() { recover(); x = n }(); return *p }, "", ""},
		"panics on the way": {func(p *int) int { defer func() { panic(boom) }(); return *p }, "boom", "staticcall.TestPanic.func"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := faulty.Update(c.f); err != nil {
				t.Fatal(err)
			}
			got, err, stack := faultyCaller(nil)
			if c.want == "" {
				if err != nil || got != n {
					t.Errorf("%d, %v", got, err)
				}
				return
			}
			if !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("%v, expected %q", err, c.want)
			}
			for _, want := range []string{c.in, "staticcall.faultyCaller(", "staticcall.TestPanic.func", "runtime_test.go:"} {
				if !strings.Contains(stack, want) {
					t.Errorf("no %q in\n%s", want, stack)
				}
			}
		})
	}
	if err := faulty.Update(nil); err != nil {
		t.Fatal(err)
	}
	if _, err, stack := faultyCaller(&n); err == nil || !strings.Contains(stack, "staticcall.faultyCaller(") {
		t.Errorf("a call of nil: %v\n%s", err, stack)
	}
}

var where = New(framesHere)

//go:noinline
func Where() []string { return where.Func()() }

func framesHere() (names []string) {
	var pcs [20]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	for {
		f, more := frames.Next()
		names = append(names, f.Function[strings.LastIndexByte(f.Function, '.')+1:])
		if !more {
			return names
		}
	}
}

//go:noinline
func whereCaller() []string { return Where() }

// TestCallers: a patched call has the caller's frame under the implementation's, and the
// forwarder's only where it goes through that.
func TestCallers(t *testing.T) {
	if err := where.Update(framesHere); err != nil {
		t.Fatal(err)
	}
	byForwarder := Where
	got := byForwarder()
	if len(got) < 3 || got[0] != "framesHere" || got[1] != "Where" || got[2] != "TestCallers" {
		t.Errorf("by the forwarder: %v", got)
	}
	k := 0
	closure := func() []string { k++; return framesHere() }
	if err := where.Update(closure); err != nil {
		t.Fatal(err)
	}
	got = whereCaller()
	at := 2
	if got[at] == "Where" && quietpatch.Status().Mode == "memory" {
		at++
	}
	if k != 1 || got[0] != "framesHere" || !strings.HasPrefix(got[1], "func") || got[at] != "whereCaller" || got[at+1] != "TestCallers" {
		t.Errorf("by a closure: %v", got)
	}
	sites, err := where.Sites()
	armedSites(t, sites, err, 1)
}
