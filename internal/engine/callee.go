package engine

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
	"github.com/quietpatch/quietpatch/internal/site"
)

// A static call is a key whose value is a function: the word in its variable, the
// address of the closure. Its sites are the direct calls of its forwarder; armed, they
// go straight to the function that the value stands for. All the rest (batches, undo,
// arming and disarming, what becomes of a site that cannot be patched) is as for every
// other key.

// callees knows the functions that a static call has had as long as any thread may
// enter them by way of text. Covered by the engine's lock.
type callees struct {
	e       *Engine
	k       *Key
	addr    *unsafe.Pointer // the variable
	nothing unsafe.Pointer  // the function that stands for none, nil if there is no such
	void    bool            // it has no results
	known   map[int64]*callee
	left    map[int64]*callee // that only threads in their stubs may still know
}

// callee is one function.
type callee struct {
	fn    Func        // the closure; text that leads to it keeps it alive
	entry uintptr     // of its code
	to    insn.Callee // where sites go; nowhere until lead
	stub  uintptr     // that loads the closure's context, 0 if it has none
	why   string      // there is no place
}

// Func is a function as the engine sees it: the pointer that a func variable holds.
type Func = unsafe.Pointer

// value is the number that stands for the function, as a key's value.
func value(fn Func) int64 { return int64(uintptr(fn)) }

// CallAt is KeyAt for the static call whose variable, one word, is at addr. nothing is
// the function that it has for none (nil if none is an error of the caller), void
// says that it has no results.
func (e *Engine) CallAt(addr unsafe.Pointer, nothing Func, void bool, current func() *Key, install func(*Key)) (*Key, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.recordAt(addr, current, install, func() *Key {
		c := &callees{e: e, addr: (*unsafe.Pointer)(addr), nothing: nothing, void: void, known: map[int64]*callee{}, left: map[int64]*callee{}}
		k := NewKey(addr, int(unsafe.Sizeof(uintptr(0))), c)
		k.callees, c.k = c, k
		e.hasCalls = true
		c.meet(loadFunc(c.addr))
		return k
	})
}

// Load and Store make callees the cell of the key.
func (c *callees) Load() int64 { return value(loadFunc(c.addr)) }

// Store stores the function that the value stands for, which is known: it came with
// the change that asks for it, or was there before.
func (c *callees) Store(v int64) {
	if f := c.known[v]; f != nil {
		storeFunc(c.addr, f.fn)
	} else if v == 0 {
		storeFunc(c.addr, nil)
	}
}

// Text and Parse: a function has a name, but none can be given by name.
func (c *callees) Text(v int64) string {
	f := cmp.Or(c.known[v], c.left[v])
	switch {
	case v == 0, c.nothing != nil && v == value(c.nothing):
		return "nil"
	case f == nil:
		return fmt.Sprintf("the function at %#x", v)
	}
	return funcName(f.entry)
}

func (c *callees) Parse(s string) (int64, error) {
	return 0, fmt.Errorf("expected a key, found a static call, which only a program can change (to %q)", s)
}

func funcName(entry uintptr) string {
	if f := runtime.FuncForPC(entry); f != nil {
		return f.Name()
	}
	return fmt.Sprintf("the function at %#x", entry)
}

// meet makes the function known, before anything may lead to it. What has no place near
// the text, or no stub, is reached by way of the forwarder.
func (c *callees) meet(fn Func) {
	v := value(fn)
	if fn == nil {
		return
	}
	if c.known[v] != nil {
		return
	}
	if f := c.left[v]; f != nil {
		c.known[v] = f
		delete(c.left, v)
		c.e.keep(f.stub)
		return
	}
	// A closure's first word is the address of its code.
	c.known[v] = &callee{fn: fn, entry: *(*uintptr)(fn)}
}

