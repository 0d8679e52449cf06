package main

import (
	"runtime"
	"runtime/debug"
	"sync"
)

// pads are types that differ in nothing but their length. The compiler makes a copy of a
// generic function for each of them, with call sites of its own.
type pads interface {
	[1]byte | [2]byte | [3]byte | [4]byte | [5]byte | [6]byte | [7]byte | [8]byte | [9]byte | [10]byte |
		[11]byte | [12]byte | [13]byte | [14]byte | [15]byte | [16]byte | [17]byte | [18]byte | [19]byte | [20]byte
}

const (
	dynPads    = 20
	dynTargets = 7 // more than a call can be promoted to
)

// lot is what the indirect calls of the hammer call: every way to hand over arguments and
// results, and callees that do what is hard on a stack.
type lot interface {
	Int(x uint64) uint64
	Float(a float64, b float32, n int32) (float64, float32)
	Pair(p dynPair) dynPair
	Big(b dynBig) dynBig
	Many(a, b, c, d, e, f, g, h, i, j, k, l uint64, x [1]float64, y dynFloats) (uint64, float64)
	Array(a [3]uint64, i int) [3]uint64
	Sum(xs ...uint64) uint64
	Note(x uint64, to *uint64)
	Send(x uint64, to chan uint64)
	Panic(x uint64) uint64
	Deep(next lot, depth int, x uint64) uint64
	Wait(m *meeting, x uint64) uint64
	Trace(pcs []uintptr) (n, line int)
	Stack() (stack []byte, line int)
}

type (
	dynPair struct {
		a uint64
		f float64
		s string
	}
	dynBig struct {
		a [4]uint64
		p dynPair
		b [64]byte
	}
	// dynFloats are more than there are registers.
	dynFloats struct{ a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q float64 }
	meeting   struct {
		mu       sync.Mutex
		to, back chan uint64
	}
)

// tag is a callee that is told from the others by the length of P, and from those of other
// goroutines by what it holds.
type tag[P pads] struct{ bias uint64 }

func (t *tag[P]) n() uint64 {
	var p P
	return t.bias + uint64(len(p))
}

func answerInt(n, x uint64) uint64 { return n*31 + x }

func answerFloat(n uint64, a float64, b float32, c int32) (float64, float32) {
	return a + float64(n), b*2 + float32(c)
}

func answerPair(n uint64, p dynPair) dynPair { return dynPair{p.a + n, p.f * 2, p.s} }

func answerBig(n uint64, b dynBig) dynBig {
	b.a[3] += n
	b.p = answerPair(n, b.p)
	b.b[n%64]++
	return b
}

func answerMany(n, ints uint64, floats float64) (uint64, float64) {
	return ints + n, floats + float64(n)
}

func answerArray(n uint64, a [3]uint64, i int) [3]uint64 {
	a[i%3] += n
	return a
}

func (t *tag[P]) Int(x uint64) uint64 { return answerInt(t.n(), x) }

func (t *tag[P]) Float(a float64, b float32, n int32) (float64, float32) {
	return answerFloat(t.n(), a, b, n)
}

func (t *tag[P]) Pair(p dynPair) dynPair { return answerPair(t.n(), p) }

func (t *tag[P]) Big(b dynBig) dynBig { return answerBig(t.n(), b) }

func (t *tag[P]) Many(a, b, c, d, e, f, g, h, i, j, k, l uint64, x [1]float64, y dynFloats) (uint64, float64) {
	return answerMany(t.n(), a+2*b+3*c+4*d+5*e+6*f+7*g+8*h+9*i+10*j+11*k+12*l, x[0]+y.sum())
}

func (y *dynFloats) sum() float64 {
	return y.a + 2*y.b + 3*y.c + 4*y.d + 5*y.e + 6*y.f + 7*y.g + 8*y.h + 9*y.i + 10*y.j + 11*y.k + 12*y.l +
		13*y.m + 14*y.n + 15*y.o + 16*y.p + 17*y.q
}

func (t *tag[P]) Array(a [3]uint64, i int) [3]uint64 { return answerArray(t.n(), a, i) }

func (t *tag[P]) Sum(xs ...uint64) uint64 {
	n := t.n()
	for i, x := range xs {
		n += uint64(i+1) * x
	}
	return n
}

func (t *tag[P]) Note(x uint64, to *uint64) { *to = answerInt(t.n(), x) }

func (t *tag[P]) Send(x uint64, to chan uint64) { to <- answerInt(t.n(), x) }

