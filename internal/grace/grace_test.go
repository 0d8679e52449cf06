package grace

import (
	"errors"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// quiet turns the collector off: the test's own stops are the only ones.
func quiet(t *testing.T) {
	t.Helper()
	was := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(was) })
}

// count returns the samples of one histogram.
func count(t *testing.T, name string) (n uint64) {
	t.Helper()
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindFloat64Histogram {
		t.Fatalf("%s has no metric %s", runtime.Version(), name)
	}
	for _, c := range s[0].Value.Float64Histogram().Counts {
		n += c
	}
	return n
}

// TestStopsAreCounted: this version of Go counts the stops as doc.go says.
func TestStopsAreCounted(t *testing.T) {
	quiet(t)
	gc, other := count(t, gcStops), count(t, otherStops)
	for i := range uint64(50) {
		took, err := Synchronize()
		if err != nil || took <= 0 {
			t.Fatal(took, err)
		}
		if g, o := count(t, gcStops), count(t, otherStops); o < other+i+1 || g != gc {
			t.Fatalf("after %d calls: %d and %d stops, before %d and %d", i+1, g, o, gc, other)
		}
	}
	cycles := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(cycles)
	before := cycles[0].Value.Uint64()
	gc = count(t, gcStops)
	runtime.GC()
	metrics.Read(cycles)
	n := cycles[0].Value.Uint64() - before
	if got := count(t, gcStops) - gc; n == 0 || got < 2*n {
		t.Errorf("%d GC cycles made %d stops, expected two each", n, got)
	}
}

// TestOver: not at once; after a collection; after a stop of our own.
func TestOver(t *testing.T) {
	quiet(t)
	if (Period{}).Over() {
		t.Error("the zero Period is over")
	}
	old := Begin()
	for range 100 {
		if p := Begin(); p.Over() || old.Over() {
			t.Fatal("over at once")
		}
	}
	before := Begin()
	runtime.GC()
	p := Begin()
	if old.OverBy(before) || !old.OverBy(p) || p.OverBy(old) || old.OverBy(Period{}) {
		t.Error("OverBy does not go by when it is asked about")
	}
	if !old.Over() || p.Over() {
		t.Errorf("after a collection: %v, begun after it: %v", old.Over(), p.Over())
	}
	if _, err := Synchronize(); err != nil || !p.Over() || !old.Over() {
		t.Errorf("after Synchronize: %v, %v, error %v", p.Over(), old.Over(), err)
	}
}

// use replaces the ways to stop the world.
func use(t *testing.T, instead ...func()) {
	was := ways
	ways = instead
	t.Cleanup(func() { ways = was })
}

// TestNoStop: a call that does not stop the world is not believed.
func TestNoStop(t *testing.T) {
	quiet(t)
	nothing := func() {}
	use(t, nothing, runtime.GC)
	p := Begin()
	if _, err := Synchronize(); err != nil || !p.Over() {
		t.Errorf("the second way: %v, over %v", err, p.Over())
	}
	use(t, nothing, nothing)
	p = Begin()
	if _, err := Synchronize(); !errors.Is(err, ErrNotOver) || !strings.Contains(err.Error(), "neither") || p.Over() {
		t.Errorf("no way: %v, over %v", err, p.Over())
	}
}

// TestNoMetric: where the stops are not counted no period is ever over.
func TestNoMetric(t *testing.T) {
	for i := range reading.samples {
		name := reading.samples[i].Name
		before := Begin()
		reading.samples[i] = metrics.Sample{Name: "/no/such:metric"}
		during := Begin()
		_, err := Synchronize()
		if !errors.Is(err, ErrNotOver) || !strings.Contains(err.Error(), "does not have") || before.Over() || during.Over() {
			t.Errorf("without %s: %v, over %v, %v", name, err, before.Over(), during.Over())
		}
		reading.samples[i] = metrics.Sample{Name: name}
		if _, err := Synchronize(); err != nil || !before.Over() || during.Over() {
			t.Errorf("with %s again: %v, over %v, %v", name, err, before.Over(), during.Over())
		}
	}
}

// TestMany: many at once, each sees the end of its own.
func TestMany(t *testing.T) {
	var wg sync.WaitGroup
	var failed atomic.Int32
	for range 4 {
		wg.Go(func() {
			for range 100 {
				p := Begin()
				if _, err := Synchronize(); err != nil || !p.Over() {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of 400 failed", n)
	}
}

func BenchmarkSynchronize(b *testing.B) {
	for b.Loop() {
		if _, err := Synchronize(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOver(b *testing.B) {
	b.ReportAllocs()
	p := Begin()
	for b.Loop() {
		p.Over()
	}
}

// TestLook: a round that saw everybody ends the periods that began before it did, and no
// others.
func TestLook(t *testing.T) {
	quiet(t)
	before := Begin()
	var during Period
	if err := Look(func() error { during = Begin(); return nil }); err != nil {
		t.Fatal(err)
	}
	after := Begin()
	if !before.Over() || during.Over() || after.Over() || (Period{}).Over() {
		t.Errorf("over: begun before %v, during %v, after %v", before.Over(), during.Over(), after.Over())
	}
	unseen := errors.New("somebody was not seen")
	if err := Look(func() error { return unseen }); !errors.Is(err, ErrNotOver) || !errors.Is(err, unseen) || after.Over() {
		t.Errorf("a round that failed: %v, over %v", err, after.Over())
	}
	// Two at once, of which the later one ends first.
	var inner error
	middle := after
	if err := Look(func() error {
		middle = Begin()
		inner = Look(func() error { return nil })
		return nil
	}); err != nil || inner != nil || !middle.Over() || !after.Over() {
		t.Errorf("within another round: %v, %v, over %v, %v", err, inner, middle.Over(), after.Over())
	}
	if p := Begin(); p.Over() || !before.OverBy(p) || p.OverBy(before) {
		t.Error("OverBy does not go by when it is asked about")
	}
}
