package ipi

import (
	"iter"
	"math/bits"
	"slices"
	"strconv"
)

// CPUs is a set of CPUs: bit n%64 of word n/64 is CPU n. The last word is not 0, so that
// equal sets have equal words. The empty set is nil.
type CPUs []uint64

// MakeCPUs returns the set of the given CPUs. Negative numbers are left out.
func MakeCPUs(cpus ...int) CPUs {
	var c CPUs
	for _, cpu := range cpus {
		c = c.With(cpu)
	}
	return c
}

// Below returns the CPUs from 0 to n-1.
func Below(n int) CPUs {
	var c CPUs
	for ; n >= 64; n -= 64 {
		c = append(c, ^uint64(0))
	}
	if n > 0 {
		c = append(c, 1<<n-1)
	}
	return c
}

// With returns the set and one CPU more. It may change c in place, as append does.
func (c CPUs) With(cpu int) CPUs {
	if cpu < 0 {
		return c
	}
	for len(c) <= cpu/64 {
		c = append(c, 0)
	}
	c[cpu/64] |= 1 << (cpu % 64)
	return c
}

// Has reports whether the CPU is in the set.
func (c CPUs) Has(cpu int) bool {
	return cpu >= 0 && cpu/64 < len(c) && c[cpu/64]&(1<<(cpu%64)) != 0
}

// Len returns the number of CPUs in the set.
func (c CPUs) Len() int {
	n := 0
	for _, w := range c {
		n += bits.OnesCount64(w)
	}
	return n
}

// First returns the lowest CPU of the set, or -1.
func (c CPUs) First() int {
	for i, w := range c {
		if w != 0 {
			return 64*i + bits.TrailingZeros64(w)
		}
	}
	return -1
}

// Equal reports whether both sets hold the same CPUs.
func (c CPUs) Equal(d CPUs) bool { return slices.Equal(c, d) }

// Intersects reports whether the sets have a CPU in common.
func (c CPUs) Intersects(d CPUs) bool {
	for i := range min(len(c), len(d)) {
		if c[i]&d[i] != 0 {
			return true
		}
	}
	return false
}

// Or returns the CPUs that are in one of the sets, or in both.
func (c CPUs) Or(d CPUs) CPUs {
	if len(c) < len(d) {
		c, d = d, c
	}
	either := slices.Clone(c)
	for i := range d {
		either[i] |= d[i]
	}
	return either
}

// And returns the CPUs that are in both sets.
func (c CPUs) And(d CPUs) CPUs {
	both := slices.Clone(c[:min(len(c), len(d))])
	for i := range both {
		both[i] &= d[i]
	}
	return both.trim()
}

// trim takes the words without CPUs off the end.
func (c CPUs) trim() CPUs {
	for len(c) > 0 && c[len(c)-1] == 0 {
		c = c[:len(c)-1]
	}
	if len(c) == 0 {
		return nil
	}
	return c
}

// AndNot returns the CPUs of c that are not in d.
func (c CPUs) AndNot(d CPUs) CPUs {
	rest := slices.Clone(c)
	for i := range min(len(c), len(d)) {
		rest[i] &^= d[i]
	}
	return rest.trim()
}

// All yields the CPUs in order.
func (c CPUs) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range c {
			for ; w != 0; w &= w - 1 {
				if !yield(64*i + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}

// String returns the list in the kernel's form, such as 0-3,8: what [ParseCPUs] reads.
func (c CPUs) String() string {
	var b []byte
	first, last := -1, -2
	end := func() {
		if last > first {
			b = strconv.AppendInt(append(b, '-'), int64(last), 10)
		}
	}
	for cpu := range c.All() {
		if cpu == last+1 {
			last = cpu
			continue
		}
		end()
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(cpu), 10)
		first, last = cpu, cpu
	}
	end()
	return string(b)
}
