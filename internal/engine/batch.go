package engine

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	insn "github.com/quietpatch/quietpatch/internal/insn/amd64"
	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/site"
	"github.com/quietpatch/quietpatch/internal/text"
)

// Change is one key's new value.
type Change struct {
	Key   *Key
	Value int64
	Func  Func // of a static call: the function that Value stands for
}

// CallChange is the change of a static call.
func CallChange(k *Key, fn Func) Change { return Change{Key: k, Value: value(fn), Func: fn} }

// Apply makes the changes, all of them or none, with as few syncs as the
// strategy needs for all sites together. Of several changes of one key the
// last one counts. Changes to the value that a key has cost nothing.
func (e *Engine) Apply(changes []Change) error { return e.apply(changes, false) }

// ApplyNoWait makes the changes by stores alone: no sync, no interrupt. Checks
// see them soon, and those that begin after a later [Engine.Sync] for certain. It
// arms nothing: sites that wait to be armed go on reading memory. If a site would
// need more than a store, nothing is changed and the error wraps [ErrNoWait].
func (e *Engine) ApplyNoWait(changes []Change) error { return e.apply(changes, true) }

func (e *Engine) apply(changes []Change, noWait bool) error {
	for {
		seen := e.validators.Load()
		if bad, err := judge(changes); err != nil {
			return e.refused(changes[bad], err)
		}
		e.mu.Lock()
		if !e.oneRecordEach(changes) && e.validators.Load() == seen {
			break
		}
		e.mu.Unlock() // a validation came in between: ask it
	}
	defer e.mu.Unlock()
	return e.applyLocked(changes, noWait)
}

// judge asks the validations of all keys, without the lock: they are the program's.
func judge(changes []Change) (int, error) {
	for i, c := range changes {
		if err := c.Key.judge(c.Value); err != nil {
			return i, err
		}
	}
	return -1, nil
}

func (e *Engine) refused(bad Change, err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Errorf("quietpatch: %s: %s is refused: %w", bad.Key.label(), bad.Key.text(bad.Value), err)
}

// applyLocked makes changes of keys of which each has one record.
func (e *Engine) applyLocked(changes []Change, noWait bool) error {
	if noWait && (e.stuck != nil || e.owed != nil) {
		return fmt.Errorf("%w: an earlier batch has to be repaired first, which waits: use Set, or statickey.Sync", ErrNoWait)
	}
	if err := e.recoverLocked(); err != nil {
		return err // first of all: a batch that is stuck has left checks in between
	}
	if err := checkSealed(changes); err != nil {
		return err
	}
	for _, c := range changes {
		c.Key.wasSet = true
	}
	if todo := pending(changes); len(todo) > 0 {
		calls := e.callChanges(todo)
		meetCallees(calls)
		report := e.watch(todo, noWait)
		err := e.change(todo, calls, noWait)
		e.changes = nil // what they were may be collected
		e.sweepCallees(calls)
		report(err)
		if err != nil {
			return err
		}
	}
	if noWait || !e.soon {
		return nil
	}
	// A change without waiting came before, perhaps to the very value that this
	// call promises.
	return e.syncNow("that changes without waiting left out")
}

// Sync makes certain what ApplyNoWait made soon, and repairs what an earlier batch
// left. With nothing pending it does nothing.
func (e *Engine) Sync() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.recoverLocked(); err != nil {
		return err
	}
	if !e.soon {
		return nil
	}
	return e.syncNow("that changes without waiting left out")
}

// syncNow makes a sync outside of any batch.
func (e *Engine) syncNow(which string) error {
	if e.m == nil {
		return nil
	}
	if err := e.sync(); err != nil {
		return &SiteError{Step: protocol.StepStoreSync.String(), Unsynced: true, Err: fmt.Errorf("the sync %s: %w", which, err)}
	}
	return nil
}

