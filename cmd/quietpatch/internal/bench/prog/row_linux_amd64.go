package prog

import (
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/statickey"
)

// The shape of a row. Bare syncs and flips take turns in short blocks, so that
// both see the same load even where other programs come and go.
const (
	warmUpFlips   = 4 // the first ones write to pages that were never written
	syncsPerBlock = 8
	flipsPerBlock = 16
	blockTime     = 20 * time.Millisecond // of flips, at least one
	flipsLeast    = 5
	timeFactor    = 6 // a row may take so many times longer until enough flips count
)

// A series is what a row collects.
type series struct {
	flips, flipsOther samples // those that count, and others
	syncs             samples
	made              int
	flipIPIs          window
	syncIPIs          window
	syncsMade         int
	librarySyncs      uint64
}

// A window adds up what came to the busy CPU during some blocks.
type window struct {
	elapsed time.Duration
	ipis    uint64
	missing bool
}

// during counts interrupts while f runs.
func (w *window) during(cpu int, f func() error) error {
	a, err1 := callIPIs(cpu)
	start := time.Now()
	err := f()
	w.elapsed += time.Since(start)
	b, err2 := callIPIs(cpu)
	w.ipis += uint64(b - a)
	w.missing = w.missing || err1 != nil || err2 != nil
	return err
}

// per returns interrupts per event, as counted and without the noise.
func (w *window) per(events int, noise float64) (raw, net float64) {
	if w.missing || noise < 0 || events == 0 {
		return NotMeasured, NotMeasured
	}
	n := float64(w.ipis)
	return round3(n / float64(events)), round3(max(0, n-noise*w.elapsed.Seconds()) / float64(events))
}

// row measures one strategy and verifies the sites after it.
func (m *meter) row(g *Group, strategy string) (Flip, error) {
	noWait := strategy == StrategyNoWait
	o := quietpatch.Options{Strategy: quietpatch.Strategy(strategy), Backend: quietpatch.Backend(m.backend)}
	if noWait {
		o.Strategy = quietpatch.StrategyStore
	}
	if err := quietpatch.Configure(o); err != nil {
		return Flip{}, err
	}
	for range warmUpFlips {
		if err := m.flip(g, noWait); err != nil {
			return Flip{}, err
		}
	}
	var s series
	if err := m.collect(&s, g, noWait); err != nil {
		return Flip{}, err
	}
	row := s.row(m.noise)
	row.Sites, row.Keys, row.Layout, row.Backend, row.Strategy = g.Sites, g.To-g.From, g.Layout, m.backend, strategy
	row.NSPerSite = round3(float64(row.FlipNS) / float64(g.Sites))
	m.report.SyncNS = append(m.report.SyncNS, row.SyncNS)
	if err := statickey.Sync(); err != nil {
		return Flip{}, err
	}
	var err error
	if row.Verified, err = m.verify(g); err == nil && m.on {
		err = m.flip(g, false) // the next group finds all keys off
	}
	return row, err
}

func (m *meter) collect(s *series, g *Group, noWait bool) error {
	for start := time.Now(); ; {
		took := time.Since(start)
		if took > m.rowTime && len(s.flips) >= flipsLeast || took > timeFactor*m.rowTime && s.made >= flipsLeast {
			return nil
		}
		if err := s.syncIPIs.during(m.cpus.busy, func() error { return m.syncBlock(s) }); err != nil {
			return err
		}
		before := quietpatch.Status().Counters.Syncs
		if err := s.flipIPIs.during(m.cpus.busy, func() error { return m.flipBlock(s, g, noWait) }); err != nil {
			return err
		}
		s.librarySyncs += quietpatch.Status().Counters.Syncs - before
	}
}

func (m *meter) syncBlock(s *series) error {
	for range syncsPerBlock {
		ns, counts, err := m.busy.time(bareSync)
		if err != nil {
			return err
		}
		s.syncsMade++
		if counts {
			s.syncs = append(s.syncs, ns)
		}
	}
	return nil
}

func (m *meter) flipBlock(s *series, g *Group, noWait bool) error {
	start := time.Now()
	for range flipsPerBlock {
		ns, counts, err := m.busy.time(func() error { return m.flip(g, noWait) })
		if err != nil {
			return err
		}
		s.made++
		if counts {
			s.flips = append(s.flips, ns)
		} else {
			s.flipsOther = append(s.flipsOther, ns)
		}
		if time.Since(start) > blockTime {
			break
		}
	}
	return nil
}

// row makes a row of what was collected.
func (s *series) row(noise float64) Flip {
	times := s.flips
	f := Flip{Flips: len(s.flips), Left: len(s.flipsOther), Quiet: len(s.flips) >= flipsLeast}
	if !f.Quiet {
		times = append(times, s.flipsOther...) // better than nothing, and marked
	}
	f.FlipNS, f.FlipNSP10, f.FlipNSP90 = int64(times.median()), int64(times.at(10)), int64(times.at(90))
	f.SyncNS = int64(s.syncs.median())
	f.RatioToSync = ratio(float64(f.FlipNS), float64(f.SyncNS))
	f.Syncs = ratio(float64(s.librarySyncs), float64(s.made))
	f.IPIsRaw, f.IPIs = s.flipIPIs.per(s.made, noise)
	_, f.IPIsPerSync = s.syncIPIs.per(s.syncsMade, noise)
	return f
}
