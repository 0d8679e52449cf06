package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// Change is one key's new value.
type Change struct {
	Key   *Key
	Value int64
}

// poke is one site's part in a batch.
type poke struct {
	key      *Key
	site     *Site
	old, new uint64 // the site's bytes before and after
	// What a thread that traps here sees, on the way forward and on the way
	// back.
	newValue, oldValue int64
}

// Apply makes the changes, all of them or none, with as few syncs as the
// strategy needs for all sites together. Of several changes of one key the
// last one counts. Changes to the value that a key has cost nothing.
func (e *Engine) Apply(changes []Change) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	changes = pending(changes)
	if len(changes) == 0 {
		return nil
	}
	if err := e.recoverLocked(); err != nil {
		return err
	}
	e.armLocked(keysOf(changes))
	if err := e.toggleLocked(changes); err != nil {
		return err
	}
	for _, c := range changes {
		c.Key.cell.Store(c.Value)
	}
	e.count.Batches++
	return nil
}

// pending drops changes that a later one of the same key overrules, and those
// that change nothing. The common case of one change does not allocate.
func pending(changes []Change) []Change {
	if len(changes) == 1 {
		if changes[0].Key.cell.Load() == changes[0].Value {
			return nil
		}
		return changes
	}
	last := make(map[*Key]int, len(changes))
	for i, c := range changes {
		last[c.Key] = i
	}
	out := make([]Change, 0, len(last))
	for i, c := range changes {
		if last[c.Key] == i && c.Key.cell.Load() != c.Value {
			out = append(out, c)
		}
	}
	return out
}

func keysOf(changes []Change) []*Key {
	keys := make([]*Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	return keys
}

// toggleLocked rewrites the armed sites of the changed keys. When the batch
// fails it is tried once more, one site at a time, as the kernel does; when
// that fails, too, every site shows the old value.
func (e *Engine) toggleLocked(changes []Change) error {
	e.pokes = e.pokes[:0]
	for _, c := range changes {
		old := c.Key.cell.Load()
		for _, s := range c.Key.sites {
			if s.state == Armed {
				e.pokes = append(e.pokes, poke{
					key: c.Key, site: s,
					old: s.word(old), new: s.word(c.Value), oldValue: old, newValue: c.Value,
				})
			}
		}
	}
	if len(e.pokes) == 0 {
		return nil
	}
	if len(changes) > 1 {
		e.sortPokes()
	}
	out := e.runLocked(e.strategy)
	if out.Err == nil || out.Stuck || errors.Is(out.Err, errNotReady) {
		return e.failure(out)
	}
	e.count.Fallbacks++
	return e.failure(e.runLocked(protocol.OneAtATime))
}

// sortPokes sorts by address over all keys, as the vector must be.
func (e *Engine) sortPokes() {
	slices.SortFunc(e.pokes, func(a, b poke) int { return cmp.Compare(a.site.addr, b.site.addr) })
}

// errNotReady is wrapped when traps may not be taken now.
var errNotReady = errors.New("int3 is not possible now")

// runLocked carries out e.pokes by one strategy.
func (e *Engine) runLocked(s protocol.Strategy) protocol.Outcome {
	if s != protocol.Store {
		if err := e.m.Ready(e.inForce.AllowTracer); err != nil {
			return protocol.Outcome{Site: -1, Err: fmt.Errorf("%w: %w", errNotReady, err)}
		}
	}
	m, err := protocol.New(protocol.Plan{Strategy: s, Sites: len(e.pokes), VectorMax: vectorMax, HeadsOnly: e.headsOnly()})
	if err != nil {
		return protocol.Outcome{Site: -1, Err: err}
	}
	return e.drive(&m)
}

// headsOnly reports whether all pokes change first bytes only.
func (e *Engine) headsOnly() bool {
	for i := range e.pokes {
		if (e.pokes[i].old^e.pokes[i].new)>>8 != 0 {
			return false
		}
	}
	return true
}

// stuckBatch is a batch that could be neither finished nor undone.
type stuckBatch struct {
	machine protocol.Machine
	pokes   []poke
	err     error
}

// drive performs effects until the machine is done.
func (e *Engine) drive(m *protocol.Machine) protocol.Outcome {
	for !m.Done() {
		m.Next(e.perform(m.Effect()))
	}
	out := m.Outcome()
	if out.Stuck {
		e.stuck = &stuckBatch{machine: *m, pokes: slices.Clone(e.pokes), err: e.failure(out)}
	}
	return out
}

// recoverLocked tries to get a stuck batch out of the way before anything else
// is patched. Its trapped sites work meanwhile, through the vector.
func (e *Engine) recoverLocked() error {
	if e.stuck == nil {
		return nil
	}
	s := e.stuck
	e.stuck = nil
	e.pokes = append(e.pokes[:0], s.pokes...)
	s.machine.Resume()
	out := e.drive(&s.machine)
	if out.Stuck {
		return fmt.Errorf("an earlier batch is still stuck: %w", e.stuck.err)
	}
	return nil
}
