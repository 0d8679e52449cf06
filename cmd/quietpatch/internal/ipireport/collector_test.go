package ipireport

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// TestDropped: rows that a backend has dropped keep their counts, and count on when they
// come again from 0.
func TestDropped(t *testing.T) {
	c := NewCollector(Meta{})
	a, b := chrony(2, "close", "", 10), chrony(3, "close", "", 4)
	c.Add(ipi.Snapshot{At: 1, Rows: []ipi.Row{a, b}, Lost: 5, SelfIPIs: 1})
	if step := c.Add(ipi.Snapshot{At: 2, Rows: []ipi.Row{b}, Lost: 6, SelfIPIs: 1}); len(step.Rows) != 0 || step.Lost != 1 || step.SelfIPIs != 0 {
		t.Errorf("step %+v", step)
	}
	a.IPIs, a.Queued, a.CostNS = 3, 3, 3
	b.IPIs, b.Queued = 2, 5 // dropped and back between two snapshots
	step := c.Add(ipi.Snapshot{At: 3, Rows: []ipi.Row{a, b}, Lost: 6, SelfIPIs: 1})
	if len(step.Rows) != 2 || step.Rows[0].IPIs != 3 || step.Rows[1].IPIs != 2 {
		t.Errorf("step %+v", step)
	}
	r := sorted(c.Report())
	if r.Rows[0].IPIs != 13 || r.Rows[1].IPIs != 6 || r.Lost != 6 || r.SelfIPIs != 1 || r.Duration != 3 {
		t.Errorf("report %+v", r)
	}
}

// TestBackendStartsAgain: each count that goes down alone is seen to have begun again; a cost
// that does is a share that has become smaller.
func TestBackendStartsAgain(t *testing.T) {
	c := NewCollector(Meta{})
	row := func(ipis, queued, cost uint64) []ipi.Row {
		r := chrony(2, "close", "", 0)
		r.IPIs, r.Queued, r.CostNS = ipis, queued, cost
		return []ipi.Row{r}
	}
	c.Add(ipi.Snapshot{At: 1, Rows: row(5, 5, 5), Lost: 9, SelfIPIs: 9})
	c.Add(ipi.Snapshot{At: 2, Rows: row(4, 6, 6), Lost: 2, SelfIPIs: 3})
	c.Add(ipi.Snapshot{At: 3, Rows: row(6, 5, 8), Lost: 2, SelfIPIs: 3})
	c.Add(ipi.Snapshot{At: 4, Rows: row(7, 6, 1), Lost: 3, SelfIPIs: 3})
	r := c.Report()
	if s := r.sum(); s.ipis != 5+4+6+1 || s.queued != 5+6+5+1 || s.cost != 5+6+8 || r.Lost != 9+2+1 || r.SelfIPIs != 9+3 {
		t.Errorf("got %+v, lost %d, self %d", s, r.Lost, r.SelfIPIs)
	}
}

// TestSameKeyTwice: rows of one snapshot with the same key are one.
func TestSameKeyTwice(t *testing.T) {
	c := NewCollector(Meta{})
	for i := range 3 {
		n := uint64(i + 1)
		c.Add(ipi.Snapshot{At: time.Duration(n), Rows: []ipi.Row{chrony(2, "close", "", n), chrony(2, "close", "", 2*n)}})
	}
	if r := c.Report(); len(r.Rows) != 1 || r.Rows[0].IPIs != 9 {
		t.Errorf("got %+v", r.Rows)
	}
}

// TestTimeline: a long run has a bounded timeline, with every IPI in it, and no holes.
func TestTimeline(t *testing.T) {
	c := NewCollector(Meta{})
	const steps = 5000
	for i := uint64(1); i <= steps; i++ {
		c.Add(ipi.Snapshot{At: time.Duration(i) * time.Second, Rows: []ipi.Row{kernelRow(1, ipi.Call, i), kernelRow(2, ipi.TLB, 2*i)}})
	}
	r := c.Report()
	if n := len(r.Timeline); n > slicesMax || n < slicesMax/4 {
		t.Errorf("%d slices", n)
	}
	sums, at := map[Lane]uint64{}, time.Duration(0)
	for _, s := range r.Timeline {
		if s.From != at || s.To <= s.From {
			t.Errorf("slice from %v to %v behind %v", s.From, s.To, at)
		}
		at = s.To
		for lane, n := range s.IPIs {
			sums[lane] += n
		}
	}
	if at != r.Duration || sums[Lane{1, ipi.Call}] != steps || sums[Lane{2, ipi.TLB}] != 2*steps {
		t.Errorf("to %v of %v, %v", at, r.Duration, sums)
	}
}

