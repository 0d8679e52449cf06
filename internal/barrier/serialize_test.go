//go:build linux && amd64

package barrier_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/quietpatch/quietpatch/internal/barrier"
)

// TestSerializeSelf returns from IRETQ many times while signals (preemption by
// the collector) land in it, and with deep stacks below.
func TestSerializeSelf(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200_000 {
				barrier.SerializeSelf()
				if i%50_000 == 0 {
					runtime.GC()
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkSerializeSelf(b *testing.B) {
	for b.Loop() {
		barrier.SerializeSelf()
	}
}
