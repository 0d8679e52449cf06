package main

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/quietpatch/quietpatch/statickey"
)

// A nightKey is a key, the values that it gets, the functions that check it, and
// what they must see.
type nightKey struct {
	name   string
	kind   int
	values []int64 // at most anyValue
	fast   []nightFunc
	slow   []nightFunc // panics, tracebacks, deep stacks

	set, setNoWait func(v int64) error
	queue          func(b *statickey.Batch, v int64)
	memory         func() int64 // reads through a pointer: never a site
	text           func(v int64) string
	sites          func() ([]statickey.Site, error)
	register       func(name, desc string) error

	// wants says what each function sees, the fast ones first, with each value.
	wants [][]int

	mu sync.Mutex // held by the one operation that may change the key
	// word says what the checks must see: see wordOf. A round of checks between two
	// reads of the same word that is not busy must see its value and no other; one
	// that changes have overlapped, nothing but the values before and behind them.
	word atomic.Uint64
	seen atomic.Uint64 // the last word that a checker's thread verified
}

// The parts of a word: busyBit while a change is under way, the places of the present
// and of the next value in the key's list, and a count of changes.
const (
	busyBit  = 1
	nowAt    = 1
	nextAt   = 7
	anyValue = 1<<6 - 1 // as the next value: not known
	soonBit  = 1 << 13  // the change under way, or the last one, did not wait
	wordStep = 1 << 14
)

func quietWord(changes uint64, now int) uint64 { return changes*wordStep | uint64(now)<<nowAt }

func busyWord(was uint64, next int) uint64 { return was | busyBit | uint64(next)<<nextAt }

func nowOf(word uint64) int { return int(word>>nowAt) & anyValue }

func changesOf(word uint64) uint64 { return word / wordStep }

// valuesOf returns the set of values that checks may see while the key has the word.
func (k *nightKey) valuesOf(word uint64) uint64 {
	set := uint64(1) << nowOf(word)
	if word&busyBit != 0 {
		next := int(word>>nextAt) & anyValue
		if next == anyValue {
			return k.all()
		}
		set |= 1 << next
	}
	return set
}

func (k *nightKey) all() uint64 { return 1<<len(k.values) - 1 }

// between returns the set of values that a round may have seen.
func (k *nightKey) between(before, after uint64) uint64 {
	if changesOf(after)-changesOf(before) > 1 {
		return k.all()
	}
	return k.valuesOf(before) | k.valuesOf(after)
}

// steady reports whether no site may go back to the value that it had before: there was
// one change at most, it waited, and it was no storm, which is many in one.
func steady(before, after uint64) bool {
	return (before|after)&soonBit == 0 && !storm(before) && !storm(after) && changesOf(after)+after&busyBit-changesOf(before) <= 1
}

// storm reports whether several goroutines set the key at once.
func storm(word uint64) bool { return word&busyBit != 0 && int(word>>nextAt)&anyValue == anyValue }

// How a nightFunc says what it saw.
const (
	sawCount = iota // the number of checks that saw the key on
	sawBits         // one answer a bit
	sawOne          // one answer
	sawRow          // the values in scratch.v, and how many they are
	sawAgain        // the same, all by one site
)

// nightFunc makes checks and returns what they saw.
type nightFunc struct {
	name   string
	f      func(*scratch) int
	checks int
	how    int
	want   func(v int64) int // with the value v; nil: all checks on or off
}

// prepare makes the table of wants.
func (k *nightKey) prepare() *nightKey {
	for _, f := range append(k.fast[:len(k.fast):len(k.fast)], k.slow...) {
		var row []int
		for _, v := range k.values {
			switch {
			case f.how >= sawRow:
				row = append(row, int(v))
			case f.want != nil:
				row = append(row, f.want(v))
			default:
				row = append(row, f.checks*int(v))
			}
		}
		k.wants = append(k.wants, row)
	}
	return k
}

