package main

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/quietpatch/quietpatch/staticcall"
)

// The two static calls of the hammer. work has arguments and results in all kinds of
// registers; note has no results, so that a call of nothing is a NOP.
var (
	work = staticcall.NewCond[workFunc](nil)
	note = staticcall.NewCond[noteFunc](nil)

	_ = staticcall.Register(&work, "prog.work", "what the hammer of calls calls")
	_ = staticcall.Register(&note, "prog.note", "what it calls without results")
)

type (
	workFunc = func(m *mark, x uint64, s []byte, f float64) (tag uint64, sum uint64, back []byte, g float64)
	noteFunc = func(m *mark)
)

// mark is what a function leaves behind.
type mark struct {
	tag uint64
	x   uint64
	_   [6]uint64
}

//go:noinline
func Work(m *mark, x uint64, s []byte, f float64) (uint64, uint64, []byte, float64) {
	return work.Func()(m, x, s, f)
}

//go:noinline
func Note(m *mark) { note.Func()(m) }

// Note is a forwarder that is a method, which others promote: by a jump.
//
//go:noinline
func (m *mark) Note() { note.Func()(m) }

type marks struct {
	mark
	_ int
}

// box is what a closure captures. Its finalizer poisons it: whoever uses a closure that
// the collector took away finds out.
type box struct {
	tag   uint64
	magic uint64
}

const (
	goodMagic = 0x600D600D600D600D
	badMagic  = 0xBADBADBADBADBAD
	badTag    = ^uint64(0)
)

var poisoned atomic.Uint64

func newBox(tag uint64) *box {
	b := &box{tag, goodMagic}
	runtime.SetFinalizer(b, func(b *box) { b.magic = badMagic; poisoned.Add(1) })
	return b
}

func (b *box) check() uint64 {
	if b.magic != goodMagic {
		return badTag
	}
	return b.tag
}

// answer is what every implementation of work must return.
func answer(tag, x uint64, s []byte, f float64) (uint64, uint64, []byte, float64) {
	return tag, tag*31 + x, s, f + float64(tag%1024)
}

// kinds of functions, with several of each.
const (
	kindNil = iota
	kindPlain
	kindClosure
	kindMethod
	callKindCount
)

var callKinds = [callKindCount]string{"nil", "plain", "closure", "method"}

// plainTags are the tags of plain functions, which are not fresh: 1 to plainTags.
const plainTags = 4

func plain1(_ *mark, x uint64, s []byte, f float64) (uint64, uint64, []byte, float64) {
	return answer(1, x, s, f)
}

func plain2(m *mark, x uint64, s []byte, f float64) (uint64, uint64, []byte, float64) {
	m.x += x
	return answer(2, x, s, f)
}

// plain3 needs much stack: it grows in a function that was entered by a patched call.
func plain3(_ *mark, x uint64, s []byte, f float64) (uint64, uint64, []byte, float64) {
	return answer(2+needs8K(x), x, s, f)
}

// plain4 yields: goroutines wait in functions that are replaced meanwhile.
func plain4(_ *mark, x uint64, s []byte, f float64) (uint64, uint64, []byte, float64) {
	runtime.Gosched()
	return answer(4, x, s, f)
}

//go:noinline
func needs8K(x uint64) uint64 {
	var pad [8 << 10]byte
	pad[x%uint64(len(pad))] = 1
	return uint64(pad[x%uint64(len(pad))])
}

var plainWork = [plainTags]workFunc{plain1, plain2, plain3, plain4}

var plainNote = [plainTags]noteFunc{
	func(m *mark) { m.tag = 1 },
	func(m *mark) { m.tag = 2 },
	func(m *mark) { m.tag = 2 + needs8K(m.x) },
	func(m *mark) { runtime.Gosched(); m.tag = 4 },
}

// closureWork returns a fresh closure. There are different ones of the same size: one
// whose stub leads into the code of another would do the wrong thing.
func closureWork(b *box) workFunc {
	switch b.tag % 3 {
	case 0:
		return func(_ *mark, x uint64, s []byte, f float64) (uint64, uint64, []byte, float64) {
			if b.tag%3 != 0 {
				return answer(badTag, x, s, f)
			}
			return answer(b.check(), x, s, f)
		}
	case 1:
		return func(_ *mark, x uint64, s []byte, f float64) (uint64, uint64, []byte, float64) {
			n := needs8K(x) - 1
			if b.tag%3 != 1 {
				return answer(badTag, x, s, f)
			}
			return answer(b.check()+n, x, s, f)
		}
	}
	return func(m *mark, x uint64, s []byte, f float64) (uint64, uint64, []byte, float64) {
		m.x += x
		if x%64 == 0 {
			runtime.Gosched()
		}
		if b.tag%3 != 2 {
			return answer(badTag, x, s, f)
		}
		return answer(b.check(), x, s, f)
	}
}

func closureNote(b *box) noteFunc {
	if b.tag%2 == 0 {
		return func(m *mark) {
			m.tag = b.check()
			if b.tag%2 != 0 {
				m.tag = badTag
			}
		}
	}
	return func(m *mark) {
		m.tag = b.check() - 1 + needs8K(m.x)
		if b.tag%2 != 1 {
			m.tag = badTag
		}
	}
}

func (b *box) work(_ *mark, x uint64, s []byte, f float64) (uint64, uint64, []byte, float64) {
	return answer(b.check(), x, s, f)
}

