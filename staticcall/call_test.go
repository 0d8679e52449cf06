package staticcall

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	quietpatch "github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

func double(x int) int { return 2 * x }
func triple(x int) int { return 3 * x }

var scale = New(double)

//go:noinline
func Scale(x int) int { return scale.Func()(x) }

//go:noinline
func scaled(x int) (n int) {
	n = Scale(x)
	n += Scale(x + 1)
	return n + Scale(n)
}

// tail is a method that the compiler promotes by a jump.
type inner struct{ _ int }

//go:noinline
func (i *inner) Scale(x int) int { return mul.Func()(i, x) }

type outer struct{ inner }

func mulOne(_ *inner, x int) int { return x }
func mulTen(_ *inner, x int) int { return 10 * x }

var mul = New(mulOne)

type scaler interface{ Scale(int) int }

//go:noinline
func promoted() scaler { return &outer{} }

var hook = NewCond[func(int)](nil)

//go:noinline
func Hook(x int) { hook.Func()(x) }

//go:noinline
func hooked(x int) { Hook(x); Hook(x + 1) }

var lookup = NewCond[func(string) (int, string, float64, error)](nil)

//go:noinline
func Lookup(s string) (int, string, float64, error) { return lookup.Func()(s) }

//go:noinline
func lookedUp(s string) (int, string, float64, error) { return Lookup(s) }

// Not forwarders.
var odd = New(double)

//go:noinline
func Odd(x int) int { return odd.Func()(x) + 1 }

//go:noinline
func oddCaller(x int) int { return Odd(x) }

var stacked = New(func(a [3]int) int { return a[1] })

//go:noinline
func Stacked(a [3]int) int { return stacked.Func()(a) }

//go:noinline
func stackedCaller(a [3]int) int { return Stacked(a) }

func armedSites(t *testing.T, sites []Site, err error, want int) {
	t.Helper()
	if err != nil {
		if quietpatch.Status().Mode == "memory" {
			return
		}
		t.Fatal(err)
	}
	armed := 0
	for _, s := range sites {
		if s.State == "armed" {
			armed++
		} else {
			t.Logf("%s %s: %s", s.Func, s.Form, s.Why)
		}
	}
	if armed != want {
		t.Errorf("%d sites are armed, expected %d: %+v", armed, want, sites)
	}
}

func TestUpdate(t *testing.T) {
	if got := scaled(1); got != 2+4+12 {
		t.Fatalf("scaled(1) = %d before any update", got)
	}
	if err := scale.Update(triple); err != nil {
		t.Fatal(err)
	}
	if got := scaled(1); got != 3+6+27 {
		t.Errorf("scaled(1) = %d with triple", got)
	}
	sites, err := scale.Sites()
	armedSites(t, sites, err, 3)
	// A closure, then a method value.
	k := 7
	if err := scale.Update(func(x int) int { return k * x }); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	if got := scaled(1); got != 7+14+147 {
		t.Errorf("scaled(1) = %d with a closure", got)
	}
	sites, err = scale.Sites()
	armedSites(t, sites, err, 3)
	k = 5
	if got := scaled(1); got != 5+10+75 {
		t.Errorf("scaled(1) = %d with a closure that changed its variable", got)
	}
	if err := scale.Update(nil); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			var e runtime.Error
			if err, _ := recover().(error); !errors.As(err, &e) || !strings.Contains(e.Error(), "nil pointer") {
				t.Errorf("a call of nil: %v", err)
			}
		}()
		scaled(1)
	}()
	if err := scale.Update(double); err != nil {
		t.Fatal(err)
	}
	if got := scaled(1); got != 18 {
		t.Errorf("scaled(1) = %d at the end", got)
	}
	f := Scale
	if got := f(4); got != 8 {
		t.Errorf("through a func value: %d", got)
	}
}

