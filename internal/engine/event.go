package engine

import (
	"cmp"
	"context"
	"runtime/trace"
	"slices"
	"sync"
	"time"
)

// Event tells of one batch.
type Event struct {
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"duration_ns"`
	// Keys are the names of those that changed, at most [EventKeysMax]; what has no
	// name is described. KeyCount is how many there were: keys
	// and static calls, or indirect calls that were led elsewhere.
	Keys     []string `json:"keys"`
	KeyCount int      `json:"key_count"`
	Pokes    uint64   `json:"pokes"`    // writes to text
	Syncs    uint64   `json:"syncs"`    // each one interrupt for every CPU that ran the program
	Strategy string   `json:"strategy"` // of the last writes; "" if no text was written
	NoWait   bool     `json:"no_wait"`
	Err      error    `json:"-"`
}

// EventKeysMax bounds the names in an event.
const EventKeysMax = 16

// watchers are those who hear of batches. They have a lock of their own, so that one
// of them may end its subscription.
type watchers struct {
	mu  sync.Mutex
	all []*func(Event) // replaced, never changed
}

func (w *watchers) add(f *func(Event)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(slices.Clone(w.all), f)
}

func (w *watchers) remove(f *func(Event)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = slices.DeleteFunc(slices.Clone(w.all), func(g *func(Event)) bool { return g == f })
}

func (w *watchers) list() []*func(Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all
}

// Subscribe makes f hear of every batch that changes a key, after it is over. f is
// called by the goroutine that made the change, under the engine's lock: it must
// return quickly, and must not use the engine, but through another goroutine. The
// returned function ends the subscription; f may call it.
func (e *Engine) Subscribe(f func(Event)) (cancel func()) {
	e.watchers.add(&f)
	return func() { e.watchers.remove(&f) }
}

var ignore = func(error) {}

// watchCalls is watch for a batch of so many indirect calls.
func (e *Engine) watchCalls(n int) func(error) {
	return e.watchBatch(n, false, func(ev *Event) { ev.Keys = append(ev.Keys, "indirect calls") })
}

// watch begins a batch for whoever is interested, and returns what ends it. Without
// anybody it costs a lock that nobody else wants.
func (e *Engine) watch(changes []Change, noWait bool) func(error) {
	return e.watchBatch(len(changes), noWait, func(ev *Event) {
		for _, c := range changes {
			if len(ev.Keys) < EventKeysMax {
				ev.Keys = append(ev.Keys, cmp.Or(c.Key.name, c.Key.label()))
			}
		}
	})
}

func (e *Engine) watchBatch(n int, noWait bool, name func(*Event)) func(error) {
	listeners := e.watchers.list()
	if len(listeners) == 0 && !trace.IsEnabled() {
		return ignore
	}
	region := trace.StartRegion(context.Background(), "quietpatch.batch")
	ev := Event{Start: time.Now(), KeyCount: n, NoWait: noWait}
	name(&ev)
	before := e.count
	e.ran = ""
	return func(err error) {
		ev.Duration, ev.Err = time.Since(ev.Start), err
		ev.Pokes, ev.Syncs = e.count.Pokes-before.Pokes, e.count.Syncs-before.Syncs
		ev.Strategy = e.ran
		if trace.IsEnabled() {
			trace.Logf(context.Background(), "quietpatch", "%d keys %v, %d pokes, %d syncs, %v: %v",
				ev.KeyCount, ev.Keys, ev.Pokes, ev.Syncs, ev.Duration, err)
		}
		region.End()
		for _, f := range listeners {
			(*f)(ev)
		}
	}
}
