package ipireport

import "math"

// saturated is what a sum becomes that does not fit: it is a lower bound, and proves no upper one.
const saturated = math.MaxUint64

// plus adds without wrapping around: records can hold any number, and a sum that wraps looks small.
func plus(a, b uint64) uint64 {
	if b > saturated-a {
		return saturated
	}
	return a + b
}

// increase adds n to a sum as [plus] does.
func increase(sum *uint64, n uint64) { *sum = plus(*sum, n) }
