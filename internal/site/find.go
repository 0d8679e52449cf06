package site

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// candidate is a displacement in the text that may point at a key.
type candidate struct {
	disp uint64 // address of its four bytes
	seg  int
	key  int
}

// Find returns every instruction that reads one of the keys, sorted by address.
func Find(img Image, keys []Key) []Site {
	segs := img.Text()
	var found []Site
	c := confirmer{img: img, segs: segs, keys: keys}
	for _, cand := range candidates(segs, keys) {
		if s, ok := c.confirm(cand); ok {
			found = append(found, s)
		}
	}
	Sort(found)
	return slices.CompactFunc(found, func(a, b Site) bool { return a.Addr == b.Addr })
}

// index finds keys by address.
type index struct {
	addrs []uint64 // sorted
	nth   []int    // addrs[i] belongs to keys[nth[i]]
	lo    uint64   // addrs[0]
	span  uint64   // addrs[last] - lo
}

func newIndex(keys []Key) index {
	ix := index{nth: make([]int, len(keys)), addrs: make([]uint64, len(keys))}
	for i := range keys {
		ix.nth[i] = i
	}
	slices.SortFunc(ix.nth, func(a, b int) int { return cmp.Compare(keys[a].Addr, keys[b].Addr) })
	for i, n := range ix.nth {
		ix.addrs[i] = keys[n].Addr
	}
	if len(keys) > 0 {
		ix.lo = ix.addrs[0]
		ix.span = ix.addrs[len(keys)-1] - ix.lo
	}
	return ix
}

func (ix *index) find(addr uint64) (int, bool) {
	if addr-ix.lo > ix.span { // wraps for addr below lo
		return 0, false
	}
	i, ok := slices.BinarySearch(ix.addrs, addr)
	if !ok {
		return 0, false
	}
	return ix.nth[i], true
}

// immLens are the immediate sizes that may stand between a displacement and
// the end of its instruction, which RIP-relative addresses count from. Our forms
// have 0, 1 or 4; those with 2 are reads that are reported, not patched.
var immLens = [...]uint64{0, 1, 2, 4}

// candidates is pass 1. ModRM with mod=00 and rm=101 stands before every
// RIP-relative displacement (Intel SDM vol. 2, 2.2.1.6).
func candidates(segs []Segment, keys []Key) []candidate {
	if len(keys) == 0 {
		return nil
	}
	ix := newIndex(keys)
	var out []candidate
	for si, seg := range segs {
		b := seg.Bytes
		for i := 1; i+5 <= len(b); i++ {
			if b[i]&0xC7 != 0x05 {
				continue
			}
			rel := uint64(int64(int32(binary.LittleEndian.Uint32(b[i+1:]))))
			next := seg.Addr + uint64(i) + 5 + rel
			if next+4-ix.lo > ix.span+4 {
				continue
			}
			for _, n := range immLens {
				if k, ok := ix.find(next + n); ok {
					out = append(out, candidate{disp: seg.Addr + uint64(i) + 1, seg: si, key: k})
				}
			}
		}
	}
	return out
}

// confirmer is pass 2. Candidates come in ascending order, so it keeps its
// place in the function at hand and decodes every function once.
type confirmer struct {
	img  Image
	segs []Segment
	keys []Key

	entry   uint64 // the function at hand
	last    uint64 // the highest address that is known to belong to it
	judged  bool   // verdict is known
	verdict string // see whole
	beyond  uint64 // the lowest that is known to lie behind it
	at      uint64 // decoded up to here
	in      insn.Inst
	err     error // decoding of this function ended here

	name, reason string // what forbidden said of the last name
}

// confirm finds the instruction that owns the displacement.
func (c *confirmer) confirm(cand candidate) (Site, bool) {
	entry, name, ok := c.img.Func(cand.disp)
	seg := c.segs[cand.seg]
	if !ok || entry < seg.Addr || entry > cand.disp {
		return Site{}, false // C code, or padding: no key of Go is read there
	}
	c.enter(seg, entry)
	s := Site{Addr: cand.disp, Key: cand.key, Entry: entry, Func: name}
	if err := c.walk(seg, cand.disp); err != nil {
		s.Why = err.Error()
		return s, true
	}
	code := seg.Bytes[c.at-seg.Addr:]
	if c.at+uint64(c.in.DispOff) != cand.disp || !c.in.RIPRelative() ||
		insn.Target(c.at, c.in, code) != c.keys[cand.key].Addr {
		return Site{}, false // bytes that look alike by chance
	}
	if !reads(c.in) {
		return Site{}, false
	}
	s.Addr = c.at
	c.judge(&s, seg)
	return s, true
}

// reads reports whether an instruction with a memory operand reads it: LEA
// takes the address only, and the plain moves to memory only write.
func reads(in insn.Inst) bool {
	if in.Enc != insn.Legacy || in.Map != 0 {
		return true
	}
	switch in.Op {
	case 0x8D, // LEA
		0x88, 0x89, // MOV reg to memory
		0xC6, 0xC7: // MOV imm to memory
		return false
	}
	return true
}

// walk decodes from where the confirmer stands until the instruction that
// holds addr; it stands at c.at then, decoded into c.in.
func (c *confirmer) walk(seg Segment, addr uint64) error {
	for c.err == nil {
		in, err := insn.Decode(seg.Bytes[c.at-seg.Addr:])
		if err != nil {
			c.err = fmt.Errorf("the function could not be decoded: at %#x: %w", c.at, err)
			break
		}
		if addr < c.at+uint64(in.Len) {
			c.in = in
			return nil
		}
		c.at += uint64(in.Len)
	}
	return c.err
}

// judge decides whether the confirmed instruction may be replaced.
func (c *confirmer) judge(s *Site, seg Segment) {
	code := seg.Bytes[s.Addr-seg.Addr:]
	form, in, ok := insn.Recognize(code)
	if !ok || form.Width() != c.keys[s.Key].Width {
		s.Why = fmt.Sprintf("no immediate form for this instruction (% x)", code[:c.in.Len])
		return
	}
	s.Form, s.Code.N = form, in.Len
	copy(s.Code.B[:], code[:in.Len])
	if !c.inside(s.Addr + uint64(in.Len) - 1) {
		// No compiler's work. Where functions overlap, so may sites.
		s.Why = "the function ends inside of the instruction"
		return
	}
	if s.Why = c.forbidden(s.Func); s.Why != "" {
		return
	}
	if s.Why = c.whole(); s.Why != "" {
		return
	}
	if form.Compares() {
		if s.Conds, s.Why = c.flagReaders(seg, s.Addr+uint64(in.Len)); s.Why != "" {
			return
		}
	}
	// A value that has no armed form is no reason: others may have one.
	if _, err := insn.Armed(form, s.Code, s.Conds, 0); err != nil && !errors.Is(err, insn.ErrNoImmediate) {
		s.Why = err.Error()
	}
}

// whole says why no site may lie in the function at hand, "" if that is not so. It is
// the same for all of its sites.
func (c *confirmer) whole() string {
	if c.judged {
		return c.verdict
	}
	c.judged, c.verdict = true, ""
	if _, outer, ok := c.img.Func(c.entry); ok {
		c.verdict = c.forbidden(outer)
	}
	if c.verdict == "" && c.img.Assembly(c.entry) {
		// It may hold data, and RSP may be anything.
		c.verdict = "the function is written in assembly"
	}
	return c.verdict
}

// forbidden is the function of that name. The sites of a function come one after
// the other, and a name can be long.
func (c *confirmer) forbidden(name string) string {
	if name != c.name {
		c.name, c.reason = name, forbidden(name)
	}
	return c.reason
}
