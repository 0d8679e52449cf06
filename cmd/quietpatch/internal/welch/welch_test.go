package welch

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

func near(got, want, relative float64) bool {
	return math.Abs(got-want) <= relative*math.Abs(want)
}

// TestOutside: values of betainc in mpmath 1.3, with 30 digits.
func TestOutside(t *testing.T) {
	for _, c := range []struct{ t, df, want float64 }{
		{0, 5, 1},
		{0.001, 3, 0.999264894969461},
		{0.5, 1.5, 0.68056711066994},
		{2, 17.776, 0.0610178226852609},
		{5, 40, 1.18400656696595e-5},
		{12, 200, 2.42213600524663e-25},
		{40, 9.5, 6.53336263822176e-12},
		{3, 1e5, 0.00270046088406472},
		{0.3, 4000.25, 0.764192743352609},
	} {
		for _, x := range []float64{c.t, -c.t} {
			if got := outside(x, c.df); !near(got, c.want, 1e-9) {
				t.Errorf("outside(%v, %v) = %v, want %v", x, c.df, got, c.want)
			}
		}
	}
}

// TestClosedForms: the distribution with one and two degrees of freedom has
// elementary ones.
func TestClosedForms(t *testing.T) {
	for x := 0.01; x < 1e4; x *= 1.7 {
		if got, want := outside(x, 1), 2/math.Pi*math.Atan(1/x); !near(got, want, 1e-10) {
			t.Errorf("outside(%v, 1) = %v, want %v", x, got, want)
		}
		root := math.Sqrt(2 + x*x)
		if got, want := outside(x, 2), 2/(root*(root+x)); !near(got, want, 1e-10) {
			t.Errorf("outside(%v, 2) = %v, want %v", x, got, want)
		}
	}
}

func TestQuantile(t *testing.T) {
	for _, df := range []float64{1, 1.5, 9.7, 38, 1e4} {
		for _, p := range []float64{0.9, 0.5, 0.05, 1e-3, 1e-9} {
			if got := outside(quantile(p, df), df); !near(got, p, 1e-9) {
				t.Errorf("outside(quantile(%v, %v)) = %v", p, df, got)
			}
		}
	}
	if got := quantile(0.05, 10); !near(got, 2.228138851986273, 1e-11) {
		t.Errorf("quantile(0.05, 10) = %v, which tables give as 2.228", got)
	}
}

// TestSleep: Student's data, as t.test(extra ~ group, data = sleep) of R prints it.
func TestSleep(t *testing.T) {
	a := []float64{0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0, 2}
	b := []float64{1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4}
	c, err := Compare(a, b, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name      string
		got, want float64
	}{
		{"mean of a", c.MeanA, 0.75},
		{"mean of b", c.MeanB, 2.33},
		{"difference", c.Diff, 1.58},
		{"t", c.T, 1.8608},
		{"degrees of freedom", c.DF, 17.776},
		{"p", c.P, 0.07939},
		{"low", c.Low, -0.2054832},
		{"high", c.High, 3.3654832},
	} {
		if !near(x.got, x.want, 1e-4) {
			t.Errorf("%s: %v, want %v", x.name, x.got, x.want)
		}
	}
	r, _ := Compare(b, a, 0.95)
	if r.P != c.P || r.T != -c.T || r.Low != -c.High {
		t.Errorf("the other way round: %+v, want the mirror image of %+v", r, c)
	}
}

// TestNull: where there is no difference, p is below 0.05 in a twentieth of all
// cases, and the interval misses 0 in the same ones, though the series differ in
// length and scatter.
func TestNull(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const runs = 20_000
	low, missed := 0, 0
	for range runs {
		a, b := make([]float64, 8), make([]float64, 20)
		for i := range a {
			a[i] = 100 + 3*rng.NormFloat64()
		}
		for i := range b {
			b[i] = 100 + rng.NormFloat64()
		}
		c, err := Compare(a, b, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		if c.P < 0.05 {
			low++
		}
		if c.Low > 0 || c.High < 0 {
			missed++
		}
	}
	// 5 standard deviations of the binomial distribution are 0.0077.
	if share := float64(low) / runs; math.Abs(share-0.05) > 0.0077 {
		t.Errorf("p is below 0.05 in %.4f of the cases", share)
	}
	if missed != low {
		t.Errorf("the interval misses 0 in %d cases, p is below 0.05 in %d", missed, low)
	}
}

func TestNoScatter(t *testing.T) {
	c, err := Compare([]float64{3, 3, 3}, []float64{3, 3}, 0.99)
	if err != nil || c.P != 1 || c.Diff != 0 {
		t.Errorf("equal constants: %+v, %v", c, err)
	}
	c, err = Compare([]float64{3, 3, 3}, []float64{2, 2}, 0.99)
	if err != nil || c.P != 0 || c.Low != -1 || c.High != -1 || !math.IsInf(c.T, -1) {
		t.Errorf("different constants: %+v, %v", c, err)
	}
}

func TestErrors(t *testing.T) {
	ok := []float64{1, 2}
	for _, bad := range [][]float64{nil, {1}, {1, math.NaN()}, {1, math.Inf(1)}} {
		if _, err := Compare(ok, bad, 0.95); !errors.Is(err, ErrSamples) {
			t.Errorf("%v: %v, want an error about the samples", bad, err)
		}
		if _, err := Compare(bad, ok, 0.95); !errors.Is(err, ErrSamples) {
			t.Errorf("%v first: %v, want an error about the samples", bad, err)
		}
	}
	for _, conf := range []float64{0, 1, -1, math.NaN()} {
		if _, err := Compare(ok, ok, conf); err == nil {
			t.Errorf("confidence %v: no error", conf)
		}
	}
}