func TestTailJump(t *testing.T) {
	s := promoted()
	if s.Scale(3) != 3 {
		t.Error("before")
	}
	if err := mul.Update(mulTen); err != nil {
		t.Fatal(err)
	}
	if s.Scale(3) != 30 {
		t.Error("the promoted method goes to the old function")
	}
	sites, err := mul.Sites()
	if err == nil {
		jumps := 0
		for _, x := range sites {
			if x.Form == "jump" && x.State == "armed" {
				jumps++
			}
		}
		if jumps == 0 {
			t.Errorf("no tail jump was found: %+v", sites)
		}
	}
}

func TestCond(t *testing.T) {
	if hook.Current() != nil {
		t.Error("a nil hook is not nil")
	}
	hooked(1)
	sum := 0
	if err := hook.Update(func(x int) { sum += x }); err != nil {
		t.Fatal(err)
	}
	hooked(1)
	if sum != 3 {
		t.Errorf("the hook saw %d", sum)
	}
	if err := hook.Update(nil); err != nil {
		t.Fatal(err)
	}
	hooked(1)
	if sum != 3 || hook.Current() != nil {
		t.Errorf("the hook saw %d after it was taken away", sum)
	}
	sites, err := hook.Sites()
	armedSites(t, sites, err, 2)
	if err := lookup.Update(func(s string) (int, string, float64, error) { return 1, s, 2, errors.New("x") }); err != nil {
		t.Fatal(err)
	}
	if n, s, f, err := lookedUp("a"); n != 1 || s != "a" || err == nil || f != 2 {
		t.Error(n, s, f, err)
	}
	if err := lookup.Update(nil); err != nil {
		t.Fatal(err)
	}
	if n, s, f, err := lookedUp("a"); n != 0 || s != "" || err != nil || f != 0 {
		t.Error(n, s, f, err)
	}
}

func TestNoForwarder(t *testing.T) {
	if err := odd.Update(triple); err != nil {
		t.Fatal(err)
	}
	if oddCaller(2) != 7 {
		t.Error(oddCaller(2))
	}
	if err := stacked.Update(func(a [3]int) int { return a[2] }); err != nil {
		t.Fatal(err)
	}
	if stackedCaller([3]int{1, 2, 3}) != 3 {
		t.Error("stacked")
	}
	for _, sites := range []func() ([]Site, error){odd.Sites, stacked.Sites} {
		s, err := sites()
		if err != nil {
			continue
		}
		if len(s) != 1 || !strings.Contains(s[0].Why, "not a forwarder") {
			t.Errorf("%+v", s)
		}
	}
}

func TestBatch(t *testing.T) {
	var b statickey.Batch
	scale.UpdateIn(&b, triple)
	mul.UpdateIn(&b, mulOne)
	if err := b.Apply(); err != nil {
		t.Fatal(err)
	}
	if scaled(1) != 36 {
		t.Error(scaled(1))
	}
	scale.UpdateIn(&b, double)
	if err := b.Apply(); err != nil {
		t.Fatal(err)
	}
}

func TestDisarm(t *testing.T) {
	if err := scale.Update(triple); err != nil {
		t.Fatal(err)
	}
	if err := quietpatch.Disarm(); err != nil {
		t.Fatal(err)
	}
	if scaled(1) != 36 {
		t.Error(scaled(1))
	}
	if err := scale.Update(double); err != nil {
		t.Fatal(err)
	}
	if scaled(1) != 18 {
		t.Error(scaled(1))
	}
	_ = quietpatch.Arm()
	if scaled(1) != 18 {
		t.Error(scaled(1))
	}
}

func TestCopy(t *testing.T) {
	c := New(double)
	if err := c.Update(triple); err != nil {
		t.Fatal(err)
	}
	if got := c.Func()(2); got != 6 {
		t.Error(got)
	}
	var x Call[int]
	if err := x.Update(3); !errors.Is(err, ErrType) {
		t.Error(err)
	}
}
