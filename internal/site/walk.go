package site

import (
	"fmt"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// Walk goes to each of the addresses in the text, which must ascend, and calls visit
// for those that lie in a Go function. The Walker then stands at the instruction that
// holds addrs[i].
//
// Each of these functions is decoded once, from its start: compiled Go functions hold no
// data, so that finds the boundaries that the CPU sees. The others are not looked at.
func Walk(img Image, addrs []uint64, visit func(i int, w *Walker)) {
	w := Walker{img: img, segs: img.Text()}
	for i, addr := range addrs {
		if w.enter(addr) {
			w.seek(addr)
			visit(i, &w)
		}
	}
}

// A Walker stands at one instruction of a Go function.
type Walker struct {
	Entry uint64 // of the function
	Func  string // its name
	Addr  uint64 // of the instruction
	Inst  insn.Inst
	// Err is not nil if the function cannot be decoded up to the address that was asked
	// for: there is no instruction then, and Addr is where decoding ended.
	Err error

	img  Image
	segs []Segment // the one at hand and those behind it

	// The function ends behind last, and at end or before. Each question to the image
	// costs a walk through tables of the runtime.
	last, end uint64

	judged  bool // verdict is known
	verdict string
}

// enter moves to the function that holds addr.
func (w *Walker) enter(addr uint64) bool {
	for len(w.segs) > 0 && addr-w.segs[0].Addr >= uint64(len(w.segs[0].Bytes)) {
		w.segs, w.last, w.end = w.segs[1:], 0, 0
	}
	if len(w.segs) == 0 {
		return false
	}
	if addr <= w.last {
		return true
	}
	entry, name, known, ok := w.locate(addr)
	if !ok || entry < w.segs[0].Addr {
		return false
	}
	if w.end != 0 && entry == w.Entry {
		w.last = known
		return true
	}
	w.Entry, w.Func, w.Addr, w.Err = entry, name, entry, nil
	w.last, w.end = known, w.segs[0].Addr+uint64(len(w.segs[0].Bytes))
	w.judged = false
	if _, outer, ok := w.img.Func(entry); ok {
		w.Func = outer // name may be that of a function that was inlined
	}
	return true
}

// locateAhead is how far behind an address the image is asked for its function: at a
// site it would have to look up what was inlined there.
const locateAhead = 32

// locate returns the function that holds addr, and up to where it is known to go. Functions have no
// holes.
func (w *Walker) locate(addr uint64) (entry uint64, name string, known uint64, ok bool) {
	known = addr + locateAhead
	if known-w.segs[0].Addr < uint64(len(w.segs[0].Bytes)) {
		if entry, name, ok = w.img.Func(known); ok && entry <= addr {
			return entry, name, known, true
		}
	}
	entry, name, ok = w.img.Func(addr)
	return entry, name, addr, ok && entry <= addr
}

// seek decodes from where the Walker stands up to the instruction that holds addr.
func (w *Walker) seek(addr uint64) {
	if w.Err != nil {
		return
	}
	seg := w.segs[0]
	at, in, err := insn.Seek(seg.Bytes, int(w.Addr-seg.Addr), int(addr-seg.Addr))
	w.Addr, w.Inst = seg.Addr+uint64(at), in
	if err != nil {
		w.Err = fmt.Errorf("the function could not be decoded: at %#x: %w", w.Addr, err)
	}
}

// Code returns the text from addr on, which must be in the function or right behind
// it, to the end of the segment.
func (w *Walker) Code(addr uint64) []byte {
	seg := w.segs[0]
	return seg.Bytes[min(addr-seg.Addr, uint64(len(seg.Bytes))):]
}

// Inside reports whether addr lies in the function.
func (w *Walker) Inside(addr uint64) bool {
	if addr > w.last && addr < w.end {
		w.findEnd()
	}
	return addr >= w.Entry && addr <= w.last
}

// endAhead is how far findEnd looks ahead at first.
const endAhead = 256

// findEnd asks until last stands right in front of end. Nearly always the function that it
// meets first is the next one.
func (w *Walker) findEnd() {
	for step := uint64(endAhead); w.last+step < w.end; step *= 2 {
		w.ask(w.last + step)
	}
	for w.last+1 < w.end {
		w.ask(w.end - 1)
		if w.last+1 < w.end {
			w.ask(w.last + (w.end-w.last)/2)
		}
	}
}

// ask moves last or end.
func (w *Walker) ask(addr uint64) {
	switch entry, _, ok := w.img.Func(addr); {
	case ok && entry == w.Entry:
		w.last = addr
	case ok && entry > w.last && entry <= addr:
		w.end = entry
	default: // code of C
		w.end = addr
	}
}

// Forbidden says why no site may lie in the function, "" if one may.
func (w *Walker) Forbidden() string {
	if !w.judged {
		w.judged, w.verdict = true, forbidden(w.Func)
		if w.verdict == "" && w.img.Assembly(w.Entry) {
			// It may hold data, and RSP may be anything.
			w.verdict = "the function is written in assembly"
		}
	}
	return w.verdict
}
