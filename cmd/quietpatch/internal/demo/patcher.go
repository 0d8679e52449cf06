package demo

import (
	"fmt"
	"strings"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/internal/barrier"
	"github.com/quietpatch/quietpatch/statickey"
)

const (
	modeLive   = "live"
	modeMemory = "memory"
)

// A patcher is the library as the demo uses it. It is an interface so that
// tests can put a library in place that lies or fails.
type patcher interface {
	// Backends returns the backends that work on this machine.
	Backends() []string
	Configure(strategy, backend string) error
	Set(on bool) error
	// Sites returns how many sites of the key are armed, and for those that
	// are not, one line why.
	Sites() (armed int, why []string)
	State() state
	// Sync performs one bare sync.
	Sync() error
}

// A state is what the library says about itself at one moment.
type state struct {
	mode      string
	reason    string
	strategy  string
	backend   string
	assurance string
	counters  counters
}

type counters struct {
	syncs       uint64
	trapHits    uint64
	trapLate    uint64
	trapForeign uint64
}

func (c counters) minus(d counters) counters {
	return counters{
		syncs:       c.syncs - d.syncs,
		trapHits:    c.trapHits - d.trapHits,
		trapLate:    c.trapLate - d.trapLate,
		trapForeign: c.trapForeign - d.trapForeign,
	}
}

func (c counters) plus(d counters) counters {
	return counters{
		syncs:       c.syncs + d.syncs,
		trapHits:    c.trapHits + d.trapHits,
		trapLate:    c.trapLate + d.trapLate,
		trapForeign: c.trapForeign + d.trapForeign,
	}
}

// library is the patcher that changes this process for real.
type library struct {
	key *statickey.Bool
}

func (l library) Backends() []string { return quietpatch.Backends() }

func (l library) Configure(strategy, backend string) error {
	return quietpatch.Configure(quietpatch.Options{
		Strategy: quietpatch.Strategy(strategy), Backend: quietpatch.Backend(backend),
	})
}

func (l library) Set(on bool) error { return l.key.Set(on) }

func (l library) Sites() (armed int, why []string) {
	sites, err := l.key.Sites()
	if err != nil {
		return 0, []string{err.Error()}
	}
	for _, s := range sites {
		if s.State == "armed" {
			armed++
			continue
		}
		text := fmt.Sprintf("%s (%s:%d): %s", s.Func, s.File, s.Line, s.Why)
		why = append(why, strings.TrimSuffix(text, ": "))
	}
	return armed, why
}

func (l library) State() state {
	s := quietpatch.Status()
	return state{
		mode:      s.Mode,
		reason:    s.Reason,
		strategy:  s.Strategy,
		backend:   s.Backend,
		assurance: s.Assurance,
		counters: counters{
			syncs:       s.Counters.Syncs,
			trapHits:    s.Counters.TrapHits,
			trapLate:    s.Counters.TrapLate,
			trapForeign: s.Counters.TrapForeign,
		},
	}
}

func (l library) Sync() error { return barrier.SyncCore() }
