package grace

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// ErrNotOver is wrapped by the errors of Synchronize: the world could not be
// seen to stop, so threads may still be inside. What was to be freed has to
// stay.
var ErrNotOver = errors.New("grace period is not over")

// Period began when Begin was called. The zero Period is never over.
type Period struct {
	stops uint64 // that the runtime had made
	known bool
}

// Begin begins a period. Nothing may lead to the stub any more, on any CPU.
func Begin() Period {
	n, known := stops()
	return Period{n, known}
}

// Over reports whether the world was stopped since Begin: no thread is inside
// any more. It stops nothing itself.
func (p Period) Over() bool { return p.OverBy(Begin()) }

// OverBy is Over at the moment at which now began: for many periods at the cost of
// one reading.
func (p Period) OverBy(now Period) bool {
	return now.known && p.known && now.stops > p.stops
}

// ways to stop the world, the cheapest first.
var ways = []func(){
	func() { runtime.ReadMemStats(new(runtime.MemStats)) },
	runtime.GC,
}

// Synchronize stops the world. When it returns without an error, all Periods
// are over that began before. It returns how long it took.
func Synchronize() (time.Duration, error) {
	start := time.Now()
	p := Begin()
	for _, stop := range ways {
		stop()
		if p.Over() { // or somebody else's stop came first, which is as good
			return time.Since(start), nil
		}
	}
	err := fmt.Errorf("%w: %s has %s and %s at %d, and neither ReadMemStats nor GC made it rise: stubs are not freed",
		ErrNotOver, runtime.Version(), gcStops, otherStops, p.stops)
	if !p.known {
		err = fmt.Errorf("%w: %s does not have the histograms %s and %s: stubs are not freed",
			ErrNotOver, runtime.Version(), gcStops, otherStops)
	}
	return time.Since(start), err
}

// Histograms with one sample per stop of the world; see doc.go.
const (
	gcStops    = "/sched/pauses/stopping/gc:seconds"
	otherStops = "/sched/pauses/stopping/other:seconds"
)

// reading keeps the samples, whose memory is used again.
var reading = struct {
	sync.Mutex
	samples []metrics.Sample
}{samples: []metrics.Sample{{Name: gcStops}, {Name: otherStops}}}

// stops returns how often the runtime has stopped the world, and whether it
// says so at all.
func stops() (n uint64, known bool) {
	reading.Lock()
	defer reading.Unlock()
	metrics.Read(reading.samples)
	for _, s := range reading.samples {
		if s.Value.Kind() != metrics.KindFloat64Histogram {
			return 0, false
		}
		for _, c := range s.Value.Float64Histogram().Counts {
			n += c
		}
	}
	return n, true
}
