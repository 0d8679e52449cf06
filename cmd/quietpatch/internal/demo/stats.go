package demo

import (
	"math"
	"slices"
)

// notMeasured stands in numbers that this machine does not offer.
const notMeasured = -1

// percentile returns the smallest sample that at least p percent of the
// samples do not exceed (the nearest-rank definition), or notMeasured when
// there is none. It sorts the samples.
func percentile(samples []int64, p float64) int64 {
	if len(samples) == 0 {
		return notMeasured
	}
	slices.Sort(samples)
	rank := int(math.Ceil(p / 100 * float64(len(samples))))
	return samples[min(max(rank, 1), len(samples))-1]
}

// per divides a count by a number of flips or seconds.
func per(count uint64, n float64) float64 {
	if n <= 0 {
		return notMeasured
	}
	return round3(float64(count) / n)
}

// round3 keeps three decimals: more would be noise.
func round3(x float64) float64 { return math.Round(x*1000) / 1000 }
