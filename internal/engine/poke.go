package engine

import (
	"cmp"
	"slices"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// poke is one site's part in a batch.
type poke struct {
	key      *Key // nil: an indirect call
	site     *Site
	old, new insn.Code // the site's bytes before and after
	// What a thread that traps here sees, on the way forward and on the way
	// back.
	newValue, oldValue int64
}

// clear makes room for the next batch.
func (e *Engine) clear() {
	if cap(e.pokes) > pokesKept {
		e.pokes = nil // the first arm may have had a hundred thousand
	}
	e.pokes, e.flips = e.pokes[:0], 0
}

const pokesKept = 4096

// addToggle queues what turns an armed site from one value to another, nothing
// if that changes no byte.
func (e *Engine) addToggle(k *Key, s *Site, from, to int64) {
	if old, new := k.code(s, from), k.code(s, to); old != new {
		e.pokes = append(e.pokes, poke{key: k, site: s, old: old, new: new, oldValue: from, newValue: to})
	}
}

// sortPokes sorts by address over all keys, as the vector must be.
func (e *Engine) sortPokes() {
	slices.SortFunc(e.pokes, func(a, b poke) int { return cmp.Compare(a.site.addr, b.site.addr) })
}

// label names what the site belongs to.
func (p *poke) label() string {
	if p.key == nil {
		return "an indirect call"
	}
	return p.key.label()
}

// toMemory reports whether the poke puts the compiler's bytes back: its site
// will read the key's memory.
func (p *poke) toMemory() bool { return p.new == p.site.orig }

// among reports whether every byte found from off on is the site's old or new
// one, or, at the head, the trap byte.
func (p *poke) among(found uint64, off, n int) bool {
	for i := range n {
		f, o, w := byte(found>>(8*i)), p.old.B[off+i], p.new.B[off+i]
		trapped := off+i == 0 && f == trapByte
		if f != o && f != w && !trapped {
			return false
		}
	}
	return true
}

// span returns the bytes that one store changes: where old and new differ,
// widened to 1, 2 or 4 bytes within the site. ok is false if one store cannot do
// it: more bytes differ, or they do not lie in one naturally aligned quadword (AMD
// APM vol. 2, 7.6.1), or one of the two is another instruction, the compiler's.
func (p *poke) span() (off, n int, ok bool) {
	if !p.site.form.Transfers() && (p.toMemory() || p.old == p.site.orig) {
		return 0, 0, false // a call is a call, wherever it goes
	}
	off, n = insn.Diff(p.old, p.new)
	if n == 3 {
		n = 4
		off = min(off, p.site.n()-n)
	}
	if n > 4 || off < 1 {
		return 0, 0, false
	}
	at := p.site.addr + uintptr(off)
	return off, n, at/8 == (at+uintptr(n)-1)/8
}

// storable reports whether every queued poke is one store for this backend.
func (e *Engine) storable() bool {
	widest := e.m.StoreMax()
	for i := range e.pokes {
		if _, n, ok := e.pokes[i].span(); !ok || n > widest {
			return false
		}
	}
	return true
}
