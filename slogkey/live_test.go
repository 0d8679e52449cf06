package slogkey_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quietpatch/quietpatch/slogkey"
)

var live slogkey.Logger

// countHandler counts records.
type countHandler struct{ n *atomic.Int64 }

func (h countHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h countHandler) Handle(context.Context, slog.Record) error {
	h.n.Add(1)
	return nil
}
func (h countHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h countHandler) WithGroup(string) slog.Handler      { return h }

// worker logs, and compares what it sees with what the last SetLevel that had
// returned said. An odd turn means that a call is under way.
func worker(t *testing.T, turn *atomic.Int64, stop *atomic.Bool, derived *slog.Logger, looked *atomic.Int64) {
	for !stop.Load() {
		before := turn.Load()
		debug, info := live.DebugOn(), live.InfoOn()
		viaHandler := derived.Enabled(context.Background(), slog.LevelDebug)
		between := live.On(-2)
		live.Debug("m")
		derived.Debug("m")
		if before%2 != 0 || turn.Load() != before {
			continue
		}
		looked.Add(1)
		on := before%4 == 0
		if debug != on || info != on || viaHandler != on || between != on {
			t.Errorf("turn %d: Debug %v, Info %v, by the handler %v, between %v", before, debug, info, viaHandler, between)
			return
		}
	}
}

// TestLive: while threads log, what is on follows the last call that returned.
func TestLive(t *testing.T) {
	turns := int64(2000)
	if testing.Short() {
		turns = 200
	}
	var turn, looked, records atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	live.SetHandler(countHandler{&records})
	derived := live.With("a", 1)
	set(t, &live.LevelVar, slog.LevelDebug)
	for range 3 {
		wg.Go(func() { worker(t, &turn, &stop, derived, &looked) })
	}
	for turn.Load() < turns || looked.Load() == 0 {
		turn.Add(1)
		level := slog.LevelWarn
		if turn.Load()%4 == 3 {
			level = slog.LevelDebug
		}
		if err := live.SetLevel(level); err != nil {
			t.Error(err)
			break
		}
		seen := looked.Load()
		turn.Add(1)
		for n := 0; looked.Load() == seen && n < 100_000; n++ { // give them a chance
			continue
		}
	}
	stop.Store(true)
	wg.Wait()
	if looked.Load() == 0 || records.Load() == 0 {
		t.Errorf("%d looks, %d records: nothing was tested", looked.Load(), records.Load())
	}
	t.Logf("%d turns, %d looks, %d records", turn.Load(), looked.Load(), records.Load())
}
