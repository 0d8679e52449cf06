//go:build linux && amd64 && !race && !msan && !asan

package engine

import (
	"slices"
	"testing"

	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/trap"
)

// Compile-time check: the trap handler finds the thread of a context.
const _ = -(deferral.TIDOffset ^ trap.ContextTID)

// asked returns what the syncs of f were asked for, and forgets them.
func (w *world) asked(f func()) []bool {
	w.f.everyone = nil
	f()
	return w.f.everyone
}

// TestEveryone: a sync behind sites that isolated threads may run is for everyone; the
// others may leave isolated threads out.
func TestEveryone(t *testing.T) {
	for _, strategy := range []string{"store", "int3"} {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(t, strategy).armed()
			w.MarkNoinstr(w.alpha.addr)
			check := func(what string, want bool, f func()) {
				t.Helper()
				got := w.asked(f)
				if len(got) == 0 || slices.Contains(got, !want) {
					t.Errorf("%s: syncs for everyone: %v, expected all %v", what, got, want)
				}
			}
			set := func(k *Key, v int64) func() {
				return func() {
					if err := w.set(k, v); err != nil {
						t.Error(err)
					}
				}
			}
			check("an ordinary key", false, set(w.beta, 1))
			check("a key that isolated threads check", true, set(w.alpha, 1))
			check("an ordinary key again", false, set(w.beta, 0))
			check("both", true, func() {
				if err := w.Apply([]Change{{Key: w.beta, Value: 1}, {Key: w.alpha, Value: 0}}); err != nil {
					t.Error(err)
				}
			})
			check("Disarm", true, func() {
				if err := w.Disarm(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestEveryoneLater: a sync that was left out, or that failed, is for everyone when it is
// made up for.
func TestEveryoneLater(t *testing.T) {
	w := newWorld(t, "store").armed()
	w.MarkNoinstr(w.alpha.addr)
	if err := w.ApplyNoWait([]Change{{Key: w.alpha, Value: 1}}); err != nil {
		t.Fatal(err)
	}
	if got := w.asked(func() { _ = w.Sync() }); !slices.Equal(got, []bool{true}) {
		t.Errorf("the sync behind a change without waiting: %v", got)
	}
	w.f.failSync = func(int) error { return errInjected }
	if err := w.set(w.alpha, 0); err == nil {
		t.Fatal("no error")
	}
	w.f.heal()
	if got := w.asked(func() { _ = w.set(w.beta, 1) }); len(got) < 2 || !got[0] || got[len(got)-1] {
		t.Errorf("the sync that was owed, and that of an ordinary key: %v", got)
	}
}
