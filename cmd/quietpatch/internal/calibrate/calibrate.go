package calibrate

import (
	"errors"
	"math"
	"slices"
)

// ErrUnsupported is wrapped by the errors of [Run] that mean: not on this
// machine.
var ErrUnsupported = errors.New("cannot calibrate here")

// samples are measurements of one thing, in ns.
type samples []float64

// at returns the smallest sample that at least p percent of the samples do not
// exceed (the nearest-rank definition), 0 when there is none. It sorts.
func (s samples) at(p float64) float64 {
	if len(s) == 0 {
		return 0
	}
	slices.Sort(s)
	rank := int(math.Ceil(p / 100 * float64(len(s))))
	return s[min(max(rank, 1), len(s))-1]
}

func (s samples) median() float64 { return s.at(50) }

// minus takes what is known to be in every sample off it.
func (s samples) minus(ns float64) samples {
	out := make(samples, len(s))
	for i := range s {
		out[i] = max(s[i]-ns, 0)
	}
	return out
}
