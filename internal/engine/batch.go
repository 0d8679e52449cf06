package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unsafe"

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
	if err := e.recoverLocked(); err != nil {
		return err // first of all: a batch that is stuck has left checks in between
	}
	e.oneRecordEach(changes)
	changes = pending(changes)
	if len(changes) == 0 {
		return nil
	}
	e.armLocked(keysOf(changes))
	if e.stuck != nil {
		return e.stuck.err // its traps need the vector
	}
	if err := e.toggleLocked(changes); err != nil {
		return err
	}
	for _, c := range changes {
		c.Key.cell.Store(c.Value)
		c.Key.shown = c.Value
	}
	e.count.Batches++
	return nil
}

// oneRecordEach makes all changes of one variable name the same record. There
// can be two, queued around an assignment to the variable, before the engine has
// listed either.
func (e *Engine) oneRecordEach(changes []Change) {
	var first map[unsafe.Pointer]*Key
	if len(changes) > 1 {
		first = make(map[unsafe.Pointer]*Key, len(changes))
	}
	for i := range changes {
		k := e.known(changes[i].Key)
		if other := first[k.addr]; other != nil {
			k = other
		} else if first != nil {
			first[k.addr] = k
		}
		changes[i].Key = k
	}
}

// pending drops changes that a later one of the same key overrules, and those
// that change nothing. The common case of one change does not allocate.
func pending(changes []Change) []Change {
	if len(changes) == 1 {
		if changes[0].idle() {
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
		if last[c.Key] == i && !c.idle() {
			out = append(out, c)
		}
	}
	return out
}

// idle reports whether the key has the value already, in memory and in text.
func (c Change) idle() bool {
	return c.Key.cell.Load() == c.Value && c.Key.value() == c.Value
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
		old := c.Key.value()
		if old == c.Value {
			continue // only the byte differs: the key was overwritten
		}
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
	first := e.runLocked(e.strategy)
	if !worthRetry(first) {
		return e.failure(first)
	}
	e.count.Fallbacks++
	syncs := e.count.Syncs
	second := e.runLocked(protocol.OneAtATime)
	if errors.Is(second.Err, errNotReady) {
		return e.failure(first) // which says more
	}
	if second.Err != nil && e.count.Syncs == syncs {
		second.Unsynced = second.Unsynced || first.Unsynced // still not made up for
	}
	return e.failure(second)
}

// worthRetry reports whether the batch failed in a way that may be another one
// site by site. What step 0 found will still be there, and a batch that could
// not start will not start then.
func worthRetry(out protocol.Outcome) bool {
	return out.Err != nil && !out.Stuck && out.Step != protocol.StepCheck && !errors.Is(out.Err, errNotReady)
}

// sortPokes sorts by address over all keys, as the vector must be.
func (e *Engine) sortPokes() {
	slices.SortFunc(e.pokes, func(a, b poke) int { return cmp.Compare(a.site.addr, b.site.addr) })
}

// errNotReady is wrapped when a batch could not start: traps may not be taken
// now, or another batch is stuck.
var errNotReady = errors.New("text cannot be patched now")

// runLocked carries out e.pokes by one strategy.
func (e *Engine) runLocked(s protocol.Strategy) protocol.Outcome {
	if e.stuck != nil {
		return protocol.Outcome{Site: -1, Err: fmt.Errorf("%w: %w", errNotReady, e.stuck.err)}
	}
	if err := e.m.Begin(); err != nil {
		return protocol.Outcome{Site: -1, Err: fmt.Errorf("%w: %w", errNotReady, err)}
	}
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
	e.driving = true
	for !m.Done() {
		m.Next(e.perform(m.Effect()))
	}
	e.driving = false
	out := m.Outcome()
	if out.Unsynced {
		e.owed = out.Err
	}
	if out.Stuck {
		e.stuck = &stuckBatch{machine: *m, pokes: slices.Clone(e.pokes), err: e.failure(out)}
	}
	return out
}

// recoverLocked clears up after an earlier batch before anything else is done: it
// tries to get a stuck one out of the way, whose trapped sites work meanwhile,
// through the vector; and it makes the sync that one could not make behind its
// undo. Until then no call can promise what any check sees, not even one that
// changes nothing.
func (e *Engine) recoverLocked() error {
	if err := e.unstick(); err != nil {
		return err
	}
	if e.owed == nil {
		return nil
	}
	if err := e.sync(); err != nil {
		return &SiteError{Step: protocol.StepStoreSync.String(), Unsynced: true, Err: fmt.Errorf("the sync that an earlier batch (%w) owes: %w", e.owed, err)}
	}
	return nil
}

func (e *Engine) unstick() error {
	if e.stuck == nil {
		return nil
	}
	// A backend that is gone writes nothing; the way back has the other one.
	beginErr := e.m.Begin()
	s := e.stuck
	e.stuck = nil
	e.pokes = append(e.pokes[:0], s.pokes...)
	s.machine.Resume()
	out := e.drive(&s.machine)
	if out.Stuck {
		return fmt.Errorf("an earlier batch is still stuck: %w", errors.Join(e.stuck.err, beginErr))
	}
	e.later = nil
	return nil
}
