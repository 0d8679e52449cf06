package ipireport

import (
	"math/bits"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// costs shares out what the handlers of each CPU took. Backends know it for all rows of a CPU and
// estimate the part of each, so a row's part can become smaller while another one's grows. Steps
// can only add: what a row was told too much stays with it, and the others get less, so that the
// rows of a CPU together have what was measured, and no more.
type costs map[int]*cpuCost

// cpuCost is what rows of a CPU have: now by the backend, told in steps before, and wanted by those
// that have more than they were told.
type cpuCost struct{ now, told, wanted uint64 }

// add takes a row; was is what it was told, is what it has now.
func (c costs) add(cpu int, was, is uint64) {
	if c[cpu] == nil {
		c[cpu] = &cpuCost{}
	}
	increase(&c[cpu].now, is)
	increase(&c[cpu].told, was)
	if is > was {
		increase(&c[cpu].wanted, is-was)
	}
}

// grant returns what the row gets in this step. Each row that was added asks once.
func (c costs) grant(cpu int, was, is uint64) uint64 {
	if is <= was {
		return 0
	}
	x, want := c[cpu], is-was
	free := uint64(0)
	if x.now > x.told {
		free = x.now - x.told
	}
	n := part(free, want, x.wanted)
	x.told = plus(x.told, n)
	x.wanted -= min(want, x.wanted)
	return n
}

// part is the part of n that x of all should have, all of it to the last one, but no more than x.
func part(n, x, all uint64) uint64 {
	if n >= all || x >= all {
		return min(n, x)
	}
	high, low := bits.Mul64(n, x)
	q, _ := bits.Div64(high, low, all) // n and x are less than all, and so is q
	return q
}

// costsOf adds up the rows of a snapshot; was says what each of them was told.
func costsOf(now map[ipi.Key]counts, was func(ipi.Key, counts) counts) costs {
	c := costs{}
	for k, n := range now {
		c.add(k.CPU, was(k, n).cost, n.cost)
	}
	return c
}
