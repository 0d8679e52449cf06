package site

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// candidates are displacements in the text that may point at a key: the address of
// the four bytes and the number of the key, ascending.
type candidates struct {
	disps []uint64
	keys  []int32
}

// scan is pass 1. ModRM with mod=00 and rm=101 stands before every RIP-relative
// displacement (Intel SDM vol. 2, 2.2.1.6).
func scan(segs []Segment, keys []Key) candidates {
	var c candidates
	if len(keys) == 0 {
		return c
	}
	ix := newIndex(keys)
	for _, seg := range segs {
		for at := 1; at < len(seg.Bytes); at += scanBlock {
			c.block(&ix, seg, at, min(at+scanBlock, len(seg.Bytes)))
		}
	}
	return c
}

// scanBlock is the text that is scanned with one filter. The smaller, the more bits all
// displacements to the keys share.
const scanBlock = 16 << 10

// Words of eight equal bytes.
const (
	ones  = 0x01010101_01010101
	highs = 0x80808080_80808080

	modRMMask  = 0xC7 * ones
	modRMValue = 0x05 * ones
)

// block looks for ModRM bytes at the offsets [at, end) of the segment, 16 at a time.
// Most of text is passed over because the third byte of the displacement, which must
// lie in a narrow range, would be another; of the rest nearly all because ModRM or
// the fourth is. A byte that differs is not zero below. Zeros are marked by their top bit, and
// sometimes a byte that is 1 and stands behind one: check looks again.
func (c *candidates) block(ix *index, seg Segment, at, end int) {
	f, ok := ix.filter(seg.Addr+uint64(at), seg.Addr+uint64(end))
	if !ok {
		return
	}
	b := seg.Bytes
	for ; at+16 <= end && at+20 <= len(b); at += 16 {
		w := b[at : at+20 : at+20]
		low := binary.LittleEndian.Uint64(w[3:])&f.mask2 ^ f.want2
		high := binary.LittleEndian.Uint64(w[11:])&f.mask2 ^ f.want2
		if ((low-ones)&^low|(high-ones)&^high)&highs == 0 {
			continue
		}
		low |= binary.LittleEndian.Uint64(w)&modRMMask ^ modRMValue |
			binary.LittleEndian.Uint64(w[4:])&f.mask3 ^ f.want3
		high |= binary.LittleEndian.Uint64(w[8:])&modRMMask ^ modRMValue |
			binary.LittleEndian.Uint64(w[12:])&f.mask3 ^ f.want3
		c.hits(ix, seg, at, (low-ones)&^low&highs)
		c.hits(ix, seg, at+8, (high-ones)&^high&highs)
	}
	for ; at < end && at+5 <= len(b); at++ {
		c.check(ix, seg, at)
	}
}

// hits checks the offsets of the bytes that are marked.
func (c *candidates) hits(ix *index, seg Segment, at int, marks uint64) {
	for ; marks != 0; marks &= marks - 1 {
		c.check(ix, seg, at+bits.TrailingZeros64(marks)/8)
	}
}

// immLenMax is the longest of the immediates that may stand between a displacement and
// the end of its instruction, which RIP-relative addresses count from. Our forms
// have 0, 1 or 4 bytes; those with 2 are reads that are reported, not patched.
const immLenMax = 4

// check notes the keys that an instruction with ModRM at the offset could read.
func (c *candidates) check(ix *index, seg Segment, at int) {
	if seg.Bytes[at]&0xC7 != 0x05 {
		return
	}
	disp := seg.Addr + uint64(at) + 1
	next := disp + 4 + uint64(int64(int32(binary.LittleEndian.Uint32(seg.Bytes[at+1:]))))
	if next+immLenMax-ix.lo > ix.span+immLenMax { // wraps for addresses below
		return
	}
	last := uint64(math.MaxUint64)
	for i := ix.atLeast(next); i < len(ix.addrs) && ix.addrs[i]-next <= immLenMax; i++ {
		if imm := ix.addrs[i] - next; imm != 3 && imm != last {
			c.disps = append(c.disps, disp)
			c.keys = append(c.keys, ix.nth[i])
			last = imm
		}
	}
}

// index finds keys by address.
type index struct {
	addrs []uint64 // sorted
	nth   []int32  // addrs[i] belongs to keys[nth[i]]
	lo    uint64   // addrs[0]
	span  uint64   // addrs[last] - lo
	// first[i] is the first of addrs at or above lo + i<<shift.
	first []int32
	shift uint
}

func newIndex(keys []Key) index {
	ix := index{nth: make([]int32, len(keys)), addrs: make([]uint64, len(keys))}
	for i := range keys {
		ix.nth[i] = int32(i)
	}
	slices.SortFunc(ix.nth, func(a, b int32) int {
		return cmp.Or(cmp.Compare(keys[a].Addr, keys[b].Addr), cmp.Compare(a, b))
	})
	for i, n := range ix.nth {
		ix.addrs[i] = keys[n].Addr
	}
	ix.lo = ix.addrs[0]
	ix.span = ix.addrs[len(keys)-1] - ix.lo
	ix.shift = uint(max(0, bits.Len64(ix.span)-bits.Len(uint(len(keys)))))
	ix.first = make([]int32, ix.span>>ix.shift+2)
	n := 0
	for i := range ix.first {
		for n < len(keys) && (ix.addrs[n]-ix.lo)>>ix.shift < uint64(i) {
			n++
		}
		ix.first[i] = int32(n)
	}
	return ix
}

// atLeast returns the number of the first of addrs that is not below addr, which is
// at most lo+span.
func (ix *index) atLeast(addr uint64) int {
	if addr < ix.lo {
		return 0
	}
	bucket := (addr - ix.lo) >> ix.shift
	from, to := int(ix.first[bucket]), int(ix.first[bucket+1])
	i, _ := slices.BinarySearch(ix.addrs[from:to], addr)
	return from + i
}

// filter says what the upper two bytes of a displacement to a key must be, eight
// times side by side.
type filter struct{ mask3, want3, mask2, want2 uint64 }

// filter returns that for ModRM bytes in [from, to), and false if no displacement gets
// from there to any key.
func (ix *index) filter(from, to uint64) (filter, bool) {
	// next, see check, is in [lo-4, lo+span], and disp is next less ModRM's address less 5.
	low := int64(ix.lo - immLenMax - 5 - (to - 1))
	width := ix.span + immLenMax + (to - 1 - from)
	if width > math.MaxInt32 || ix.span > math.MaxInt32 {
		return filter{}, true
	}
	high := low + int64(width)
	if low > math.MaxInt32 || high < math.MinInt32 {
		return filter{}, false
	}
	if low < math.MinInt32 || high > math.MaxInt32 {
		return filter{}, true
	}
	same := ^(uint32(1)<<bits.Len32(uint32(low)^uint32(high)) - 1)
	want := uint32(low) & same
	return filter{
		mask3: uint64(same>>24) * ones, want3: uint64(want>>24) * ones,
		mask2: uint64(same>>16&0xFF) * ones, want2: uint64(want>>16&0xFF) * ones,
	}, true
}
