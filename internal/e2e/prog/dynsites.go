package main

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
)

// What callers call: the phase moves the main target of each call, the mix says what
// else is called.
var dynPhase, dynMix atomic.Uint32

// The mixes.
const (
	mixOne     = iota // the main target only
	mixMostly         // now and then another
	mixTwo            // one of two
	mixUniform        // all targets alike
	mixCount
)

// dynCaller makes the calls, on one goroutine.
type dynCaller struct {
	id, x, rnd uint64
	shared     *dynTally
	calls      uint64
	lots       [dynTargets]lot
	captured   [dynTargets]captured
	bound      [dynTargets]intFunc
	dict       [dynPads + 1][dynTargets]intFunc
	meet       *meeting
	answers    chan uint64
	pcs        [64]uintptr
}

// dynTally is what all callers have found.
type dynTally struct {
	calls, wrong atomic.Uint64
	first        atomic.Pointer[string]
}

func (t *dynTally) fail(format string, args ...any) {
	t.wrong.Add(1)
	what := fmt.Sprintf(format, args...)
	t.first.CompareAndSwap(nil, &what)
}

func newDynCaller(id uint64, shared *dynTally) *dynCaller {
	c := &dynCaller{
		id: id << 8, rnd: id*0x9E3779B97F4A7C15 | 1, shared: shared, lots: newLots(id << 8), bound: boundInts(id << 8),
		meet: &meeting{to: make(chan uint64), back: make(chan uint64)}, answers: make(chan uint64, 2),
	}
	c.fresh()
	for _, fill := range dynFills {
		fill(c)
	}
	go func() {
		for x := range c.meet.to {
			c.meet.back <- x
		}
		close(c.meet.back)
	}()
	return c
}

// fresh makes new closures.
func (c *dynCaller) fresh() { c.captured = newCaptured(c.id) }

func (c *dynCaller) close() {
	c.shared.calls.Add(c.calls)
	c.calls = 0
	close(c.meet.to)
}

// next returns a random number (xorshift64).
func (c *dynCaller) next() uint64 {
	c.rnd ^= c.rnd << 13
	c.rnd ^= c.rnd >> 7
	c.rnd ^= c.rnd << 17
	return c.rnd
}

// pick chooses the target of the site's next call.
func (c *dynCaller) pick(site int) int {
	c.calls++
	c.x++
	main := uint64(dynPhase.Load()) + uint64(site)
	switch r := c.next() >> 8; dynMix.Load() {
	case mixMostly:
		if r%16 == 0 {
			main += r >> 8
		}
	case mixTwo:
		main += r % 2
	case mixUniform:
		main += r
	}
	return int(main % dynTargets)
}

func siteNumber[P pads](kind int) int {
	var p P
	return kind*dynPads + len(p)
}

// n is what tells the callee i of this caller.
func (c *dynCaller) n(i int) uint64 { return c.id + uint64(i) + 1 }

// same reports what a call returned, unless it is what was expected.
func same[T comparable](c *dynCaller, what string, i int, got, want T) {
	if got != want {
		c.shared.fail("%s of callee %d, caller %d: %v, expected %v", what, i, c.id>>8, got, want)
	}
}

func siteInt[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](0))
	same(c, "interface", i, c.lots[i].Int(c.x), answerInt(c.n(i), c.x))
}

func siteClosure[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](1))
	same(c, "closure", i, c.captured[i].int(c.x), answerInt(c.n(i), c.x))
}

func sitePlain[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](2))
	same(c, "func value", i, plainInts[i](c.x), answerInt(uint64(i)+1, c.x))
}

func siteBound[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](3))
	same(c, "method value", i, c.bound[i](c.x), answerInt(c.n(i), c.x))
}

func siteDictionary[P pads](c *dynCaller) {
	var p P
	i := c.pick(siteNumber[P](4))
	same(c, "dictionary", i, c.dict[len(p)][i](c.x), answerInt(c.n(i), c.x))
}

func siteFloat[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](5))
	a, b, n := float64(c.x), float32(c.x%1024), int32(c.x%77)
	f, g := c.lots[i].Float(a, b, n)
	wantF, wantG := answerFloat(c.n(i), a, b, n)
	same(c, "floats", i, [2]float64{f, float64(g)}, [2]float64{wantF, float64(wantG)})
}

func sitePair[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](6))
	p := dynPair{c.x, float64(c.x), "pair"}
	same(c, "struct", i, c.lots[i].Pair(p), answerPair(c.n(i), p))
	same(c, "struct, closure", i, c.captured[i].pair(p), answerPair(c.n(i), p))
}

