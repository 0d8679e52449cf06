package site

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// FindCalls returns every direct call of one of the callees, and every jump of the
// same length to one from another function, sorted by address. Key is the index of the
// callee. Only functions that pick wants are looked at (nil: all).
func FindCalls(img Image, callees []uint64, pick func(fn string) bool) []Site {
	segs := img.Text()
	c := confirmer{img: img, segs: segs}
	var found []Site
	for _, cand := range callCandidates(segs, callees) {
		if s, ok := c.confirmCall(cand, pick); ok && s.Entry != callees[s.Key] {
			found = append(found, s) // not a loop of the callee itself
		}
	}
	Sort(found)
	return found
}

// Sort sorts sites by address.
func Sort(sites []Site) {
	slices.SortFunc(sites, func(a, b Site) int { return cmp.Compare(a.Addr, b.Addr) })
}

// Initializer reports whether the function is one that the compiler made to give
// package-level variables their values: under the garbage collector's barrier it reads
// what it overwrites.
func Initializer(fn string) bool { return strings.HasSuffix(fn, ".init") }

// callCandidates lists the bytes that look like a direct call or jump to a callee;
// disp is the address of the opcode.
func callCandidates(segs []Segment, callees []uint64) []candidate {
	if len(callees) == 0 {
		return nil
	}
	keys := make([]Key, len(callees))
	for i, a := range callees {
		keys[i].Addr = a
	}
	ix := newIndex(keys)
	var out []candidate
	for si, seg := range segs {
		b := seg.Bytes
		for i := 0; i+insn.CallLen <= len(b); i++ {
			if b[i]&0xFE != 0xE8 { // CALL and JMP rel32
				continue
			}
			rel := uint64(int64(int32(binary.LittleEndian.Uint32(b[i+1:]))))
			target := seg.Addr + uint64(i) + insn.CallLen + rel
			if k, ok := ix.find(target); ok {
				out = append(out, candidate{disp: seg.Addr + uint64(i), seg: si, key: k})
			}
		}
	}
	return out
}

// confirmCall makes sure that an instruction begins at the candidate, in a function
// that pick wants, and judges it.
func (c *confirmer) confirmCall(cand candidate, pick func(string) bool) (Site, bool) {
	entry, name, ok := c.img.Func(cand.disp)
	seg := c.segs[cand.seg]
	if !ok || entry < seg.Addr || entry > cand.disp {
		return Site{}, false
	}
	if pick != nil && !pick(name) {
		return Site{}, false
	}
	c.enter(seg, entry)
	code := seg.Bytes[cand.disp-seg.Addr:][:insn.CallLen]
	s := Site{Addr: cand.disp, Key: cand.key, Entry: entry, Func: name}
	if err := c.walk(seg, cand.disp); err != nil {
		s.Why = err.Error()
		return s, true
	}
	if c.at != cand.disp {
		return Site{}, false // in the middle of another instruction
	}
	s.Form, _ = insn.RecognizeCall(code)
	s.Code.N = insn.CallLen
	copy(s.Code.B[:], code)
	if !c.inside(s.Addr + insn.CallLen - 1) {
		s.Why = "the function ends inside of the instruction"
		return s, true
	}
	if s.Why = c.forbidden(name); s.Why == "" {
		s.Why = c.whole()
	}
	if s.Why == "" && c.deferred() {
		s.Why = "a deferred call: what it calls directly may recover a panic, which the function behind a forwarder may not"
	}
	return s, true
}

// deferred reports whether the function at hand is one that the compiler made to defer a
// call with arguments (cmd/compile/internal/typecheck, closure names).
func (c *confirmer) deferred() bool {
	_, outer, ok := c.img.Func(c.entry)
	return ok && strings.HasPrefix(outer[strings.LastIndexByte(outer, '.')+1:], "deferwrap")
}

// enter makes entry the function at hand.
func (c *confirmer) enter(seg Segment, entry uint64) {
	if entry == c.entry {
		return
	}
	c.entry, c.at, c.err, c.in = entry, entry, nil, insn.Inst{}
	c.judged = false
	c.last, c.beyond = entry, seg.Addr+uint64(len(seg.Bytes))
}

// bytesAt returns the text from addr to the end of its segment, nil outside of text.
func bytesAt(segs []Segment, addr uint64) []byte {
	for _, s := range segs {
		if addr >= s.Addr && addr-s.Addr < uint64(len(s.Bytes)) {
			return s.Bytes[addr-s.Addr:]
		}
	}
	return nil
}

// errShape says where a function is no forwarder.
func errShape(at uint64, code []byte, why string) error {
	n := 1
	if in, err := insn.Decode(code); err == nil {
		n = int(in.Len)
	}
	return fmt.Errorf("%w: at %#x (% x): %s", ErrForwarder, at, code[:min(n, len(code))], why)
}
