package welch

import (
	"errors"
	"fmt"
	"math"
)

// A Comparison says how far the mean of B is from the mean of A.
type Comparison struct {
	MeanA, MeanB float64
	Diff         float64 // MeanB - MeanA
	T            float64
	DF           float64 // degrees of freedom, by Welch and Satterthwaite
	P            float64 // two-sided
	Low, High    float64 // of Diff, with the confidence that was asked for
}

// ErrSamples is wrapped by the errors of [Compare].
var ErrSamples = errors.New("samples that cannot be compared")

// Compare compares a and b. The confidence of the interval is more than 0 and less
// than 1. B. L. Welch, "The generalization of 'Student's' problem when several
// different population variances are involved", Biometrika 34 (1947).
func Compare(a, b []float64, confidence float64) (Comparison, error) {
	if !(confidence > 0 && confidence < 1) {
		return Comparison{}, fmt.Errorf("confidence: expected more than 0 and less than 1, found %v", confidence)
	}
	meanA, errA, err1 := meanError(a)
	meanB, errB, err2 := meanError(b)
	if err := errors.Join(err1, err2); err != nil {
		return Comparison{}, err
	}
	c := Comparison{MeanA: meanA, MeanB: meanB, Diff: meanB - meanA, P: 1}
	sum := errA + errB
	if sum == 0 {
		c.exact(len(a) + len(b))
		return c, nil
	}
	se := math.Sqrt(sum)
	c.T = c.Diff / se
	c.DF = sum * sum / (errA*errA/float64(len(a)-1) + errB*errB/float64(len(b)-1))
	c.P = outside(c.T, c.DF)
	wide := quantile(1-confidence, c.DF) * se
	c.Low, c.High = c.Diff-wide, c.Diff+wide
	return c, nil
}

// exact is for samples that do not scatter at all: what they differ by is certain.
func (c *Comparison) exact(n int) {
	c.DF, c.Low, c.High = float64(n-2), c.Diff, c.Diff
	if c.Diff != 0 {
		c.T, c.P = math.Inf(int(math.Copysign(1, c.Diff))), 0
	}
}

// meanError returns the mean and its squared standard error.
func meanError(s []float64) (mean, squared float64, err error) {
	n := float64(len(s))
	if n < 2 {
		return 0, 0, fmt.Errorf("%w: expected two or more, found %d", ErrSamples, len(s))
	}
	for _, x := range s {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return 0, 0, fmt.Errorf("%w: expected finite numbers, found %v", ErrSamples, x)
		}
		mean += x / n
	}
	for _, x := range s {
		squared += (x - mean) * (x - mean)
	}
	return mean, squared / (n - 1) / n, nil
}