func (t *tag[P]) Panic(x uint64) uint64 { panic(answerInt(t.n(), x)) }

// Deep calls itself by way of an interface, on a stack that has to grow.
func (t *tag[P]) Deep(next lot, depth int, x uint64) uint64 {
	var pad [300]byte
	pad[depth%300] = byte(x)
	if depth == 0 {
		return x + t.n()
	}
	y := next.Deep(t, depth-1, x+t.n())
	return y + uint64(pad[depth%300]-byte(x))
}

// Wait gives its thread away in three ways.
func (t *tag[P]) Wait(m *meeting, x uint64) uint64 {
	runtime.Gosched()
	m.to <- x
	m.mu.Lock()
	defer m.mu.Unlock()
	return answerInt(t.n(), <-m.back)
}

func (t *tag[P]) Trace(pcs []uintptr) (int, int) {
	_, _, line, _ := runtime.Caller(0)
	return runtime.Callers(1, pcs), line + 1
}

func (t *tag[P]) Stack() ([]byte, int) {
	_, _, line, _ := runtime.Caller(0)
	return debug.Stack(), line + 1
}

// newLots returns one callee of each type.
func newLots(bias uint64) [dynTargets]lot {
	return [dynTargets]lot{
		&tag[[1]byte]{bias}, &tag[[2]byte]{bias}, &tag[[3]byte]{bias}, &tag[[4]byte]{bias},
		&tag[[5]byte]{bias}, &tag[[6]byte]{bias}, &tag[[7]byte]{bias},
	}
}

type (
	intFunc  = func(uint64) uint64
	pairFunc = func(dynPair) dynPair
	bigFunc  = func(dynBig) dynBig
	noteTo   = func(uint64, *uint64)
)

// boundInts are method values.
func boundInts(bias uint64) [dynTargets]intFunc {
	return [dynTargets]intFunc{
		(&tag[[1]byte]{bias}).Int, (&tag[[2]byte]{bias}).Int, (&tag[[3]byte]{bias}).Int, (&tag[[4]byte]{bias}).Int,
		(&tag[[5]byte]{bias}).Int, (&tag[[6]byte]{bias}).Int, (&tag[[7]byte]{bias}).Int,
	}
}

// plainInt is a function without a context but the compiler's dictionary.
func plainInt[P pads](x uint64) uint64 {
	var p P
	return answerInt(uint64(len(p)), x)
}

var plainInts = [dynTargets]intFunc{
	plainInt[[1]byte], plainInt[[2]byte], plainInt[[3]byte], plainInt[[4]byte],
	plainInt[[5]byte], plainInt[[6]byte], plainInt[[7]byte],
}

// captured are closures of one type.
type captured struct {
	int  intFunc
	pair pairFunc
	big  bigFunc
	note noteTo
}

func capture[P pads](bias uint64) captured {
	var p P
	n := bias + uint64(len(p))
	return captured{
		func(x uint64) uint64 { return answerInt(n, x) },
		func(p dynPair) dynPair { return answerPair(n, p) },
		func(b dynBig) dynBig { return answerBig(n, b) },
		func(x uint64, to *uint64) { *to = answerInt(n, x) },
	}
}

func newCaptured(bias uint64) [dynTargets]captured {
	return [dynTargets]captured{
		capture[[1]byte](bias), capture[[2]byte](bias), capture[[3]byte](bias), capture[[4]byte](bias),
		capture[[5]byte](bias), capture[[6]byte](bias), capture[[7]byte](bias),
	}
}

// viaDictionary finds the method in the dictionary of its type arguments: pointers share
// one copy of the code.
//
//go:noinline
func viaDictionary[P pads, T lot](t T, x uint64) uint64 { return t.Int(x) }

func dictionaries[P pads](bias uint64) [dynTargets]intFunc {
	return [dynTargets]intFunc{
		byDictionary[P](&tag[[1]byte]{bias}), byDictionary[P](&tag[[2]byte]{bias}), byDictionary[P](&tag[[3]byte]{bias}),
		byDictionary[P](&tag[[4]byte]{bias}), byDictionary[P](&tag[[5]byte]{bias}), byDictionary[P](&tag[[6]byte]{bias}),
		byDictionary[P](&tag[[7]byte]{bias}),
	}
}

func byDictionary[P pads, T lot](t T) intFunc {
	return func(x uint64) uint64 { return viaDictionary[P](t, x) }
}