// TestTimelineRest: the rest of a step at the end of a run makes no slice of its own, but steps
// that are short from some time on do.
func TestTimelineRest(t *testing.T) {
	c := NewCollector(Meta{})
	for i, at := range []time.Duration{1000, 2000, 2010, 2020, 2030} {
		c.Add(ipi.Snapshot{At: at * time.Millisecond, Rows: []ipi.Row{kernelRow(1, ipi.Call, uint64(i+1))}})
	}
	var ends []time.Duration
	for _, s := range c.Report().Timeline {
		ends = append(ends, s.To/time.Millisecond)
	}
	if want := []time.Duration{1000, 2010, 2020, 2030}; !slices.Equal(ends, want) {
		t.Errorf("slices end at %d ms, want %d", ends, want)
	}
}

// TestFolded: more rows than allowed lose their senders, not their counts.
func TestFolded(t *testing.T) {
	c := NewCollector(Meta{})
	c.rowsMax = 10
	rows := many(64 * 20)
	var want uint64
	for i := range rows {
		want += rows[i].IPIs
	}
	c.Add(ipi.Snapshot{At: 1, Rows: rows})
	r := c.Report()
	if len(r.Rows) > 2*c.rowsMax+64 || r.sum().ipis != want || r.Folded == 0 {
		t.Errorf("%d rows, %d IPIs of %d, folded %d", len(r.Rows), r.sum().ipis, want, r.Folded)
	}
	if head := strings.Join(r.head(), "\n"); !strings.Contains(head, "too many rows") {
		t.Errorf("head %q", head)
	}
}

// TestConcurrent is for the race detector: nothing that a report has changes.
func TestConcurrent(t *testing.T) {
	c := NewCollector(sampleMeta())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 600 {
			c.Add(ipi.Snapshot{At: time.Duration(i), Rows: []ipi.Row{chrony(2, "close", "", uint64(i))}, Stacks: map[int32][]string{int32(i): {"f"}}})
		}
	})
	wg.Go(func() {
		for range 50 {
			r := c.Report()
			r.strips()
			clear(r.Stacks)
			clear(r.Rows)
		}
	})
	wg.Wait()
	if r := c.Report(); r.sum().ipis != 599 {
		t.Errorf("got %+v", r)
	}
}

// TestReportStays: what comes later does not show in a report that somebody has.
func TestReportStays(t *testing.T) {
	c := NewCollector(Meta{})
	total := func(r *Report) (n uint64) {
		for _, s := range r.Timeline {
			for _, ipis := range s.IPIs {
				n += ipis
			}
		}
		return n
	}
	var reports []*Report
	for i := range uint64(3 * slicesMax) {
		c.Add(ipi.Snapshot{At: time.Duration(i+1) * time.Second, Rows: []ipi.Row{kernelRow(1, ipi.Call, i+1)}})
		reports = append(reports, c.Report())
	}
	for i, r := range reports {
		if n := uint64(i + 1); r.sum().ipis != n || total(r) != n {
			t.Fatalf("report %d: %d IPIs in rows, %d in the timeline", n, r.sum().ipis, total(r))
		}
	}
}

func TestMerge(t *testing.T) {
	r := sampleCollector().Report()
	for _, test := range []struct {
		o     Options
		lines int
	}{{Options{}, 5}, {Options{PerCPU: true}, 7}, {Options{Threads: true}, 6}, {Options{PerCPU: true, Threads: true}, 8}} {
		lines := r.lines(test.o)
		var s sum
		for i := range lines {
			s.add(&lines[i].Row)
		}
		if len(lines) != test.lines || s.ipis != 643 || s.queued != r.sum().queued {
			t.Errorf("%+v: %d lines with %+v, want %d", test.o, len(lines), s, test.lines)
		}
	}
	// What only marks the process as a Go program does not split lines, if its remedy does not.
	for syscall, want := range map[string]int{"futex": 1, "tgkill": 2} {
		a, b := kernelRow(2, ipi.Resched, 1), kernelRow(2, ipi.Resched, 2)
		a.Origin, b.Origin = ipi.Origin{Syscall: syscall, Detail: "FUTEX_WAKE go"}, ipi.Origin{Syscall: syscall, Detail: "FUTEX_WAKE"}
		lines := (&Report{Rows: []ipi.Row{a, b}}).lines(Options{})
		if len(lines) != want || originText(&lines[0].Origin) != syscall+"(FUTEX_WAKE)" {
			t.Errorf("%s: got %+v, want %d", syscall, lines, want)
		}
		if got := len((&Report{Rows: []ipi.Row{a, b}}).JSON().Rows); got != 2 {
			t.Errorf("%s: %d rows in JSON", syscall, got)
		}
	}
	// Two addresses of one function, two workers, and two stacks are one line.
	a, b := threaded(2, 901, "x", 1), threaded(2, 901, "x", 2)
	b.Cause, b.StackID, b.Origin.Via = "flush_tlb_func.constprop.0.cold", 5, "kworker/1:1"
	if lines := merge([]ipi.Row{a, b}, fold{}); len(lines) != 1 || lines[0].IPIs != 3 || lines[0].Cause != "flush_tlb_func" || lines[0].Origin.Via != "kworker/1:1" {
		t.Errorf("got %+v", lines)
	}
}
