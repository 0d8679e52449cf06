package reserve

import (
	"fmt"
	"slices"
)

// pin is the mask of a thread before it was pinned, and the one that it would have had
// then without reservations.
type pin struct{ before, home CPUs }

// Pin lets the calling thread run on one CPU only, and returns its mask before. The
// goroutine has to be locked to the thread.
func Pin(cpu int) (before CPUs, err error) { return process.pin(cpu) }

// Restore gives the calling thread back the mask that Pin returned: less CPUs that were
// reserved since, and with those that were released since.
func Restore(before CPUs) error { return process.restore(before) }

func (g *registry) pin(cpu int) (CPUs, error) {
	if err := checkNumber(cpu); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t, err := g.sys.self()
	if err != nil {
		return nil, err
	}
	if err := g.sys.set(t.TID, CPUs{cpu}); err != nil {
		return nil, fmt.Errorf("thread %s cannot be pinned to CPU %d: %w", t.Task, cpu, err)
	}
	if _, again := g.pins[t.thread()]; !again {
		g.pins[t.thread()] = pin{t.CPUs, g.home(t.thread(), t.CPUs)}
	}
	return t.CPUs, nil
}

func (g *registry) restore(before CPUs) error {
	before, err := sorted(before)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t, err := g.sys.self()
	if err != nil {
		return err
	}
	home, want := before, before
	p, pinned := g.pins[t.thread()]
	pinned = pinned && slices.Equal(p.before, before)
	if pinned {
		home, want = p.home, p.home.minus(g.reserved())
		if len(want) == 0 { // reserved since, all of them
			home = g.widest()
			want = home.minus(g.reserved())
		}
	}
	if err := g.sys.set(t.TID, want); err != nil {
		return fmt.Errorf("thread %s cannot be given back the CPUs %s: %w", t.Task, want, err)
	}
	if pinned {
		delete(g.pins, t.thread())
	}
	if len(g.active) > 0 {
		g.note(t.thread(), home, want)
	}
	return nil
}
