package learn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPerCall: the arithmetic by hand, with the default costs.
func TestPerCall(t *testing.T) {
	for _, c := range []struct {
		name   string
		counts []uint64
		calls  uint64
		want   float64
	}{
		{"original code", nil, 100, 1.1 + 8},
		{"no calls", []uint64{0, 0}, 0, 1.1 + 8},
		{"one target", []uint64{100}, 100, 1.1 + 0.3},
		{"a second that nobody calls", []uint64{100, 0}, 100, 1.1 + 0.3},
		{"the same, the wrong way round", []uint64{0, 100}, 100, 1.1 + 0.3 + 0.3},
		{"two at random", []uint64{50, 50}, 100, 1.1 + 0.3 + 0.5*0.3 + 0.5*4},
		{"90/10", []uint64{90, 10}, 100, 1.1 + 0.3 + 0.1*0.3 + 0.1*4},
		{"10/90", []uint64{10, 90}, 100, 1.1 + 0.3 + 0.9*0.3 + 0.1*4},
		{"two of twenty", []uint64{5, 5}, 100, 1.1 + 0.3 + 0.95*0.3 + 0.05*4 + 0.05*4 + 0.9*8},
		{"more than all", []uint64{80, 80}, 100, 1.1 + 0.3 + 0.2*0.3 + 0.2*4},
	} {
		if got := DefaultCosts.perCall(c.counts, c.calls); !(math.Abs(got-c.want) <= 1e-9) { // catches NaN
			t.Errorf("%s: %v ns, want %v", c.name, got, c.want)
		}
	}
}

// perCallSlow is the model as a tree of conditional probabilities.
func perCallSlow(c Costs, counts []uint64, calls uint64) float64 {
	ns, reach := c.CallNs, 1.0
	for _, n := range counts {
		if reach <= 0 {
			break
		}
		p := float64(n) / float64(calls) / reach
		ns += reach * (c.CompareNs + min(p, 1-p)*c.MispredictNs)
		reach *= 1 - p
	}
	return ns + reach*c.ThunkNs
}

// TestBestAgainstAll compares the choice with every number of the most popular
// targets, and with every order of every set, priced by the slow model.
// Popularity is not always the cheapest order: of 50, 25 and 25% it is cheaper to
// compare a rare one first, whose jump is easier to guess. That rests on how
// CPUs guess, of which the model knows little, so the order is popularity; it
// must not be far off.
func TestBestAgainstAll(t *testing.T) {
	rng, worst := rand.New(rand.NewPCG(1, 2)), 1.0
	for range 3000 {
		r := testRules(t, Options{Targets: 1 + rng.IntN(4)})
		n := 1 + rng.IntN(5)
		counts := make([]uint64, n)
		var calls uint64
		for i := range counts {
			counts[i] = uint64(math.Exp(rng.Float64() * 9))
			calls += counts[i]
		}
		if rng.IntN(2) == 0 {
			calls += rng.Uint64N(calls)
		}
		r.cands = r.cands[:0]
		for i, c := range counts {
			r.cands = append(r.cands, candidate{uint64(i + 1), c})
		}
		slices.SortFunc(r.cands, byCount)
		got := r.best(calls)
		if slow := perCallSlow(r.o.Costs, got.count[:got.n], calls); math.Abs(slow-got.ns) > 1e-6 {
			t.Fatalf("%v of %d: %v ns, the slow model says %v", got.count[:got.n], calls, got.ns, slow)
		}
		least := perCallSlow(r.o.Costs, nil, calls)
		for k := range min(len(r.cands), r.o.Targets) {
			popular := make([]uint64, k+1)
			for i := range popular {
				popular[i] = r.cands[i].count
			}
			least = min(least, perCallSlow(r.o.Costs, popular, calls))
		}
		if math.Abs(got.ns-least) > 1e-6 {
			t.Fatalf("%v of %d: %d targets for %v ns, the best number takes %v", counts, calls, got.n, got.ns, least)
		}
		orders(counts, r.o.Targets, nil, func(order []uint64) {
			least = min(least, perCallSlow(r.o.Costs, order, calls))
		})
		worst = max(worst, got.ns/least)
	}
	t.Logf("at worst %.3f times the cheapest", worst)
	if worst > 1.35 {
		t.Errorf("%.3f times the cheapest order", worst)
	}
}

// orders calls f with every order of every subset of at most n counts.
func orders(rest []uint64, n int, head []uint64, f func([]uint64)) {
	f(head)
	if n == 0 {
		return
	}
	for i, c := range rest {
		others := slices.Delete(slices.Clone(rest), i, i+1)
		orders(others, n-1, append(slices.Clone(head), c), f)
	}
}