// change makes changes that are none of a sealed key and do change something. calls are
// those of static calls among them.
func (e *Engine) change(changes, calls []Change, noWait bool) error {
	if !noWait {
		e.armLocked(keysOf(changes))
	}
	if e.stuck != nil {
		return e.stuck.err // its traps need the vector
	}
	if noWait {
		if err := calleesWait(calls); err != nil {
			return err
		}
		leadWithoutStubs(calls)
	} else {
		leadCallees(calls)
		if err := e.syncStubs(); err != nil {
			return err
		}
	}
	if err := e.toggleLocked(changes, noWait); err != nil {
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
// listed either. It reports whether any change got another record.
func (e *Engine) oneRecordEach(changes []Change) (swapped bool) {
	var first map[unsafe.Pointer]*Key
	for i := range changes {
		k := changes[i].Key
		if k.listed {
			continue
		}
		if k = e.known(k); !k.listed && len(changes) > 1 {
			if first == nil {
				first = map[unsafe.Pointer]*Key{}
			}
			if other := first[k.addr]; other != nil {
				k = other
			}
			first[k.addr] = k
		}
		swapped = swapped || changes[i].Key != k
		changes[i].Key = k
	}
	return swapped
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
	for i, c := range changes {
		c.Key.last = i
	}
	out := make([]Change, 0, len(changes))
	for i, c := range changes {
		if c.Key.last == i && !c.idle() {
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
func (e *Engine) toggleLocked(changes []Change, noWait bool) error {
	e.changes = changes
	e.clear()
	if e.flips = e.countFlips(changes); e.flips == 0 {
		e.makePokes(changes)
		if len(changes) > 1 {
			e.sortPokes()
		}
	}
	if e.flips == 0 && len(e.pokes) == 0 {
		return nil
	}
	strategy := e.strategy
	if e.flips == 0 && strategy == protocol.Store && !e.storable() {
		strategy = protocol.Int3
	}
	if noWait && strategy != protocol.Store {
		return e.cannotStore()
	}
	undo := e.storeEarly()
	err := e.runTwice(strategy, noWait)
	if err != nil {
		undo()
	}
	return err
}

// makePokes describes what the changes do to every armed site.
func (e *Engine) makePokes(changes []Change) {
	e.pokes = e.pokes[:0]
	for _, c := range changes {
		from := c.Key.value()
		if from == c.Value {
			continue // only the byte differs: the key was overwritten
		}
		for i := range c.Key.sites {
			if s := &c.Key.sites[i]; s.state == Armed {
				e.addToggle(c.Key, s, from, c.Value)
			}
		}
	}
}

// storeEarly stores the new value of every key that has a site which will read
// memory again, and returns what takes that back.
func (e *Engine) storeEarly() (undo func()) {
	var stored []*poke
	for i := range e.pokes {
		if p := &e.pokes[i]; p.toMemory() && p.key.cell.Load() != p.newValue {
			p.key.cell.Store(p.newValue)
			stored = append(stored, &poke{key: p.key, oldValue: p.oldValue})
		}
	}
	return func() {
		for _, p := range stored {
			p.key.cell.Store(p.oldValue)
		}
	}
}

func (e *Engine) runTwice(s protocol.Strategy, noSync bool) error {
	first := e.runLocked(s, noSync)
	if noSync && first.Err != nil && first.Step == protocol.StepStore {
		first.Unsynced = true // the undo waits for nobody either
	}
	if noSync || !worthRetry(first) {
		return e.failure(first)
	}
	e.slowPokes()
	e.count.Fallbacks++
	syncs := e.count.Syncs
	second := e.runLocked(protocol.OneAtATime, false)
	if errors.Is(second.Err, errNotReady) {
		return e.failure(first) // which says more
	}
	if second.Err != nil && e.count.Syncs == syncs {
		second.Unsynced = second.Unsynced || first.Unsynced // still not made up for
	}
	return e.failure(second)
}

// cannotStore says which site needs more than a store.
func (e *Engine) cannotStore() error {
	if e.strategy != protocol.Store {
		return fmt.Errorf("%w: the strategy in force is %v; choose store (see quietpatch.Configure), or use Set", ErrNoWait, e.strategy)
	}
	widest := e.m.StoreMax()
	for i := range e.pokes {
		p := &e.pokes[i]
		if _, n, ok := p.span(); !ok || n > widest {
			fn, file, line := e.img.Place(uint64(p.site.addr), site.OurFrame)
			return fmt.Errorf("%w: %s: site %s (%s:%d) at %#x: from %d to %d is more than one store by %s; use Set",
				ErrNoWait, p.label(), fn, file, line, p.site.addr, p.oldValue, p.newValue, e.m.Backend())
		}
	}
	return ErrNoWait
}

// worthRetry reports whether the batch failed in a way that may be another one
// site by site. What step 0, or a store's own compare, found will still be there,
// and a batch that could not start will not start then.
func worthRetry(out protocol.Outcome) bool {
	var foreign *text.MismatchError
	if out.Step == protocol.StepStore && errors.As(out.Err, &foreign) {
		return false
	}
	return out.Err != nil && !out.Stuck && out.Step != protocol.StepCheck && !errors.Is(out.Err, errNotReady)
}

// errNotReady is wrapped when a batch could not start: traps may not be taken
// now, or another batch is stuck.
var errNotReady = errors.New("text cannot be patched now")

// runLocked carries out e.pokes by one strategy.
func (e *Engine) runLocked(s protocol.Strategy, noSync bool) protocol.Outcome {
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
	m, err := protocol.New(protocol.Plan{
		Strategy: s, Sites: max(len(e.pokes), e.flips), VectorMax: vectorMax,
		HeadsOnly: s != protocol.Store && e.headsOnly(), NoSync: noSync,
		// Through a window each site is compared and changed in one visit: a second
		// one for step 0 would double the time.
		NoCheck: s == protocol.Store && e.flips > 0 && e.m.Window() != nil,
	})
	if err != nil {
		return protocol.Outcome{Site: -1, Err: err}
	}
	if noSync {
		e.soon = true
	}
	e.ran = s.String()
	return e.drive(&m)
}

// headsOnly reports whether all pokes change first bytes only.
func (e *Engine) headsOnly() bool {
	for i := range e.pokes {
		if off, n := insn.Diff(e.pokes[i].old, e.pokes[i].new); off+n > 1 {
			return false
		}
	}
	return true
}

// drive performs effects until the machine is done.
func (e *Engine) drive(m *protocol.Machine) protocol.Outcome {
	e.driving = true
	e.everyone = e.everyone || e.forEveryone()
	for !m.Done() {
		m.Next(e.perform(m.Effect()))
	}
	e.driving = false
	out := m.Outcome()
	if !out.Unsynced && !out.Stuck && !e.soon {
		e.everyone = false // else the sync that comes later is for everyone, too
	}
	if out.Unsynced {
		e.owed = out.Err
	}
	if out.Stuck {
		e.stuck = &stuckBatch{machine: *m, pokes: slices.Clone(e.pokes), err: e.failure(out)}
	}
	return out
}