// lead says where sites go that call the function: straight to its code if it has no
// context, as one that the compiler laid down in read-only memory; else to a stub. Where
// that is not possible they go by way of the forwarder, which is right, too: so as long as
// there is no site to lead anywhere.
func (c *callees) lead(v int64) {
	f := c.known[v]
	if f == nil || f.to.Entry != 0 || c.e.off != "" || c.e.m == nil || c.k.armed+c.k.unarmed == 0 {
		return
	}
	f.why = ""
	f.to.Nothing = f.fn == c.nothing && c.void
	if !c.needsStub(f) {
		f.to.Entry = uint64(f.entry)
		return
	}
	at, err := c.e.closureStub(f.fn, uint64(f.entry))
	if err != nil {
		f.why = fmt.Sprintf("the function is called by way of the forwarder: %v", err)
		c.e.problem("%s is called by way of the forwarder: %v", funcName(f.entry), err)
		return
	}
	f.stub, f.to.Entry = at, uint64(at)
}

// needsStub reports whether the function is a closure, which wants its context.
func (c *callees) needsStub(f *callee) bool { return !c.e.img.Constant(uintptr(f.fn)) }

// plain reports whether careful calls may be led to the function. The one that does
// nothing is in assembly, calls nothing and uses no stack.
func (c *callees) plain(f *callee) bool {
	return f.fn == c.nothing && !c.needsStub(f) || c.e.plain(f.entry)
}

// waits reports whether leading sites to the function takes a new stub, and so a sync.
func (c *callees) waits(v int64) bool {
	f := c.known[v]
	return f != nil && f.to.Entry == 0 && c.e.m != nil && c.k.armed > 0 && c.needsStub(f)
}

// whyNot says why the function has no place that sites can be led to.
func (c *callees) whyNot(v int64) string {
	if v == 0 {
		return "the function is nil: calls go by way of the forwarder, and panic there"
	}
	if f := c.known[v]; f != nil && f.why != "" {
		return f.why
	}
	return "the function is out of reach of the call, or the call is one in a wrapper or a nosplit function and the function " +
		"may recover or has no check of its stack: it is called by way of the forwarder"
}

// code returns the instruction of a site that goes to the function v.
func (c *callees) code(s *Site, v int64) insn.Code {
	if f := c.known[v]; f != nil && (!s.careful() || c.plain(f)) {
		if code, err := insn.ArmedCall(s.form, uint64(s.addr), f.to); err == nil {
			return code
		}
	}
	return s.orig
}

// sweep lets go of the functions that no text leads to any more. Those that have a stub wait
// for the threads that may be inside: see freeLeft.
func (c *callees) sweep(shown int64) {
	if c.e.stuck != nil || c.e.owed != nil || c.e.soon {
		c.e.unswept = true // a CPU may still lead there
		c.e.reapLater(reapMin)
		return
	}
	inMemory := c.Load()
	for v, f := range c.known {
		if v == shown || v == inMemory {
			continue
		}
		delete(c.known, v)
		if f.stub != 0 {
			c.left[v] = f // keeps the closure, which the stub loads, alive
			c.e.leave(f.stub, func() { delete(c.left, v) })
		}
	}
}

// searchCalls finds the forwarders among the functions that read the variables of the
// static calls (reads, whose Key is an index of keys), and the direct calls of them.
// Functions that are no forwarders are sites that stay as they are.
func (e *Engine) searchCalls(keys []*Key, reads []site.Site) []site.Site {
	if !slices.ContainsFunc(keys, func(k *Key) bool { return k.callees != nil }) {
		return reads // perhaps a hundred thousand
	}
	var found []site.Site
	for i := range reads {
		if keys[reads[i].Key].callees == nil {
			found = append(found, reads[i])
		}
	}
	readers := site.Readers(e.img, reads, func(key int) (uint64, bool) {
		return uint64(uintptr(keys[key].addr)), keys[key].callees != nil
	})
	if len(readers) == 0 {
		return found
	}
	for _, r := range readers {
		if r.Err != nil {
			r.Why = r.Err.Error()
			found = append(found, r.Site)
		}
	}
	found = append(found, site.FindForwarded(e.img, readers)...)
	site.Sort(found)
	return found
}

// The variable of a static call is one aligned word. Compiled code reads it by a plain
// load where text is patched, and by an atomic one elsewhere.

func loadFunc(p *unsafe.Pointer) Func     { return atomic.LoadPointer(p) }
func storeFunc(p *unsafe.Pointer, f Func) { atomic.StorePointer(p, f) }
