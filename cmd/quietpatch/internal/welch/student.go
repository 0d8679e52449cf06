package welch

import "math"

// outside returns how likely a value of Student's t distribution is at least as far
// from 0 as t (NIST Digital Library of Mathematical Functions, 8.17: the
// regularized incomplete beta function at df/(df+t*t)).
func outside(t, df float64) float64 {
	return incompleteBeta(df/2, 0.5, df/(df+t*t))
}

// quantile returns the t >= 0 with outside(t, df) == p, for 0 < p < 1.
func quantile(p, df float64) float64 {
	low, high := 0.0, 1.0
	for outside(high, df) > p && !math.IsInf(high, 0) {
		low, high = high, 2*high
	}
	// Each turn halves the interval: these are more than a float64 has bits.
	for range 64 {
		if mid := low + (high-low)/2; outside(mid, df) > p {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// incompleteBeta is I_x(a, b), by the continued fraction DLMF 8.17.22, which
// converges fast below (a+1)/(a+b+2); above it the symmetry 8.17.4 helps.
func incompleteBeta(a, b, x float64) float64 {
	if x <= 0 {
		return 0
	}
	if x >= 1 {
		return 1
	}
	if x > (a+1)/(a+b+2) {
		return 1 - betaFraction(b, a, 1-x)
	}
	return betaFraction(a, b, x)
}

// betaFraction evaluates the fraction from its front (Lentz's method, DLMF 3.10).
func betaFraction(a, b, x float64) float64 {
	const (
		tiny   = 1e-300
		enough = 1e-15
		most   = 10_000
	)
	front := math.Exp(lgamma(a+b)-lgamma(a)-lgamma(b)+a*math.Log(x)+b*math.Log1p(-x)) / a
	f, c, d := 1.0, 1.0, 0.0
	for i := 1; i < most; i++ {
		term := betaTerm(i, a, b, x)
		d = 1 + term*d
		if math.Abs(d) < tiny {
			d = tiny
		}
		c = 1 + term/c
		if math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		f *= c * d
		if math.Abs(1-c*d) < enough {
			break
		}
	}
	return front / f
}

// betaTerm is the numerator d_i of DLMF 8.17.23.
func betaTerm(i int, a, b, x float64) float64 {
	m := float64(i / 2)
	if i%2 == 0 {
		return m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
	}
	return -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
}

func lgamma(x float64) float64 {
	l, _ := math.Lgamma(x)
	return l
}
