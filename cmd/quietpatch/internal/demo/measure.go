package demo

import (
	"context"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/interrupts"
)

// The shape of a row. Bare syncs and flips take turns in short blocks, so that
// both see the same load even where other programs come and go. The counters
// are read around each block, so that one does not count for the other.
const (
	blocksPerRow   = 40
	syncsPerBlock  = 13 // more than 500 in a row
	minWarmUpFlips = 8
	maxRowErrors   = 10

	// pauseTime is the sleep between two flips or syncs. It lets requests pass
	// between two flips, which alone can be checked, and keeps the scheduler
	// from counting the flipper as a busy thread and making it wait.
	pauseTime = 400 * time.Microsecond
)

// A meter measures one row. It runs on the flipper's thread.
type meter struct {
	lib      patcher
	gate     *gate
	busyCPU  int
	flipNs   []int64
	syncNs   []int64
	flips    window // the blocks of flips
	syncs    window // the blocks of bare syncs
	counters counters
	errors   int
	first    error
}

// A window is what came to the busy CPU during some blocks.
type window struct {
	elapsed time.Duration
	ipis    interrupts.IPIs
}

// open starts a block, and the function it returns ends the block.
func (w *window) open(busyCPU int) (end func()) {
	before, start := interrupts.Read(), time.Now()
	return func() {
		w.elapsed += time.Since(start)
		w.ipis = w.ipis.Plus(interrupts.Read().IPIsSince(before, busyCPU))
	}
}

func (m *meter) fail(err error) {
	if m.errors == 0 {
		m.first = err
	}
	m.errors++
}

// flip turns the key to its other value, and returns how long that took.
func (m *meter) flip() (time.Duration, error) {
	on := !m.gate.on()
	start := time.Now()
	err := m.gate.flip(on, m.lib.Set)
	return time.Since(start), err
}

// warmUp arms the sites and writes to every page of text once, which costs
// what later flips do not: TLB shootdowns, above all.
func (m *meter) warmUp(ctx context.Context, d time.Duration) {
	end := time.Now().Add(d)
	for n := 0; n < minWarmUpFlips || time.Now().Before(end); n++ {
		if ctx.Err() != nil || m.errors >= maxRowErrors {
			return
		}
		if _, err := m.flip(); err != nil {
			m.fail(err)
		}
		pause(pauseTime)
	}
}

// run measures blocks of syncs and flips for about a time, nine tenths of
// which are flips in a row of the usual length. Progress is called after each
// block.
func (m *meter) run(ctx context.Context, d time.Duration, progress func()) {
	for range blocksPerRow {
		m.syncBlock()
		m.flipBlock(ctx, d/blocksPerRow*9/10)
		if ctx.Err() != nil || m.errors >= maxRowErrors {
			return
		}
		progress()
	}
}

// syncBlock times bare syncs. Where the machine has none, it takes no samples.
func (m *meter) syncBlock() {
	defer m.syncs.open(m.busyCPU)()
	for range syncsPerBlock {
		start := time.Now()
		if m.lib.Sync() != nil {
			return
		}
		m.syncNs = append(m.syncNs, time.Since(start).Nanoseconds())
		pause(pauseTime)
	}
}

// flipBlock times flips, at least one.
func (m *meter) flipBlock(ctx context.Context, length time.Duration) {
	counters := m.lib.State().counters
	end := m.flips.open(m.busyCPU)
	for start := time.Now(); ; {
		d, err := m.flip()
		if err != nil {
			m.fail(err)
		} else {
			m.flipNs = append(m.flipNs, d.Nanoseconds())
		}
		pause(pauseTime)
		if time.Since(start) >= length || ctx.Err() != nil || m.errors >= maxRowErrors {
			break
		}
	}
	end()
	m.counters = m.counters.plus(m.lib.State().counters.minus(counters))
}

// A noise is how many interrupts per second come to the busy CPU without any
// flip. The same load causes them: wake-ups, garbage collection.
type noise struct {
	call, tlb float64
}

// measureNoise does what a row does, without flips and syncs.
func measureNoise(ctx context.Context, busyCPU int, d time.Duration) noise {
	var w window
	end := w.open(busyCPU)
	for start := time.Now(); time.Since(start) < d && ctx.Err() == nil; {
		pause(pauseTime)
	}
	end()
	seconds := w.elapsed.Seconds()
	n := noise{call: notMeasured, tlb: notMeasured}
	if !w.ipis.NoCall {
		n.call = per(w.ipis.Call, seconds)
	}
	if !w.ipis.NoTLB {
		n.tlb = per(w.ipis.TLB, seconds)
	}
	return n
}

// callIPIs returns the call IPIs for each of n events in the window, as
// counted and without the noise.
func (w window) callIPIs(n int, noise noise) (raw, net float64) {
	return perEvent(w.ipis.Call, w.ipis.NoCall, noise.call*w.elapsed.Seconds(), n)
}

func (w window) tlbIPIs(n int, noise noise) (raw, net float64) {
	return perEvent(w.ipis.TLB, w.ipis.NoTLB, noise.tlb*w.elapsed.Seconds(), n)
}

func perEvent(count uint64, missing bool, expected float64, n int) (raw, net float64) {
	if missing || n == 0 {
		return notMeasured, notMeasured
	}
	return per(count, float64(n)), round3(max(0, float64(count)-max(0, expected)) / float64(n))
}

// row makes a Row of what the meter has counted.
func (m *meter) row(s state, n noise) Row {
	row := Row{
		Strategy: s.strategy, Backend: s.backend, Assurance: s.assurance,
		Flips:        len(m.flipNs),
		FlipNsMedian: percentile(m.flipNs, 50),
		FlipNsP99:    percentile(m.flipNs, 99),
		SyncNs:       percentile(m.syncNs, 50),
		RatioToSync:  notMeasured,
		SyncsPerFlip: per(m.counters.syncs, float64(len(m.flipNs))),
		TrapHits:     m.counters.trapHits, TrapLate: m.counters.trapLate, TrapForeign: m.counters.trapForeign,
		Errors: m.errors,
	}
	if row.SyncNs > 0 && row.FlipNsMedian > 0 {
		row.RatioToSync = round3(float64(row.FlipNsMedian) / float64(row.SyncNs))
	}
	row.CallIPIsPerFlipRaw, row.CallIPIsPerFlip = m.flips.callIPIs(len(m.flipNs), n)
	row.TLBIPIsPerFlipRaw, row.TLBIPIsPerFlip = m.flips.tlbIPIs(len(m.flipNs), n)
	_, row.CallIPIsPerSync = m.syncs.callIPIs(len(m.syncNs), n)
	if m.first != nil {
		row.FirstError = m.first.Error()
	}
	return row
}
