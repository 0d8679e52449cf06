// Command forwarders has forwarders, and functions that are none. TestBinary builds it with the
// real package: what begins with good is a forwarder there, too, what begins with bad is
// none. Slow ones get the right machine code from the compiler by luck.
package main

import (
	"errors"
	"io"
	"os"

	"github.com/quietpatch/quietpatch/staticcall"
)

func one(x int) int                       { return x }
func two(x int, s string) (int, error)    { return x + len(s), nil }
func void(int)                            {}
func nothing()                            {}
func many(xs ...int) int                  { return len(xs) }
func anything(v any) any                  { return v }
func reader(r io.Reader) error            { return nil }
func array(a [3]int) int                  { return a[1] }
func arrayOut() (a [3]int)                { return }
func floats(x float64, y float32) float64 { return x + float64(y) }
func onT(t *T, x int) int                 { return t.n + x }
func words(a, b, c, d string) int         { return len(a + b + c + d) }
func words5(a, b, c, d, e string) int     { return len(a + b + c + d + e) }
func onGeneric(b *Box[int], x int) int    { return b.v + x }

// Shapes of arguments and results.
type (
	T          struct{ n int }
	Box[V any] struct{ v V }
	Pair       struct {
		a string
		b [1]float64
	}
	Fn   func(int) int
	Name string
)

func receive(c <-chan int, f func(int) int) {}

func pair(p Pair, n Name) (Pair, Name) { return p, n }

var (
	oneCall     = staticcall.New(one)
	fnCall      = staticcall.New(Fn(one))
	twoCall     = staticcall.New(two)
	voidCall    = staticcall.New(void)
	nothingCall = staticcall.New(nothing)
	manyCall    = staticcall.New(many)
	anyCall     = staticcall.New(anything)
	readerCall  = staticcall.New(reader)
	arrayCall   = staticcall.New(array)
	outCall     = staticcall.New(arrayOut)
	floatCall   = staticcall.New(floats)
	tCall       = staticcall.New(onT)
	wordsCall   = staticcall.New(words)
	words5Call  = staticcall.New(words5)
	boxCall     = staticcall.New(onGeneric)
	pairCall    = staticcall.New(pair)
	chanCall    = staticcall.New(receive)
	calls       struct {
		n     int
		field staticcall.Call[func(int) int]
		array [2]staticcall.Call[func(int) int]
	}
	pointer  = &oneCall
	embedded struct {
		staticcall.Call[func(int) int]
	}
	slice = make([]staticcall.Call[func(int) int], 2)
)

//go:noinline
func goodOne(x int) int { return oneCall.Func()(x) }

// goodNamed has its directive behind a text.
//
//go:noinline
func goodNamed(x int) (n int) { return (fnCall.Func())((x)) }

//go:noinline
func goodTwo(x int, s string) (int, error) { return twoCall.Func()(x, s) }

//go:noinline
func goodVoid(x int) { voidCall.Func()(x) }

//go:noinline
func goodNothing() { nothingCall.Func()() }

//go:noinline
func goodMany(xs ...int) int { return manyCall.Func()(xs...) }

//go:noinline
func goodSlice(xs []int) int { return manyCall.Func()(xs...) }

//go:noinline
func goodFloats(x float64, y float32) float64 { return floatCall.Func()(x, y) }

//go:noinline
func goodPair(p Pair, n Name) (Pair, Name) { return pairCall.Func()(p, n) }

//go:noinline
func goodWords(a, b, c, d string) int { return wordsCall.Func()(a, b, c, d) }

//go:noinline
func goodField(x int) int { return calls.field.Func()(x) }

//go:noinline
func goodElement(x int) int { return calls.array[1].Func()(x) }

//go:noinline
func goodChan(c chan int, f Fn) { chanCall.Func()(c, f) }

//go:noinline
func (t *T) goodMethod(x int) int { return tCall.Func()(t, x) }

func slowInline(x int) int { return oneCall.Func()(x) } // want `slowInline may be inlined, .*: write //go:noinline`

//go:noinline
func badMore(x int) int { return oneCall.Func()(x) + 1 } // want `badMore is not one statement that calls and returns: call oneCall by way of a forwarder; write //go:noinline and func callOneCall\(p0 int\) int { return oneCall.Func\(\)\(p0\) }`

//go:noinline
func badStatements(x int) int { // two of them
	x++
	return oneCall.Func()(x) // want `badStatements has 2 statements`
}

//go:noinline
func slowOther(x int) int { return one(oneCall.Func()(x)) } // want `slowOther does more than to call what Func returns`

//go:noinline
func badValue(x int) Fn { return oneCall.Func() } // want `badValue does more than to call what Func returns`

//go:noinline
func badMethodValue() func() func(int) int { return oneCall.Func } // want `badMethodValue is not one statement`

//go:noinline
func badConstant() int { return oneCall.Func()(1) } // want `badConstant has 0 parameters and hands over 1 arguments`

//go:noinline
func badSwapped(s string, x int) (int, error) { return twoCall.Func()(x, s) } // want `badSwapped hands over x where its parameter s belongs: .* func callTwoCall\(x int, s string\) \(int, error\) { return`

//go:noinline
func badChanged(x int) int { return oneCall.Func()(x + 1) } // want `badChanged hands over x \+ 1 where its parameter x belongs`

//go:noinline
func badMissing(y string, x int) int { return oneCall.Func()(x) } // want `badMissing has 2 parameters and hands over 1 arguments`

