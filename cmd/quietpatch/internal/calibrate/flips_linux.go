//go:build linux && amd64

package calibrate

import (
	"fmt"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/scale"
	"github.com/quietpatch/quietpatch/internal/trap"
	"github.com/quietpatch/quietpatch/statickey"
)

const (
	flipTime    = 300 * time.Millisecond // of one row
	flipTimeMax = 4 * flipTime           // if too few flips count
	flipsMin    = 6
	flipsMax    = 1000
	flipsWarmUp = 4                    // arm, and write to every page once
	quietTime   = 5 * time.Millisecond // to see how fast checks are when nobody flips
)

// flips measures real flips by all strategies on one backend, and puts the
// compiler's bytes back.
func (r *run) flips(backend string) error {
	var sink [5]int
	for _, k := range []struct {
		key   *statickey.Bool
		sites int
		pass  func()
	}{
		{&smallKey, len(r.small), func() { passSmall(&sink) }},
		{&largeKey, len(r.large), func() { passLarge(&sink) }},
	} {
		for _, s := range []quietpatch.Strategy{quietpatch.StrategyStore, quietpatch.StrategyInt3, quietpatch.StrategyOneAtATime} {
			if err := quietpatch.Configure(quietpatch.Options{Strategy: s, Backend: quietpatch.Backend(backend)}); err != nil {
				return err
			}
			v, err := r.flipRow(k.key, k.pass, k.sites)
			if err != nil {
				return fmt.Errorf("%s, %d sites: %w", s, k.sites, err)
			}
			v.Strategy, v.Backend = string(s), backend
			r.result.Validation = append(r.result.Validation, v)
		}
	}
	// Sites that are armed would look like somebody else's text to the next
	// backend's pokes.
	return quietpatch.Disarm()
}

// flipRow flips one key while the busy thread passes through its checks.
func (r *run) flipRow(k *statickey.Bool, pass func(), sites int) (scale.Validation, error) {
	v := scale.Validation{CPUs: 2, Sites: sites}
	if err := quietpatch.Arm(); err != nil {
		return v, err
	}
	b, err := startBusy(r.busyCPU, pass)
	if err != nil {
		return v, err
	}
	defer b.end()
	for range flipsWarmUp {
		if err := k.Set(!k.Enabled()); err != nil {
			return v, err
		}
	}
	if err := allArmed(k); err != nil {
		return v, err
	}
	rate, err := b.quietRate()
	if err != nil {
		return v, err
	}
	v.ChecksPerSec = rate * float64(sites)
	before := quietpatch.Status().Counters.Syncs
	f := &flipper{key: k, busy: b}
	if err := f.run(); err != nil {
		return v, err
	}
	v.Made, v.Syncs = f.made, float64(quietpatch.Status().Counters.Syncs-before)/float64(f.made)
	times := f.times
	if v.BusyEnough = len(times) >= flipsMin; !v.BusyEnough {
		times = f.others // better than nothing, and marked
	}
	v.Flips, v.MeasuredNs, v.MeasuredP10, v.MeasuredP90 = len(f.times), times.median(), times.at(10), times.at(90)
	v.Traps = float64(f.traps) / float64(max(len(f.times), 1))
	return v, nil
}

// allArmed returns an error for the first site that is read from memory: it
// would make a flip look cheap.
func allArmed(k *statickey.Bool) error {
	sites, err := k.Sites()
	if err != nil {
		return err
	}
	for _, s := range sites {
		if s.State != "armed" {
			return fmt.Errorf("text at %#x (%s:%d): expected an armed site, found one in memory: %s %s",
				s.Addr, s.File, s.Line, s.Why, quietpatch.Status().NotArmed)
		}
	}
	return nil
}

// quietRate returns the passes per second while nobody flips. The best of a
// few tries: other programs only ever take the CPU away.
func (b *busy) quietRate() (float64, error) {
	var best float64
	for range 5 {
		from, err := b.mark()
		if err != nil {
			return 0, err
		}
		spin(quietTime)
		to, err := b.mark()
		if err != nil {
			return 0, err
		}
		_, rate := to.since(from)
		best = max(best, rate)
	}
	return best, nil
}

// A flipper flips a key and sorts the flips into those that count and others.
type flipper struct {
	key    *statickey.Bool
	busy   *busy
	made   int
	times  samples
	traps  uint64 // of the flips that count
	others samples
}

func (f *flipper) run() error {
	for start := time.Now(); f.made < flipsMax; {
		took := time.Since(start)
		if took > flipTime && len(f.times) >= flipsMin || took > flipTimeMax && f.made >= flipsMin {
			break
		}
		if err := f.flip(); err != nil {
			return err
		}
	}
	return nil
}

func (f *flipper) flip() error {
	traps := trap.Counters().Hits
	ns, counts, err := f.busy.time(func() error { return f.key.Set(!f.key.Enabled()) })
	if err != nil {
		return err
	}
	f.made++
	if !counts {
		f.others = append(f.others, ns)
		return nil
	}
	f.times = append(f.times, ns)
	f.traps += trap.Counters().Hits - traps
	return nil
}
