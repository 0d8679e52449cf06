package site

import (
	"encoding/binary"
	"slices"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
)

// findNaive is Find without its shortcuts: it looks at every byte, asks for every
// candidate's function, decodes that from the start again, and asks about every byte behind
// it for the function's end.
func findNaive(img Image, keys []Key) []Site {
	n := naive{img: img, ends: map[uint64]uint64{}, confirmer: confirmer{keys: keys}}
	for si, seg := range img.Text() {
		n.at = si
		for _, cand := range scanNaive(seg, keys) {
			n.candidate(seg, cand)
		}
	}
	slices.SortStableFunc(n.found, byAddr)
	return slices.CompactFunc(n.found, func(a, b Site) bool { return a.Addr == b.Addr })
}

// FindNaive is for tests with real programs.
var FindNaive = findNaive

type naiveCandidate struct {
	disp uint64
	key  int
}

func scanNaive(seg Segment, keys []Key) (out []naiveCandidate) {
	at := map[uint64]int{}
	for i, k := range slices.Backward(keys) {
		at[k.Addr] = i
	}
	for i := 1; i+5 <= len(seg.Bytes); i++ {
		if seg.Bytes[i]&0xC7 != 0x05 {
			continue
		}
		disp := seg.Addr + uint64(i) + 1
		next := disp + 4 + uint64(int64(int32(binary.LittleEndian.Uint32(seg.Bytes[i+1:]))))
		for _, imm := range []uint64{0, 1, 2, 4} {
			if k, ok := at[next+imm]; ok {
				out = append(out, naiveCandidate{disp, k})
			}
		}
	}
	return out
}

type naive struct {
	confirmer
	img  Image
	at   int // the segment at hand
	ends map[uint64]uint64
}

func (n *naive) candidate(seg Segment, c naiveCandidate) {
	entry, name, ok := n.img.Func(c.disp)
	if !ok || entry < seg.Addr || entry > c.disp {
		return
	}
	if _, outer, ok := n.img.Func(entry); ok {
		name = outer
	}
	w := &Walker{img: n.img, segs: n.img.Text()[n.at:], Entry: entry, Func: name, Addr: entry}
	for {
		if w.Inst, w.Err = insn.Decode(w.Code(w.Addr)); w.Err != nil || c.disp < w.Addr+uint64(w.Inst.Len) {
			break
		}
		w.Addr += uint64(w.Inst.Len)
	}
	if w.Err != nil { // for the words of the error
		w.Err, w.Addr = nil, entry
		w.seek(c.disp)
	}
	w.end = n.end(seg, entry, c.disp)
	w.last = w.end - 1
	n.Walker = w
	n.confirm(c.disp, c.key)
}

// end returns where the function that holds addr ends.
func (n *naive) end(seg Segment, entry, addr uint64) uint64 {
	if end, ok := n.ends[entry]; ok {
		return end
	}
	for ; addr < seg.Addr+uint64(len(seg.Bytes)); addr++ {
		if e, _, ok := n.img.Func(addr); !ok || e != entry {
			break
		}
	}
	n.ends[entry] = addr
	return addr
}
