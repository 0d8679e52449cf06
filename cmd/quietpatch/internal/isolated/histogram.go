package isolated

import (
	"math"
	"math/bits"
)

// A histogram counts gaps between successive readings of the time-stamp counter, every one
// of them, in buckets that are one tick wide up to 32 ticks and at most a sixteenth of
// their value from there on. spin_amd64.s computes the same index.
type histogram struct {
	counts [buckets]uint64
	max    uint64 // the longest gap, in ticks
}

const (
	subBits = 4 // 16 buckets for each power of two
	buckets = (64-subBits)<<subBits + 1<<subBits
)

// index returns the bucket of a gap.
func index(gap uint64) int {
	e := bits.Len64(gap|1<<subBits) - 1 - subBits
	return e<<subBits + int(gap>>e)
}

// low returns the shortest gap of a bucket.
func low(i int) uint64 {
	if i < 2<<subBits {
		return uint64(i)
	}
	e := i>>subBits - 1
	return uint64(i-e<<subBits) << e
}

// high returns the longest gap of a bucket.
func high(i int) uint64 {
	if i+1 >= buckets {
		return math.MaxUint64
	}
	return low(i+1) - 1
}

// add counts one gap.
func (h *histogram) add(gap uint64) {
	h.counts[index(gap)]++
	h.max = max(h.max, gap)
}

// total returns the number of gaps.
func (h *histogram) total() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// between returns how long the gaps of a bucket are, taken to be in its middle.
func (h *histogram) between(i int) float64 {
	return float64(low(i))/2 + float64(min(high(i), h.max))/2
}

// percentiles returns two gaps: the one that p percent of the gaps do not exceed, and the one
// in which, or in a shorter one, p percent of the time lies. It is the end of the bucket, and
// never more than the longest gap. It is false without any gap.
func (h *histogram) percentiles(p float64) (ofGaps, ofTime uint64, ok bool) {
	weights := func(i int) float64 { return float64(h.counts[i]) }
	times := func(i int) float64 { return float64(h.counts[i]) * h.between(i) }
	if h.total() == 0 {
		return 0, 0, false
	}
	return h.rank(p, weights), h.rank(p, times), true
}

// rank returns the end of the first bucket with which p percent of all weight are reached.
func (h *histogram) rank(p float64, weight func(i int) float64) uint64 {
	var all, sum float64
	for i := range h.counts {
		all += weight(i)
	}
	for i := range h.counts {
		if sum += weight(i); sum > 0 && sum >= all*p/100 {
			return min(high(i), h.max)
		}
	}
	return h.max // by rounding
}

// longer returns how many gaps are in buckets that begin at the limit or above, and the
// time in them.
func (h *histogram) longer(limit uint64) (n uint64, ticks float64) {
	for i := index(limit); i < buckets; i++ {
		if low(i) >= limit {
			n += h.counts[i]
			ticks += float64(h.counts[i]) * h.between(i)
		}
	}
	return n, ticks
}