//go:noinline
func badUnnamed(_ int) int { return oneCall.Func()(7) } // want `badUnnamed has no name for parameter 1`

//go:noinline
func badSingle(x int) int { return manyCall.Func()(x) } // want `badSingle hands over single arguments to a variadic function, .* func callManyCall\(xs \.\.\.int\) int { return manyCall.Func\(\)\(xs\.\.\.\) }`

//go:noinline
func badBoxed(x int) any { return anyCall.Func()(x) } // want `badBoxed converts its parameter x to`

//go:noinline
func badInterface(f *os.File) error { return readerCall.Func()(f) } // want `badInterface converts its parameter f to io.Reader`

//go:noinline
func badInterfaces(f io.ReadCloser) error { return readerCall.Func()(f) } // want `badInterfaces converts its parameter f to io.Reader`

//go:noinline
func badResult(x int) any { return oneCall.Func()(x) } // want `badResult converts result 1 from int to any`

//go:noinline
func badDropped() { outCall.Func()() } // want `badDropped has 0 results, and the function that it calls 1`

//go:noinline
func badArray(a [3]int) int { return arrayCall.Func()(a) } // want `argument 1 of badArray \(\[3\]int\) does not fit into registers`

//go:noinline
func badOut() [3]int { return outCall.Func()() } // want `result 1 of badOut \(\[3\]int\) does not fit into registers`

//go:noinline
func badWords(a, b, c, d, e string) int { return words5Call.Func()(a, b, c, d, e) } // want `argument 5 of badWords \(string\) does not fit`

//go:noinline
func badGeneric[V any](x int) int { return oneCall.Func()(x) } // want `badGeneric is generic`

//go:noinline
func (b *Box[V]) badMethod(x int) int { return oneCall.Func()(x) } // want `badMethod is generic`

//go:noinline
func badDefer(x int) { defer voidCall.Func()(x) } // want `badDefer is not one statement that calls and returns`

//go:noinline
func slowLiteral(x int) int { return func() int { return oneCall.Func()(x) }() } // want `oneCall.Func is used in a function literal`

//go:noinline
func badPointer(x int) int { return pointer.Func()(x) } // want `pointer is a pointer to a static call, .*: use the package-level variable itself, of type staticcall.Call\[func\(int\) int\]`

//go:noinline
func badParameter(c *staticcall.Call[func(int) int], x int) int { return c.Func()(x) } // want `c is a pointer to a static call`

//go:noinline
func badEmbedded(x int) int { return embedded.Func()(x) } // want `the static call in embedded is embedded`

//go:noinline
func badElement(x int) int { return slice[1].Func()(x) } // want `slice\[1\] has no fixed address: declare it at package level`

//go:noinline
func badIndex(i int) int { return calls.array[i].Func()(i) } // want `calls.array\[i\] has no fixed address`

//go:noinline
func slowExpression(x int) int { return (*staticcall.Call[func(int) int]).Func(&oneCall)(x) } // want `Func is a method expression`

type holder struct {
	call staticcall.Call[func(int) int]
}

//go:noinline
func (h *holder) badMethod(x int) int { return h.call.Func()(x) } // want `h.call is reached by way of a pointer`

//go:noinline
func (h holder) badMethodOfValue(x int) int { return h.call.Func()(x) } // want `h.call is not a package-level variable`

var through struct{ *holder }

//go:noinline
func badThrough(x int) int { return through.call.Func()(x) } // want `through.call is reached by way of a pointer`

var atStart = oneCall.Func() // want `oneCall.Func is used outside of a function`

func init() {
	calls.field = staticcall.New(one)
	calls.array[1] = staticcall.New(one)
	embedded.Call = staticcall.New(one)
	slice[1] = staticcall.New(one)
	through.holder = &holder{staticcall.New(one)}
}

// main uses all of it, so that it is linked.
func main() {
	t, h, b := &T{len(os.Args)}, &holder{staticcall.New(one)}, &Box[int]{1}
	n := goodOne(1) + goodNamed(1) + goodMany(1, 2) + goodSlice(nil) + int(goodFloats(1, 2)) + goodField(1) + goodElement(1) + t.goodMethod(1) +
		goodWords("", "", "", "") + slowInline(1) + badMore(1) + badStatements(1) + slowOther(1) + badConstant() + badChanged(1) + badMissing("", 1) +
		badUnnamed(1) + badSingle(1) + badArray([3]int{}) + badOut()[1] + badWords("", "", "", "", "") + badGeneric[int](1) + b.badMethod(1) +
		slowLiteral(1) + badPointer(1) + badParameter(&oneCall, 1) + badEmbedded(1) + badElement(1) + badIndex(1) + badThrough(1) + slowExpression(1) +
		h.badMethod(1) + h.badMethodOfValue(1) + badValue(1)(1) + badMethodValue()()(1)
	goodVoid(n)
	goodNothing()
	goodChan(nil, nil)
	badDropped()
	badDefer(1)
	_, err := goodTwo(1, "")
	_, err2 := badSwapped("", 1)
	p, _ := goodPair(Pair{}, "")
	_, _ = staticcall.Register(&calls.field, "field", ""), staticcall.Register(&calls.array[1], "array", "")
	boxCall.Func() // want `main has \d+ statements`
	println(n, badBoxed(1) != nil, badResult(1) != nil, errors.Join(err, err2, badInterface(os.Stdin), badInterfaces(os.Stdin)) != nil, p.a, atStart(1))
}
