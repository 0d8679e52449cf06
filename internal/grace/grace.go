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
	stops  uint64 // that the runtime had made
	known  bool
	rounds uint64 // number of the first round that begins after the period; 0 in the zero Period
	seen   uint64 // number of the last round that saw everybody outside
}

// Begin begins a period. Nothing may lead to the stub any more, on any CPU.
func Begin() Period {
	n, known := stops()
	rounds.Lock()
	defer rounds.Unlock()
	return Period{n, known, rounds.begun + 1, rounds.seen}
}

// Over reports whether the world was stopped since Begin, or a round has begun since and seen
// everybody outside: no thread is inside any more. It stops nothing itself.
func (p Period) Over() bool { return p.OverBy(Begin()) }

// OverBy is Over at the moment at which now began: for many periods at the cost of
// one reading.
func (p Period) OverBy(now Period) bool {
	return now.known && p.known && now.stops > p.stops || p.rounds > 0 && now.seen >= p.rounds
}

// rounds counts the looks at all threads, see Look.
var rounds struct {
	sync.Mutex
	begun, seen uint64
}

// Look ends all Periods that began before by a look at every thread: if round returns
// nil, each thread was outside of all stubs that nothing leads to at some time since Look
// was called. See package visit.
func Look(round func() error) error {
	rounds.Lock()
	rounds.begun++
	n := rounds.begun
	rounds.Unlock()
	if err := round(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotOver, err)
	}
	rounds.Lock()
	defer rounds.Unlock()
	rounds.seen = max(rounds.seen, n)
	return nil
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
