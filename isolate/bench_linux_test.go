package isolate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/tracking"
	"github.com/quietpatch/quietpatch/isolate"
)

var counted uint64

//go:noinline
func plainCall(f func()) { f() }

// BenchmarkCrossing is there and back again. Each is compared with a plain call, made on the
// same CPU right before it.
func BenchmarkCrossing(b *testing.B) {
	f := func() { counted++ }
	b.Run("plain call", func(b *testing.B) {
		for b.Loop() {
			plainCall(f)
		}
	})
	b.Run("isolate.Kernel, nobody isolated", func(b *testing.B) {
		compared(b, f, func() { isolate.Kernel(f) })
	})
	allowed, err := allowedCPUs()
	if err != nil || len(allowed) < 2 {
		b.Skipf("needs 2 CPUs that the process may run on, has %v, %v", allowed, err)
	}
	cpu := allowed[len(allowed)-1]
	r, err := isolate.Reserve(fmt.Sprint(cpu))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Release() }()
	stop, began := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	isolated := func(b *testing.B, f func(t *isolate.Thread)) {
		if err := isolate.Run(isolate.Options{CPU: cpu}, f); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("t.Kernel", func(b *testing.B) {
		isolated(b, func(t *isolate.Thread) { compared(b, f, func() { t.Kernel(f) }) })
	})
	b.Run("isolate.Kernel", func(b *testing.B) {
		isolated(b, func(t *isolate.Thread) { compared(b, f, func() { isolate.Kernel(f) }) })
	})
	b.Run("t.Kernel, a sync owed", func(b *testing.B) {
		isolated(b, func(t *isolate.Thread) {
			cpus := make([]int, 0, 1)
			compared(b, f, func() {
				cpus = deferral.Defer(tracking.Sync, cpus[:0])
				t.Kernel(f)
			})
		})
	})
	b.Run("leaving the sync", func(b *testing.B) {
		isolated(b, func(t *isolate.Thread) {
			cpus := make([]int, 0, 1)
			compared(b, f, func() { cpus = deferral.Defer(tracking.Sync, cpus[:0]) })
		})
	})
	b.Run("t.Safepoint", func(b *testing.B) {
		isolated(b, func(t *isolate.Thread) { compared(b, f, t.Safepoint) })
	})
	go func() {
		defer close(ended)
		isolated(b, func(*isolate.Thread) { close(began); <-stop })
	}()
	<-began
	b.Run("isolate.Kernel, another is isolated", func(b *testing.B) {
		compared(b, f, func() { isolate.Kernel(f) })
	})
	close(stop)
	<-ended
}

// compared measures what, and reports how many plain calls it takes as long as.
func compared(b *testing.B, f, what func()) {
	const calls = 200_000
	plain := time.Duration(1 << 62)
	for range 5 {
		start := time.Now()
		for range calls {
			plainCall(f)
		}
		plain = min(plain, time.Since(start))
	}
	start := time.Now()
	b.ResetTimer()
	n := 0
	for b.Loop() {
		what()
		n++
	}
	each := float64(time.Since(start)) / float64(n)
	b.ReportMetric(each/(float64(plain)/calls), "calls")
}