func siteBig[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](7))
	b := dynBig{a: [4]uint64{c.x, 2, 3, c.x}, p: dynPair{c.x, 0.5, "big"}}
	same(c, "struct in memory", i, c.captured[i].big(b), answerBig(c.n(i), b))
	same(c, "struct in memory, interface", i, c.lots[i].Big(b), answerBig(c.n(i), b))
}

func siteMany[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](8))
	x := c.x
	f := float64(x % 1000)
	y := dynFloats{f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, f, 1}
	ints, floats := c.lots[i].Many(x, x, x, x, x, x, x, x, x, x, x, x+1, [1]float64{f}, y)
	wantInts, wantFloats := answerMany(c.n(i), 78*x+12, 137*f+17)
	same(c, "many", i, ints, wantInts)
	same(c, "many floats", i, floats, wantFloats)
}

func siteArray[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](9))
	a := [3]uint64{c.x, c.x + 1, c.x + 2}
	same(c, "array", i, c.lots[i].Array(a, i), answerArray(c.n(i), a, i))
}

func siteSum[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](10))
	same(c, "variadic", i, c.lots[i].Sum(c.x, 1, c.x), c.n(i)+4*c.x+2)
}

func siteDefer[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](11))
	var got [4]uint64
	deferInLoop[P](c.lots[i], c.captured[i].note, c.x, &got)
	deferOnce[P](c.lots[i], c.captured[i].note, c.x, &got)
	want := answerInt(c.n(i), c.x)
	same(c, "deferred", i, got, [4]uint64{want, want, want + 1, want + 1})
}

//go:noinline
func deferInLoop[P pads](l lot, f noteTo, x uint64, got *[4]uint64) {
	for range 2 {
		defer l.Note(x, &got[0])
		defer f(x, &got[1])
	}
}

//go:noinline
func deferOnce[P pads](l lot, f noteTo, x uint64, got *[4]uint64) {
	defer l.Note(x+1, &got[2])
	defer func() { f(x+1, &got[3]) }()
}

func siteGo[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](12))
	go c.lots[i].Send(c.x, c.answers)
	f, to := c.captured[i].int, c.answers
	x := c.x
	go func() { to <- f(x) }()
	want := answerInt(c.n(i), c.x)
	same(c, "go", i, [2]uint64{<-c.answers, <-c.answers}, [2]uint64{want, want})
}

func sitePanic[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](13))
	same(c, "panic", i, recovered[P](c.lots[i], c.x), answerInt(c.n(i), c.x))
}

//go:noinline
func recovered[P pads](l lot, x uint64) (r uint64) {
	defer func() { r, _ = recover().(uint64) }()
	return l.Panic(x)
}

func siteDeep[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](14))
	depth := int(c.next() >> 8 % 300)
	j := (i + 3) % dynTargets
	want := c.x
	for k := range depth + 1 {
		want += c.n([2]int{i, j}[k%2])
	}
	same(c, "deep", i, c.lots[i].Deep(c.lots[j], depth, c.x), want)
}

func siteWait[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](15))
	same(c, "waiting", i, c.lots[i].Wait(c.meet, c.x), answerInt(c.n(i), c.x))
}

// siteTrace: the callee's and the caller's frames are the right ones, with the right lines.
func siteTrace[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](16))
	_, file, line, _ := runtime.Caller(0)
	n, calleeLine := c.lots[i].Trace(c.pcs[:])
	frames := runtime.CallersFrames(c.pcs[:n])
	callee, _ := frames.Next()
	caller, _ := frames.Next()
	if callee.Function != "main.(*tag[...]).Trace" || callee.Line != calleeLine || n < 3 ||
		caller.Function != "main.siteTrace[...]" || caller.Line != line+1 || caller.File != file {
		c.shared.fail("frames %s:%d, %s:%d of %d; expected lines %d and %d", callee.Function, callee.Line, caller.Function, caller.Line, n, calleeLine, line+1)
	}
}

func siteStack[P pads](c *dynCaller) {
	i := c.pick(siteNumber[P](17))
	_, file, line, _ := runtime.Caller(0)
	b, calleeLine := c.lots[i].Stack()
	s := string(b)
	_, s, found := strings.Cut(s, "main.(*tag[...]).Stack(")
	_, caller, found2 := strings.Cut(s, "main.siteStack[...](")
	if !found || !found2 || !strings.Contains(s, fmt.Sprintf("/dyncallees.go:%d ", calleeLine)) ||
		!strings.HasPrefix(strings.TrimLeft(caller[strings.IndexByte(caller, '\n')+1:], "\t"), fmt.Sprintf("%s:%d ", file, line+1)) {
		c.shared.fail("stack, expected lines %d and %d:\n%s", calleeLine, line+1, b)
	}
}