func (b *box) note(m *mark) { m.tag = b.check() }

// newWork returns a function of the kind, and its tag: tag if the function is a fresh one.
func newWork(kind int, tag uint64) (workFunc, uint64) {
	switch kind {
	case kindPlain:
		n := tag % plainTags
		return plainWork[n], n + 1
	case kindClosure:
		return closureWork(newBox(tag)), tag
	case kindMethod:
		return newBox(tag).work, tag
	}
	return nil, 0
}

func newNote(kind int, tag uint64) (noteFunc, uint64) {
	switch kind {
	case kindPlain:
		n := tag % plainTags
		return plainNote[n], n + 1
	case kindClosure:
		return closureNote(newBox(tag)), tag
	case kindMethod:
		return newBox(tag).note, tag
	}
	return nil, 0
}

// callers are functions with call sites of every kind. Each returns the tag that it saw,
// or badTag and why.
var callers = []struct {
	name string
	note bool // calls note, not work
	f    func(c *caller) (uint64, string)
}{
	{"once", false, callOnce},
	{"thrice", false, callThrice},
	{"value", false, callValue},
	{"deferred", false, callDeferred},
	{"loop", false, callLoop},
	{"note", true, callNote},
	{"note method", true, callNoteMethod},
	{"note promoted", true, callNotePromoted},
	{"note deferred", true, callNoteDeferred},
}

// caller is the scratch memory of one goroutine.
type caller struct {
	m   *mark // on the heap: what is called may keep it
	ms  noter
	all *marks
	x   uint64
	buf []byte
	f   float64
}

func newCaller(seed uint64) *caller {
	c := &caller{m: &mark{}, all: &marks{}, x: seed, buf: make([]byte, 16)}
	c.ms = c.all
	return c
}

type noter interface{ Note() }

// workOnce is the check of one call: what comes back must be the answer to what went in,
// by one function.
func (c *caller) workOnce(tag, sum uint64, back []byte, g float64) (uint64, string) {
	if tag == 0 && sum == 0 && back == nil && g == 0 {
		return 0, ""
	}
	_, wantSum, _, wantG := answer(tag, c.x, nil, c.f)
	if sum != wantSum || g != wantG || len(back) != len(c.buf) || &back[0] != &c.buf[0] {
		return badTag, fmt.Sprintf("work(%d, %v) returned tag %d, sum %d, %d bytes, %v", c.x, c.f, tag, sum, len(back), g)
	}
	return tag, ""
}

//go:noinline
func callOnce(c *caller) (uint64, string) { return c.workOnce(Work(c.m, c.x, c.buf, c.f)) }

// callThrice has live values of all kinds across three sites.
//
//go:noinline
func callThrice(c *caller) (uint64, string) {
	a, b := c.x*3, c.f*5
	t1, s1, r1, g1 := Work(c.m, c.x, c.buf, c.f)
	t2, s2, r2, g2 := Work(c.m, c.x, c.buf, c.f)
	t3, s3, r3, g3 := Work(c.m, c.x, c.buf, c.f)
	if a != c.x*3 || b != c.f*5 {
		return badTag, fmt.Sprintf("locals have changed: %d, %v", a, b)
	}
	// The function may have changed between them, so each is right or wrong by itself.
	for _, r := range [...]struct {
		t, s uint64
		r    []byte
		g    float64
	}{{t1, s1, r1, g1}, {t2, s2, r2, g2}} {
		if t, why := c.workOnce(r.t, r.s, r.r, r.g); t == badTag {
			return t, why
		}
	}
	return c.workOnce(t3, s3, r3, g3)
}

var workValue = Work // no site: it goes by way of the forwarder

//go:noinline
func callValue(c *caller) (uint64, string) { return c.workOnce(workValue(c.m, c.x, c.buf, c.f)) }

//go:noinline
func callDeferred(c *caller) (tag uint64, why string) {
	defer func() { tag, why = c.workOnce(Work(c.m, c.x, c.buf, c.f)) }()
	return badTag, "the deferred call did not happen"
}

//go:noinline
func callLoop(c *caller) (tag uint64, why string) {
	for range 8 {
		if tag, why = c.workOnce(Work(c.m, c.x, c.buf, c.f)); tag == badTag {
			return
		}
	}
	return
}

//go:noinline
func callNote(c *caller) (uint64, string) {
	c.m.tag = 0
	Note(c.m)
	return c.m.tag, ""
}

//go:noinline
func callNoteMethod(c *caller) (uint64, string) {
	c.m.tag = 0
	c.m.Note()
	return c.m.tag, ""
}

//go:noinline
func callNotePromoted(c *caller) (uint64, string) {
	c.all.tag = 0
	c.ms.Note()
	return c.all.tag, ""
}

//go:noinline
func callNoteDeferred(c *caller) (uint64, string) {
	c.m.tag = 0
	func() {
		defer Note(c.m)
		c.x++
	}()
	return c.m.tag, ""
}

// callDeep calls on every level of a recursion that needs a new stack.
//
//go:noinline
func callDeep(c *caller, n int) (uint64, string) {
	var pad [256]byte
	pad[n%len(pad)] = 1
	if tag, why := callOnce(c); tag == badTag {
		return tag, why
	}
	if n > 0 {
		tag, why := callDeep(c, n-1)
		if pad[n%len(pad)] != 1 {
			return badTag, "a frame has changed"
		}
		return tag, why
	}
	return callOnce(c)
}
