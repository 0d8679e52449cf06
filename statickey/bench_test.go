package statickey_test

import (
	"os"
	"testing"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/internal/barrier"
)

// BenchmarkFlip: one flip of 56 sites, against one bare sync in the same run.
// A process cannot leave alias, so QUIETPATCH_BACKEND chooses the backend.
func BenchmarkFlip(b *testing.B) {
	for _, s := range []quietpatch.Strategy{quietpatch.StrategyStore, quietpatch.StrategyInt3, quietpatch.StrategyOneAtATime} {
		b.Run(string(s), func(b *testing.B) {
			if err := quietpatch.Configure(quietpatch.Options{Strategy: s, Backend: quietpatch.Backend(os.Getenv("QUIETPATCH_BACKEND"))}); err != nil {
				b.Fatal(err)
			}
			on := false
			for b.Loop() {
				on = !on
				if err := benchKey.Set(on); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("bare-sync", func(b *testing.B) {
		if err := barrier.Register(); err != nil {
			b.Skip(err)
		}
		for b.Loop() {
			_ = barrier.SyncCore()
		}
	})
}

var checkSink [benchSites]int

// BenchmarkCheck56: 56 checks of a key that is off.
func BenchmarkCheck56(b *testing.B) {
	for b.Loop() {
		check56(&checkSink)
	}
}
