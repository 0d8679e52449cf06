package sim

import (
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// TestWorlds explores every small world to the end.
func TestWorlds(t *testing.T) {
	for _, w := range Worlds() {
		t.Run(w.Name, func(t *testing.T) {
			if testing.Short() && w.Threads > 1 {
				t.Skip("short: worlds of 3 CPUs take half a minute")
			}
			t.Parallel()
			r := Explore(w, Mutant{})
			t.Logf("%d states, %d ends", r.States, r.Finished)
			if r.Violation != nil {
				t.Errorf("%s: %s\n%s", r.Violation.By, r.Violation.What, strings.Join(r.Violation.Trace, "\n"))
			}
			if r.Finished == 0 || r.States < 100 {
				t.Errorf("%d states, %d ends: the world explores nothing", r.States, r.Finished)
			}
		})
	}
}

// TestMutants: every wrong protocol is caught, by the checker that meets it first
// in the order of exploration, which is always the same.
func TestMutants(t *testing.T) {
	by := map[string]string{
		"without-publish": CheckLost, "without-trap": CheckTorn, "without-2s": CheckTorn, "without-3s": CheckTorn,
		"without-4s": CheckLiveness, "without-retire": CheckNothingLeft, "store-without-sync": CheckStale,
		"undo-without-trap": CheckTorn, "undo-without-2s": CheckTorn, "undo-without-3s": CheckTorn,
		"undo-without-4s": CheckLiveness, "undo-leaves-traps": CheckNothingLeft, "undo-leaves-tails": CheckNothingLeft,
		"tail-before-trap": CheckTorn, "head-before-tail": CheckTorn, "vector-cleared-early": CheckLost,
		"vector-unsorted": CheckLost, "no-late-trap-rule": CheckLost, "no-second-look-at-the-count": CheckLost,
		"count-never-odd": CheckLost, "wrong-resume-address": CheckTorn, "no-catch-up": CheckLiveness,
		"sync-misses-a-cpu": CheckTorn, "sync-does-not-wait": CheckLiveness, "undo-forgets-a-site": CheckNothingLeft,
	}
	for _, m := range Mutants() {
		t.Run(m.Name, func(t *testing.T) {
			r := Explore(m.World, m)
			if r.Violation == nil {
				t.Fatalf("not caught in %d states", r.States)
			}
			if r.Violation.By != by[m.Name] {
				t.Errorf("caught by %s (%s), expected %s\n%s", r.Violation.By, r.Violation.What, by[m.Name], strings.Join(r.Violation.Trace, "\n"))
			}
			if ok := Explore(m.World, Mutant{}); ok.Violation != nil {
				t.Errorf("its world is broken without it: %s", ok.Violation.What)
			}
		})
	}
}

// TestTwoSyncsAreSafe: without 4s a thread may trap for ever, but nothing else is
// wrong (docs/PROTOCOL.md, "The questions of 2009").
func TestTwoSyncsAreSafe(t *testing.T) {
	m := Mutant{skip: true, step: protocol.StepHeadSync, dir: protocol.Forward, SafetyOnly: true}
	for _, w := range Worlds() {
		if w.Strategy == protocol.Store || w.Threads > 1 {
			continue
		}
		if r := Explore(w, m); r.Violation != nil {
			t.Errorf("%s: %s: %s", w.Name, r.Violation.By, r.Violation.What)
		}
	}
}

// TestCanary: a thread that never gets out of its trap must be seen, or the
// liveness checker sees nothing.
func TestCanary(t *testing.T) {
	w := World{Strategy: protocol.Int3, Threads: 1, Sites: 1, Batches: 1, Checks: 1, VectorMax: 1}
	x := &explorer{world: w}
	s := w.start()
	s.begun = 1
	s.threads[0] = thread{at: fetch, left: 1}
	s.vec.seq = 1 // changing for ever
	s.store(0, head, trapped)
	s.serialize(0)
	if !x.circles(s) || x.found == nil || x.found.By != CheckLiveness {
		t.Errorf("found %+v, expected %s", x.found, CheckLiveness)
	}
}

// TestSameEveryTime: exploration does not depend on the hash seeds.
func TestSameEveryTime(t *testing.T) {
	w := Worlds()[9]
	if a, b := Explore(w, Mutant{}), Explore(w, Mutant{}); a.States != b.States || a.Finished != b.Finished {
		t.Errorf("%+v and %+v", a, b)
	}
}
