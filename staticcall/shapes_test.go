package staticcall

import (
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// shape is a static call of one signature, its forwarder and a caller of it.
type shape struct {
	name  string
	sites func() ([]Site, error)
	armed int // sites that must be armed; -1: it can have none
	// install makes n the function: 0 is nil, others put their number into the result.
	install func(n int) error
	call    func() string
}

// Implementations are closures over n: they go by way of stubs. Number 1 is the plain one
// of the declaration.

type point struct {
	x, y float32
	s    string
}

type op func(a, b int) int

type celsius float64

var (
	manyInts   = NewCond[func(a, b, c, d, e, f, g, h, i int) (int, int, int, int, int, int, int, int, int)](nil)
	manyFloats = NewCond[func(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o float64) (float64, float32, complex128, float64)](nil)
	mixed      = NewCond[func(s string, b []byte, e error, m map[string]int, p *point, f float32) (string, any, []byte, error)](nil)
	structs    = NewCond[func(p point, q [1]point, t time.Time) (point, time.Time)](nil)
	named      = NewCond[op](nil)
	variadic   = NewCond[func(format string, args ...any) string](nil)
	ifaces     = NewCond[func(w io.Writer, e error, x any) (io.Writer, any)](nil)
	small      = NewCond[func(a int8, b bool, c uint16, d int32) (bool, int8, uint16, int32)](nil)
	none       = NewCond[func()](nil)
	namedRet   = NewCond[func(c celsius) (c2 celsius, err error)](nil)
	pair       = NewCond[func(l list[int]) list[int]](nil)
	onStack    = NewCond[func(n int) [3]int](nil)
	tooMany    = NewCond[func(n int) (a, b, c, d, e, f, g, h, i, j int)](nil)
	argsStack  = NewCond[func(a [2]int) int](nil)
)

//go:noinline
func ManyInts(a, b, c, d, e, f, g, h, i int) (int, int, int, int, int, int, int, int, int) {
	return manyInts.Func()(a, b, c, d, e, f, g, h, i)
}

//go:noinline
func ManyFloats(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o float64) (float64, float32, complex128, float64) {
	return manyFloats.Func()(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o)
}

//go:noinline
func Mixed(s string, b []byte, e error, m map[string]int, p *point, f float32) (string, any, []byte, error) {
	return mixed.Func()(s, b, e, m, p, f)
}

//go:noinline
func Structs(p point, q [1]point, t time.Time) (point, time.Time) { return structs.Func()(p, q, t) }

//go:noinline
func Named(a, b int) int { return named.Func()(a, b) }

//go:noinline
func Variadic(format string, args ...any) string { return variadic.Func()(format, args...) }

//go:noinline
func Ifaces(w io.Writer, e error, x any) (io.Writer, any) { return ifaces.Func()(w, e, x) }

//go:noinline
func Small(a int8, b bool, c uint16, d int32) (bool, int8, uint16, int32) {
	return small.Func()(a, b, c, d)
}

//go:noinline
func None() { none.Func()() }

//go:noinline
func NamedRet(c celsius) (c2 celsius, err error) { return namedRet.Func()(c) }

//go:noinline
func Pair(l list[int]) list[int] { return pair.Func()(l) }

//go:noinline
func OnStack(n int) [3]int { return onStack.Func()(n) }

//go:noinline
func TooMany(n int) (a, b, c, d, e, f, g, h, i, j int) { return tooMany.Func()(n) }

//go:noinline
func ArgsStack(a [2]int) int { return argsStack.Func()(a) }

// list has a forwarder that is a method of a generic type: the method gets a dictionary,
// so it is none.
type list[T any] struct {
	head T
	rest *list[T]
}

var noneCalled int

func shapes() []shape {
	nan, buf := math.NaN(), []byte("abc")
	e, w := errors.New("e"), &strings.Builder{}
	at := time.Unix(7, 9).UTC()
	return []shape{
		{"many ints", manyInts.Sites, 1, func(n int) error {
			if n == 0 {
				return manyInts.Update(nil)
			}
			return manyInts.Update(func(a, b, c, d, e, f, g, h, i int) (int, int, int, int, int, int, int, int, int) {
				return i + n, h, g, f, e, d, c, b, a
			})
		}, func() string { return fmt.Sprint(ManyInts(1, 2, 3, 4, 5, 6, 7, 8, 9)) }},
		{"many floats", manyFloats.Sites, 1, func(n int) error {
			if n == 0 {
				return manyFloats.Update(nil)
			}
			return manyFloats.Update(func(a, b, c, d, e, f, g, h, i, j, k, l, m, o, p float64) (float64, float32, complex128, float64) {
				return a + b + c + d + e + f + g + h + i + j + k + l + m + o + p, float32(n), complex(m, float64(n)), nan
			})
		}, func() string { return fmt.Sprint(ManyFloats(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)) }},
		{"mixed", mixed.Sites, 1, func(n int) error {
			if n == 0 {
				return mixed.Update(nil)
			}
			return mixed.Update(func(s string, b []byte, err error, m map[string]int, p *point, f float32) (string, any, []byte, error) {
				return s + p.s, m["x"] + n + int(f), append(b, byte('0'+n)), err
			})
		}, func() string {
			return fmt.Sprint(Mixed("s", buf, e, map[string]int{"x": 3}, &point{s: "p"}, 4))
		}},
		{"structs", structs.Sites, 1, func(n int) error {
			if n == 0 {
				return structs.Update(nil)
			}
			return structs.Update(func(p point, q [1]point, t time.Time) (point, time.Time) {
				return point{p.y, p.x + q[0].x, q[0].s + p.s}, t.Add(time.Duration(n))
			})
		}, func() string { return fmt.Sprint(Structs(point{1, 2, "a"}, [1]point{{3, 4, "b"}}, at)) }},
		{"named type", named.Sites, 1, func(n int) error {
			if n == 0 {
				return named.Update(nil)
			}
			return named.Update(func(a, b int) int { return a*b + n })
		}, func() string { return fmt.Sprint(Named(3, 4)) }},
		{"variadic", variadic.Sites, 2, func(n int) error {
			if n == 0 {
				return variadic.Update(nil)
			}
			return variadic.Update(func(format string, args ...any) string { return fmt.Sprintf(format, args...) + fmt.Sprint(n) })
		}, func() string { return Variadic("%d %s|", 1, "x") + Variadic("none") }},
		{"interfaces", ifaces.Sites, 1, func(n int) error {
			if n == 0 {
				return ifaces.Update(nil)
			}
			return ifaces.Update(func(w io.Writer, err error, x any) (io.Writer, any) { return w, fmt.Sprint(err, x, n) })
		}, func() string {
			got, x := Ifaces(w, e, 3.5)
			return fmt.Sprint(got == io.Writer(w), got == nil, x)
		}},
		{"small", small.Sites, 1, func(n int) error {
			if n == 0 {
				return small.Update(nil)
			}
			return small.Update(func(a int8, b bool, c uint16, d int32) (bool, int8, uint16, int32) { return !b, a + int8(n), c, d })
		}, func() string { return fmt.Sprint(Small(-3, false, 65535, -70000)) }},
		{"none", none.Sites, 1, func(n int) error {
			if n == 0 {
				return none.Update(nil)
			}
			return none.Update(func() { noneCalled = n })
		}, func() string { noneCalled = 0; None(); return fmt.Sprint(noneCalled) }},
		{"named results", namedRet.Sites, 1, func(n int) error {
			if n == 0 {
				return namedRet.Update(nil)
			}
			return namedRet.Update(func(c celsius) (celsius, error) { return c + celsius(n), e })
		}, func() string { return fmt.Sprint(NamedRet(36.5)) }},
		{"generic argument", pair.Sites, 1, func(n int) error {
			if n == 0 {
				return pair.Update(nil)
			}
			return pair.Update(func(l list[int]) list[int] { return list[int]{l.head + n, nil} })
		}, func() string { return fmt.Sprint(Pair(list[int]{4, nil})) }},
		{"results on the stack", onStack.Sites, -1, func(n int) error {
			if n == 0 {
				return onStack.Update(nil)
			}
			return onStack.Update(func(m int) [3]int { return [3]int{m, n, m} })
		}, func() string { return fmt.Sprint(OnStack(5)) }},
		{"too many results", tooMany.Sites, -1, func(n int) error {
			if n == 0 {
				return tooMany.Update(nil)
			}
			return tooMany.Update(func(m int) (a, b, c, d, e, f, g, h, i, j int) { return m, n, 3, 4, 5, 6, 7, 8, 9, 10 })
		}, func() string { return fmt.Sprint(TooMany(5)) }},
		{"arguments on the stack", argsStack.Sites, -1, func(n int) error {
			if n == 0 {
				return argsStack.Update(nil)
			}
			return argsStack.Update(func(a [2]int) int { return a[0] + 10*a[1] + 100*n })
		}, func() string { return fmt.Sprint(ArgsStack([2]int{3, 4})) }},
	}
}

// wantShapes is what each call answers with nil and with function number 2.
var wantShapes = map[string][2]string{
	"many ints":              {"0 0 0 0 0 0 0 0 0", "11 8 7 6 5 4 3 2 1"},
	"many floats":            {"0 0 (0+0i) 0", "120 2 (13+2i) NaN"},
	"mixed":                  {"<nil> [] <nil>", "sp9 [97 98 99 50] e"},
	"structs":                {"{0 0 } 0001-01-01 00:00:00 +0000 UTC", "{2 4 ba} 1970-01-01 00:00:07.000000011 +0000 UTC"},
	"named type":             {"0", "14"},
	"variadic":               {"", "1 x|2none2"},
	"interfaces":             {"false true <nil>", "true falsee 3.5 2"},
	"small":                  {"false 0 0 0", "true -1 65535 -70000"},
	"none":                   {"0", "2"},
	"named results":          {"0 <nil>", "38.5 e"},
	"generic argument":       {"{0 <nil>}", "{6 <nil>}"},
	"results on the stack":   {"[0 0 0]", "[5 2 5]"},
	"too many results":       {"0 0 0 0 0 0 0 0 0 0", "5 2 3 4 5 6 7 8 9 10"},
	"arguments on the stack": {"0", "243"},
}

// TestShapes: results and arguments of every kind, nil and not, before any site is armed and
// afterwards.
func TestShapes(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			want, known := wantShapes[s.name]
			if !known {
				t.Fatal("what should it answer?")
			}
			for i, n := range []int{0, 2, 0, 2, 2, 0} {
				if i > 0 {
					if err := s.install(n); err != nil {
						t.Fatal(err)
					}
				}
				if got := s.call(); got != want[n/2] {
					t.Errorf("%d, function %d: %q, expected %q", i, n, got, want[n/2])
				}
			}
			sites, err := s.sites()
			if s.armed >= 0 {
				armedSites(t, sites, err, s.armed)
				return
			}
			for _, x := range sites {
				if x.State == "armed" || !strings.Contains(x.Why, "not a forwarder") {
					t.Errorf("armed, or without the reason: %+v", x)
				}
			}
		})
	}
}

