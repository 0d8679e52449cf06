package bench

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	pingcap "github.com/pingcap/failpoint"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/failpoint"
)

func TestMain(m *testing.M) {
	if err := failpoint.Allow(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var loops = []struct {
	name string
	run  func(n int) int
}{
	{"none", loopNone},
	{"ours", loopOurs},
	{"gofail", loopGofail},
	{"pingcap", loopPingcap},
}

// compare runs the loops in turns, so that what disturbs the machine disturbs
// all of them, and reports medians per iteration and their ratios to ours. A
// turn is short, and every goroutine does all of it.
func compare(b *testing.B, goroutines int) {
	const rounds, n = 15, 100000
	ns := make([][]float64, len(loops))
	for b.Loop() {
		for range rounds {
			for i, l := range loops {
				start := time.Now()
				var wg sync.WaitGroup
				for range goroutines - 1 {
					wg.Go(func() { l.run(n) })
				}
				l.run(n)
				wg.Wait()
				ns[i] = append(ns[i], float64(time.Since(start).Nanoseconds())/n)
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of all loops together: of no use
	median := make([]float64, len(loops))
	for i, l := range loops {
		slices.Sort(ns[i])
		median[i] = ns[i][len(ns[i])/2]
		b.ReportMetric(median[i], l.name+"_ns")
	}
	b.ReportMetric(median[2]/median[1], "gofail/ours")
	b.ReportMetric(median[3]/median[1], "pingcap/ours")
}

// BenchmarkNeverOn is the usual case, in which pingcap/failpoint does not know
// the point and ours reads its key from memory. It cannot be had after a test:
// run it with -run - .
func BenchmarkNeverOn(b *testing.B) {
	if len(pingcap.List()) != 0 {
		b.Skip("the points were on before")
	}
	b.Run("one-thread", func(b *testing.B) { compare(b, 1) })
	b.Run("two-threads", func(b *testing.B) { compare(b, 2) })
}

// BenchmarkOff: the points were on before, so ours are armed where that works.
func BenchmarkOff(b *testing.B) {
	setAll(b, "return(1)")
	clearAll(b)
	b.Logf("keys: %s %s", quietpatch.Status().Mode, quietpatch.Status().Reason)
	b.Run("one-thread", func(b *testing.B) { compare(b, 1) })
	b.Run("two-threads", func(b *testing.B) { compare(b, 2) })
}

// BenchmarkOn is there to see that being on is no worse.
func BenchmarkOn(b *testing.B) {
	setAll(b, "return(1)")
	defer clearAll(b)
	b.Run("one-thread", func(b *testing.B) { compare(b, 1) })
	b.Run("two-threads", func(b *testing.B) { compare(b, 2) })
}
