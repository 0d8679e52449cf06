package staticcall

import (
	"strings"
	"testing"
)

// A deferred function may recover. What a forwarder calls is no deferred function, so what
// it recovers must not change when the call is patched.

var (
	rescue     = New(func() {})
	rescueMany = New(func(int, string) {})
)

//go:noinline
func Rescue() { rescue.Func()() }

//go:noinline
func RescueMany(n int, s string) { rescueMany.Func()(n, s) }

type rescuer struct{ n int }

// outerRescuer has wrappers of the method, and so have method values.
type outerRescuer struct{ rescuer }

type rescues interface{ Rescue(string) }

//go:noinline
func newRescues() rescues { return &outerRescuer{} }

//go:noinline
func (r *rescuer) Rescue(s string) { rescueMany.Func()(r.n, s) }

func escapes(f func()) (escaped bool) {
	defer func() { escaped = recover() != nil }()
	f()
	return false
}

var panicking = map[string]func(){
	"no arguments": func() { defer Rescue(); panic(1) },
	"arguments":    func() { defer RescueMany(3, "x"); panic(1) },
	"in a loop": func() {
		for i := range 3 {
			defer RescueMany(i, "x")
		}
		panic(1)
	},
	"one further down": func() { defer func() { Rescue() }(); panic(1) },
	"by value":         func() { f := RescueMany; defer f(3, "x"); panic(1) },
	"method":           func() { r := &rescuer{3}; defer r.Rescue("x"); panic(1) },
	"promoted":         func() { r := &outerRescuer{}; defer r.Rescue("x"); panic(1) },
	"interface":        func() { defer newRescues().Rescue("x"); panic(1) },
	"method value":     func() { f := newRescues().Rescue; defer f("x"); panic(1) },
	"expression":       func() { defer (*outerRescuer).Rescue(&outerRescuer{}, "x"); panic(1) },
	"of the interface": func() { defer rescues.Rescue(newRescues(), "x"); panic(1) },
}

func TestRecover(t *testing.T) {
	rescued := 0
	for round, f := range []func(){func() { _ = recover() }, func() { rescued++; _ = recover() }} {
		if round > 0 { // before that nothing is patched
			if err := rescue.Update(f); err != nil {
				t.Fatal(err)
			}
			if err := rescueMany.Update(func(int, string) { rescued++; _ = recover() }); err != nil {
				t.Fatal(err)
			}
		}
		for name, f := range panicking {
			if !escapes(f) {
				t.Errorf("round %d, %s: the panic was recovered by a function that was not deferred", round, name)
			}
		}
	}
	if rescued == 0 {
		t.Error("nothing was called")
	}
	// One that recovers what it has deferred itself is none of these.
	if err := rescueMany.Update(func(int, string) { defer func() { _ = recover() }(); panic(2) }); err != nil {
		t.Fatal(err)
	}
	for name, f := range panicking {
		if name != "no arguments" && name != "one further down" && !escapes(f) {
			t.Errorf("%s: a panic was recovered that is not the function's own", name)
		}
	}
}

var unchecked = New(double)

//go:noinline
func Unchecked(x int) int { return unchecked.Func()(x) }

//go:nosplit
//go:noinline
func nosplitCaller(x int) int { return Unchecked(x) }

//go:noinline
func splitCaller(x int) int { return Unchecked(x) }

// nosplitFrame uses stack and does not check it.
//
//go:nosplit
//go:noinline
func nosplitFrame(x int) int {
	var a [16]int
	use16(&a)
	return x + a[x&15]
}

//go:nosplit
//go:noinline
func use16(a *[16]int) { a[2] = 6 }

// TestNosplit: a nosplit caller goes straight to what checks its stack or uses none, and
// else through the forwarder, which checks it.
func TestNosplit(t *testing.T) {
	k := 3
	for _, c := range []struct {
		want   int
		f      func(int) int
		direct bool
	}{{6, triple, true}, {8, func(x int) int { return x + 2*k }, true}, {8, nosplitFrame, false}} {
		if err := unchecked.Update(c.f); err != nil {
			t.Fatal(err)
		}
		if a, b := nosplitCaller(2), splitCaller(2); a != c.want || b != c.want {
			t.Errorf("%d, %d, expected %d", a, b, c.want)
		}
		sites, err := unchecked.Sites()
		if err != nil {
			return
		}
		for _, s := range sites {
			name := s.Func[strings.LastIndexByte(s.Func, '.')+1:]
			if want := name == "splitCaller" || c.direct; (s.State == "armed") != want || !want && !strings.Contains(s.Why, "nosplit") {
				t.Errorf("%+v", s)
			}
		}
		if len(sites) != 2 {
			t.Errorf("%d sites, expected 2", len(sites))
		}
	}
}
