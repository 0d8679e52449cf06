package learn

import (
	"fmt"
	"math"
)

// Costs are what the parts of a call take, in nanoseconds.
type Costs struct {
	CallNs       float64 // the call itself, whichever way it goes
	CompareNs    float64 // one target compared
	MispredictNs float64 // one wrong guess of a compare's jump
	ThunkNs      float64 // the retpoline, where no target matched
}

// DefaultCosts are those of an interface call in a loop on a Zen 5 VM: 1.1 ns
// direct, 9.1 ns by a retpoline, 1.4 ns behind one compare.
var DefaultCosts = Costs{CallNs: 1.1, CompareNs: 0.3, MispredictNs: 4, ThunkNs: 8}

func (c Costs) check() error {
	for _, ns := range []float64{c.CallNs, c.CompareNs, c.MispredictNs, c.ThunkNs} {
		if !(ns >= 0 && ns <= math.MaxInt32) { // catches NaN
			return fmt.Errorf("Costs are %+v: expected none below 0 or above %d ns", c, math.MaxInt32)
		}
	}
	if c.ThunkNs == 0 {
		return fmt.Errorf("Costs are %+v: expected ThunkNs above 0", c)
	}
	return nil
}

// perCall returns the expected cost of a call, in ns, when targets are compared
// in order that counts[i] of all calls went to. No targets: the original code.
//
// A compare's jump goes one way with probability p. How often the CPU guesses it
// wrong depends on the pattern; min(p, 1-p) is what always guessing the likelier
// way comes to.
func (c Costs) perCall(counts []uint64, calls uint64) float64 {
	if calls == 0 {
		return c.CallNs + c.ThunkNs
	}
	left := calls // calls that get as far as the compare at hand
	var compared, mispredicted uint64
	for _, n := range counts {
		n = min(n, left)
		compared += left
		left -= n
		mispredicted += min(n, left)
	}
	ns := c.CompareNs*float64(compared) + c.MispredictNs*float64(mispredicted) + c.ThunkNs*float64(left)
	return c.CallNs + ns/float64(calls)
}
