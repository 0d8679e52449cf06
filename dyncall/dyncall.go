package dyncall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quietpatch/quietpatch/internal/engine"
)

// running is the learner at work, nil if there is none.
var (
	mu      sync.Mutex
	running *learner
)

// Start finds the indirect calls of the chosen functions and learns them from now on, on a
// goroutine of its own. On an error nothing has changed: [ErrNoRetpolines] for a program
// that has none, [ErrRunning], [ErrOptions], or the reason why text is not looked at
// here. That text is only read, not patched, is no error: Stats says so.
//
// It is safe for concurrent use with everything else, as all of this package.
func Start(o Options) error {
	mu.Lock()
	defer mu.Unlock()
	if running != nil {
		return fmt.Errorf("%w: call Stop first", ErrRunning)
	}
	rules, err := o.rules(cpuLines(), valid)
	if err != nil {
		return err
	}
	calls, err := engine.Default.Indirects(o.picks)
	if err != nil {
		return fmt.Errorf("quietpatch: dyncall: %w", err)
	}
	l := &learner{
		o: o, calls: calls, rules: rules, start: time.Now(), now: make([]placed, len(calls)),
		quit: make(chan struct{}), done: make(chan struct{}), settled: make(chan struct{}),
		table: newTable(min(o.countedMax(cpuLines()), max(len(calls), 1))), restores: engine.Default.Restores(),
	}
	l.reset()
	running = l
	go l.run()
	return nil
}

// Stop ends the learning and gives every call its retpoline back. Without Start it does
// nothing. On an error some calls are still promoted, which does no harm; Stop may be
// called again.
func Stop() error {
	mu.Lock()
	defer mu.Unlock()
	l := running
	if l == nil {
		return nil
	}
	select {
	case <-l.quit: // an earlier Stop, which failed
	default:
		close(l.quit)
	}
	<-l.done
	if err := l.restore(); err != nil {
		return fmt.Errorf("quietpatch: dyncall: %w", err)
	}
	tables = append(tables, l.table)
	running = nil
	return nil
}

// restore gives every call its retpoline back.
func (l *learner) restore() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []engine.Redirect
	for i, c := range l.calls {
		if p := &l.now[i]; !p.gone && (p.n > 0 || p.counted) {
			list = append(list, engine.Redirect{Call: c})
		}
	}
	if len(list) > 0 {
		out, err := engine.Default.Redirect(list, l.restores)
		if err := cmp.Or(err, out.Why); err != nil && !errors.Is(err, engine.ErrRestored) {
			return err
		}
	}
	for i := range l.now {
		if p := &l.now[i]; p.counts {
			l.table.give(p.row)
		}
		l.now[i] = placed{gone: l.now[i].gone}
	}
	return nil
}

// Settle waits until every call has been learned once and none is being counted: what
// was called often enough is promoted then. The program has to do meanwhile what it
// is to be learned from.
func Settle(ctx context.Context) error {
	mu.Lock()
	l := running
	mu.Unlock()
	if l == nil {
		return nil
	}
	l.mu.Lock()
	settled, quiet := l.settled, l.quiet()
	l.mu.Unlock()
	if quiet {
		return nil
	}
	select {
	case <-settled:
		return nil
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
