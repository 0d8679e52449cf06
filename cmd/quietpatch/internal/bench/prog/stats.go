package prog

import (
	"math"
	"slices"
)

// samples are measurements of one thing.
type samples []float64

// at returns the smallest sample that at least p percent do not exceed (the
// nearest-rank definition), or NotMeasured. It sorts the samples.
func (s samples) at(p float64) float64 {
	if len(s) == 0 {
		return NotMeasured
	}
	slices.Sort(s)
	rank := int(math.Ceil(p / 100 * float64(len(s))))
	return s[min(max(rank, 1), len(s))-1]
}

func (s samples) median() float64 { return s.at(50) }

// middle is the mean of the middle half: as robust as the median nearly, and finer
// than a clock that counts in large steps.
func (s samples) middle() float64 {
	if len(s) == 0 {
		return NotMeasured
	}
	slices.Sort(s)
	part := s[len(s)/4 : len(s)-len(s)/4]
	if len(part) == 0 {
		part = s
	}
	sum := 0.0
	for _, x := range part {
		sum += x
	}
	return sum / float64(len(part))
}

func (s samples) iqr() float64 { return s.at(75) - s.at(25) }

// round3 keeps three decimals: more would be noise.
func round3(x float64) float64 { return math.Round(x*1000) / 1000 }

// ratio is a/b, or NotMeasured.
func ratio(a, b float64) float64 {
	if a < 0 || b <= 0 {
		return NotMeasured
	}
	return round3(a / b)
}