// roundTally is what one goroutine has counted and not yet added up.
type roundTally struct {
	checks   uint64
	verified [len(kindNames)]uint64
}

func (t *roundTally) flush(h *nightly, c *cell) {
	var verified uint64
	for i, n := range t.verified {
		h.kinds[i].verified.Add(n)
		verified += n
	}
	c.checks.Add(t.checks)
	c.verified.Add(verified)
}

// roundAll makes every check of the keys once, and of each key that no change
// overlapped it verifies what they saw.
func (h *nightly) roundAll(s *scratch, ks []*nightKey, slow bool) {
	c := &h.cells[h.inForce.Load()]
	var t roundTally
	for _, k := range ks {
		h.round(c, &t, s, k, slow)
	}
	t.flush(h, c)
}

// round makes the checks of one key. ok says that no change overlapped it.
func (h *nightly) round(c *cell, t *roundTally, s *scratch, k *nightKey, slow bool) (word uint64, ok bool) {
	word = k.word.Load()
	fs := k.fast
	if slow {
		fs = append(fs[:len(fs):len(fs)], k.slow...)
	}
	var seen [24]int
	var rows [2][len(s.v)]int // more than any key has
	n := 0
	for i := range fs {
		seen[i] = fs[i].f(s)
		t.checks += uint64(fs[i].checks)
		if fs[i].how >= sawRow {
			rows[n] = s.v
			n++
		}
	}
	after := k.word.Load()
	ok = word&busyBit == 0 && after == word
	may := k.between(word, after)
	n = 0
	for i := range fs {
		row := rows[0][:0]
		if fs[i].how >= sawRow {
			row = rows[n][:fs[i].checks]
			n++
		}
		if !k.right(&fs[i], i, seen[i], row, may) || fs[i].how == sawAgain && steady(word, after) && back(row, int(k.values[nowOf(word)])) {
			c.wrong.Add(1)
			h.kinds[k.kind].wrong.Add(1)
			h.remember(k, fs[i], seen[i], row, may, word, ok)
		}
	}
	if ok {
		t.verified[k.kind]++
	}
	return word, ok
}

// right reports whether function i may have seen this if every check of it saw one
// of the values in may.
func (k *nightKey) right(f *nightFunc, i, seen int, row []int, may uint64) bool {
	want := k.wants[i]
	if f.how >= sawRow {
		for _, v := range row {
			if !among(v, want, may) {
				return false
			}
		}
		return seen == f.checks
	}
	if f.how == sawOne || may&(may-1) == 0 {
		return among(seen, want, may)
	}
	first := want[bits.TrailingZeros64(may)]
	low, high, and, or := first, first, first, first
	for ; may != 0; may &= may - 1 {
		w := want[bits.TrailingZeros64(may)]
		low, high, and, or = min(low, w), max(high, w), and&w, or|w
	}
	if f.how == sawCount {
		return low <= seen && seen <= high
	}
	return seen&and == and && seen&^or == 0
}

// back reports whether the old value stands behind another one.
func back(row []int, old int) bool {
	moved := false
	for _, v := range row {
		if moved && v == old {
			return true
		}
		moved = moved || v != old
	}
	return false
}

func among(seen int, want []int, may uint64) bool {
	for ; may != 0; may &= may - 1 {
		if want[bits.TrailingZeros64(may)] == seen {
			return true
		}
	}
	return false
}

func (h *nightly) remember(k *nightKey, f nightFunc, seen int, row []int, may, word uint64, quiet bool) {
	var allowed []int64
	for ; may != 0; may &= may - 1 {
		allowed = append(allowed, k.values[bits.TrailingZeros64(may)])
	}
	msg := fmt.Sprintf("key %s: main.%s saw %#x %v in %d checks, expected what follows from %d (change %d, under way %v), strategy %s on %s",
		k.name, f.name, seen, row, f.checks, allowed, changesOf(word), !quiet, nightlyCells[h.inForce.Load()], h.o.backend)
	h.first.CompareAndSwap(nil, &msg)
}
