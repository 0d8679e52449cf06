package engine

import (
	"errors"
	"slices"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/text"
)

// Flips are the short way for what happens most: keys that are on or off, all of
// whose armed sites change one byte, by the store protocol. Nothing is made for
// them: the sites themselves say what stands there and what comes. The order is
// that of the changes and of each key's sites. When one fails, pokes are made in
// the same order, and the undo goes on with them.

// countFlips returns how many stores the changes are, 0 if they are no flips.
func (e *Engine) countFlips(changes []Change) int {
	if e.strategy != protocol.Store {
		return 0
	}
	n := 0
	for _, c := range changes {
		if c.Key.value() == c.Value {
			continue
		}
		if c.Key.slow > 0 {
			return 0
		}
		n += c.Key.armed
	}
	return n
}

// performFlips carries out step 0 or S for all of them.
func (e *Engine) performFlips(ef protocol.Effect) protocol.Result {
	done := 0
	w := e.m.Window()
	for _, c := range e.changes {
		from := c.Key.value()
		if from == c.Value {
			continue
		}
		var n int
		var err error
		switch {
		case ef.Step == protocol.StepCheck:
			n, err = e.checkFlips(c.Key.sites, from)
		case w != nil:
			n, err = e.storeFast(w, c.Key, from)
		default:
			n, err = e.storeFlips(c.Key.sites, from)
		}
		if done += n; err != nil {
			return failed(done, err)
		}
	}
	return protocol.Result{}
}

// checkFlips compares the armed ones of the sites with what they are when the key is
// v. It returns how many are right, from the first on.
func (e *Engine) checkFlips(sites []Site, v int64) (int, error) {
	n := 0
	for i := range sites {
		s := &sites[i]
		if s.state != Armed {
			continue
		}
		if want, found := e.toggles.word(s, v), text.Load(s.addr, int(s.orig.N)); found != want {
			return n, &text.MismatchError{Addr: s.addr, N: s.n(), Expected: want, Found: found}
		}
		n++
	}
	return n, nil
}

// storeFlips changes the one byte of each armed site, from what it is when the key
// is v to what it is when the key is not.
func (e *Engine) storeFlips(sites []Site, v int64) (int, error) {
	n := 0
	for i := range sites {
		s := &sites[i]
		if s.state != Armed {
			continue
		}
		old, next := e.toggles.word(s, v)>>(8*s.off), e.toggles.word(s, 1-v)>>(8*s.off)
		if err := e.m.Poke(s.addr+uintptr(s.off), 1, old&0xFF, next&0xFF); err != nil {
			e.count.Pokes += uint64(n)
			return n, err
		}
		n++
	}
	e.count.Pokes += uint64(n)
	return n, nil
}

// storeFast is storeFlips through a window: it compares and stores in one visit. It
// compares what of a site lies in one aligned quadword with the byte that changes: all
// of the site may cross a cache line (docs/RATIONALE.md).
func (e *Engine) storeFast(w *text.Window, k *Key, v int64) (int, error) {
	n := k.armed
	end := swapAll(w, e.toggles.table, k.sites, v)
	var err error
	if end < len(k.sites) {
		n = 0
		for i := range k.sites[:end] {
			if k.sites[i].state == Armed {
				n++
			}
		}
		err = e.fastFailed(&k.sites[end], e.toggles.word(&k.sites[end], v))
	}
	e.count.Pokes += uint64(n)
	return n, err
}

// swapAll flips the sites of a key whose value is v. It returns the index of the first
// that was not as expected, or how many sites there are. It is a function of its own,
// and counts nothing, so that all it needs stays in registers.
func swapAll(w *text.Window, table *[togglesMax]toggle, sites []Site, v int64) int {
	for i := range sites {
		s := &sites[i]
		if s.state != Armed {
			continue
		}
		at := s.addr + uintptr(s.off)
		q := &table[s.flip%togglesMax][at%text.WordMax]
		if !w.Swap(at, q.mask, q.word[v&1], q.next[v&1]) {
			return i
		}
	}
	return len(sites)
}

// fastFailed says what is wrong with a site. It looks at all of it: bytes outside of the
// quadword are shown, too.
func (e *Engine) fastFailed(s *Site, want uint64) error {
	if found := e.m.Load(s.addr, s.n()); found != want {
		return &text.MismatchError{Addr: s.addr, N: s.n(), Expected: want, Found: found}
	}
	return &text.WriteError{Backend: e.m.Backend(), Addr: s.addr, N: s.n(), Err: errNoWindow}
}

var errNoWindow = errors.New("its page is not where it is written")

// slowPokes describes a batch of flips by pokes, in the same order. They are not
// sorted, and need not be: what follows is the way back of the store protocol, or
// one site at a time.
func (e *Engine) slowPokes() {
	if e.flips > 0 {
		e.flips = 0
		e.makePokes(e.changes)
	}
}

// quad is the naturally aligned quadword that holds the byte of a site that changes.
// No cache line ends inside of it.
type quad struct {
	mask uint64    // the bytes of the site that lie in it
	word [2]uint64 // what they are when the key is 0 and 1
	next [2]uint8  // what the byte becomes then
}

// toggle is what a flip does to sites whose armed forms are the same: by where in its
// quadword the byte lies.
type toggle [text.WordMax]quad

// armedPair is what the sites of a toggle have in common.
type armedPair struct {
	words  [2]uint64 // the armed forms of 0 and 1, the first byte lowest
	n, off uint8     // their length, and which byte changes
}

func newToggle(p armedPair) (t toggle) {
	n, off := int(p.n), int(p.off)
	for at := range t {
		q := &t[at]
		for i := max(0, off-at); i < min(n, off-at+text.WordMax); i++ {
			shift := 8 * (at - off + i)
			q.mask |= 0xFF << shift
			q.word[0] |= p.words[0] >> (8 * i) & 0xFF << shift
			q.word[1] |= p.words[1] >> (8 * i) & 0xFF << shift
		}
		q.next = [2]uint8{uint8(p.words[1] >> (8 * off)), uint8(p.words[0] >> (8 * off))}
	}
	return t
}

// togglesMax is more than there are: armed forms of flips differ in the register only.
const togglesMax = 32

// toggles keeps each toggle once: thousands of sites share it. Number 0 is none.
type toggles struct {
	pairs []armedPair
	table *[togglesMax]toggle // nil until there is one
}

// number returns the number of the flip between two codes that differ in byte off. 0
// means that it is not done here: it is longer than a word, or there is no room.
func (t *toggles) number(zero, one insn.Code, off int) uint8 {
	p := armedPair{words: [2]uint64{word(zero), word(one)}, n: zero.N, off: uint8(off)}
	if i := slices.Index(t.pairs, p); i >= 0 {
		return uint8(i)
	}
	if t.table == nil {
		t.pairs, t.table = make([]armedPair, 1), new([togglesMax]toggle)
		for at := range t.table[0] {
			t.table[0][at] = quad{mask: ^uint64(0), word: [2]uint64{^uint64(0), ^uint64(0)}} // is no code, matches none
		}
	}
	i := len(t.pairs)
	if zero.N > text.WordMax || i == togglesMax {
		return 0
	}
	t.pairs = append(t.pairs, p)
	t.table[i] = newToggle(p)
	return uint8(i)
}

// word returns the armed form of v at a flip, the first byte lowest.
func (t *toggles) word(s *Site, v int64) uint64 { return t.pairs[s.flip].words[v] }