// TestNothing: what stands for nil has zero results of all kinds, whatever the registers
// held, also where it is made by reflection.
func TestNothing(t *testing.T) {
	for _, f := range []any{
		func() {}, func() int { return 1 }, func() (a, b, c string, d int, e error) { return },
		func() (f float32, g float64, h complex64) { return }, func() [1][1]int { return [1][1]int{} },
		func() struct{} { return struct{}{} }, func() [0]int { return [0]int{} }, func() chan int { return nil },
		func() [2]int { return [2]int{1, 2} }, func() (a, b, c, d string, e []int) { return },
		func() (s struct {
			a [2]int8
			b string
		},
		) {
			return
		},
		func(...int) (a, b, c, d, e, f, g, h, i float64, j, k, l, m, n, o, p float64) { return },
	} {
		typ := reflect.TypeOf(f)
		fn := nothing(typ)
		if fn == nil {
			t.Errorf("%v: nothing stands for nil", typ)
			continue
		}
		v := reflect.New(typ).Elem()
		*(*uintptr)(v.Addr().UnsafePointer()) = uintptr(fn)
		for i, r := range v.Call(nil) {
			if !r.IsZero() {
				t.Errorf("%v: result %d is %v", typ, i, r)
			}
		}
	}
	if nothing(reflect.TypeFor[int]()) != nil {
		t.Error("of no function type")
	}
}
