package jumpform

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestForms runs every form once: a wrong byte would crash or hang.
func TestForms(t *testing.T) {
	if off || !on {
		t.Fatalf("off is %v, on is %v: the compares in memory would not measure what they say", off, on)
	}
	for _, f := range forms {
		f.run(3)
	}
}

// BenchmarkForms reports ns for 32 checks, the loop included, and the middle half
// of many short rounds, in which the forms take turns in another order each time.
func BenchmarkForms(b *testing.B) {
	const turns = 20_000
	times := make([][]float64, len(forms))
	order := make([]int, len(forms))
	for i := range order {
		order[i] = i
	}
	for b.Loop() {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			start := time.Now()
			forms[i].run(turns)
			times[i] = append(times[i], float64(time.Since(start))/turns)
		}
	}
	var text strings.Builder
	for i, f := range forms {
		s := times[i]
		slices.Sort(s)
		fmt.Fprintf(&text, "%-9s %7.3f ns for 32 (quartiles %.3f to %.3f, least %.3f): %s\n", f.name, s[len(s)/2], s[len(s)/4], s[len(s)*3/4], s[0], f.what)
	}
	b.Log("\n" + text.String())
}
