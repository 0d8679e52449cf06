package sim

import (
	"testing"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

func explore(t *testing.T, w World, m Mutant) Result {
	t.Helper()
	r, err := Explore(w, m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestWorlds explores every small world to the end.
func TestWorlds(t *testing.T) {
	for _, w := range Worlds() {
		t.Run(w.Name, func(t *testing.T) {
			if testing.Short() && w.Threads > 1 {
				t.Skip("short: worlds of 3 CPUs take half a minute")
			}
			t.Parallel()
			r := explore(t, w, Mutant{})
			t.Logf("%d states, %d ends", r.States, r.Finished)
			if r.Violation != nil {
				t.Errorf("%s: %s\n%s", r.Violation.By, r.Violation.What, r.Violation.Trace.Columns(40))
			}
			if w.Strategy == protocol.Int3 && w.Threads == 1 && w.Away > 0 && !(r.Events[EventLate] && r.Events[EventMoved]) {
				t.Error("no late trap, or none that met a changing vector: the world does not do what it is for")
			}
			if w.BackFaults && !(r.Events[EventStuck] && r.Events[EventOwedSync]) {
				t.Error("no batch got stuck, or none ended without its last sync")
			}
			if w.PerCPU && w.Move && w.Away > 1 && !(r.Events[EventAgain] && r.Events[EventUnspared]) {
				t.Error("no sync by CPU was tried again, or none was made for all CPUs in the end")
			}
			if w.Isolated > 0 && !w.Sealed && !r.Events[EventOwed] {
				t.Error("no thread came back and caught up")
			}
			if w.Quiesce.Threads > 0 && r.Events[EventWrapped] == w.Wide {
				t.Errorf("a counter hid that a thread was outside: %v", r.Events[EventWrapped])
			}
			if w.Unmap.Bound > 0 && !r.Events[EventForced] {
				t.Error("no bound was passed with a thread in isolation")
			}
			if w.Unmap.GivesUp && !r.Events[EventMet] {
				t.Error("no release met a thread that had not waited for its end")
			}
			if w.Unmap.PerReturn > 0 && !r.Events[EventKept] {
				t.Error("no thread came back and left the bit in its word")
			}
			if r.Finished == 0 && w.Quiesce.Threads == 0 || r.States < 100 {
				t.Errorf("%d states, %d ends: the world explores nothing", r.States, r.Finished)
			}
		})
	}
}

// caughtBy says which checker meets each wrong protocol first on the shortest way.
var caughtBy = map[string]string{
	"without-publish": CheckLost, "without-trap": CheckTorn, "without-2s": CheckTorn, "without-3s": CheckTorn,
	"without-4s": CheckLiveness, "without-retire": CheckNothingLeft, "store-without-sync": CheckStale,
	"heads-only-without-2s": CheckMixed, "heads-only-without-4s": CheckLiveness,
	"undo-without-trap": CheckTorn, "undo-without-2s": CheckTorn, "undo-without-3s": CheckTorn,
	"undo-without-4s": CheckLiveness, "undo-leaves-traps": CheckNothingLeft, "undo-leaves-tails": CheckTorn,
	"tail-before-trap": CheckTorn, "head-before-tail": CheckTorn, "undo-forgets-a-site": CheckNothingLeft,
	"vector-cleared-early": CheckLost, "vector-unsorted": CheckLost, "no-late-trap-rule": CheckLost,
	"swallows-foreign-traps": CheckLiveness, "steps-back-for-any-sigtrap": CheckTorn,
	"no-second-look-at-the-count": CheckLost, "count-never-odd": CheckLost, "wrong-resume-address": CheckTorn,
	"later-sync-does-nothing": CheckStale, "no-catch-up": CheckTorn, "sync-misses-a-cpu": CheckTorn, "sync-forgets-its-own-cpu": CheckTorn,
	"sync-does-not-wait": CheckTorn, "per-cpu-form-as-promised": CheckTorn, "per-cpu-form-without-registration": CheckTorn,
	"isolated-without-catch-up": CheckStale, "catch-up-before-the-swap": CheckStale, "deferred-though-refused": CheckStale,
	"deferred-before-the-write": CheckStale, "signal-before-the-catch-up": CheckStale, "own-cpu-by-iretq": CheckTorn,
	"syncs-twice": CheckBudget, "debt-of-a-failed-sync-forgotten": CheckStale, "undo-gives-up-3s": CheckTorn,
	"looks-at-the-byte-last": CheckLost, "count-even-before-the-entries": CheckLost,
	"stub-freed-with-a-sync-owed": CheckFreed, "grace-period-visits-handlers": CheckFreed, "frees-the-live-stub": CheckFreed,
	"stub-and-a-signal-that-does-not-enter": CheckFreed,
	"interrupts-isolated-threads":           CheckBudget, "signal-in-isolation-does-not-enter": CheckStale,
	"signal-in-isolation-forgets-the-state": CheckBudget, "isolated-cpu-not-reserved": CheckStale,
	"stub-freed-at-once": CheckFreed, "stub-of-a-failed-batch-freed-at-once": CheckFreed,
	"per-cpu-form-without-a-check": CheckStale, "per-cpu-form-checked-by-number": CheckStale,
	"per-cpu-form-without-iretq": CheckStale, "per-cpu-form-gives-up": CheckStale,
	"guest-by-a-store": CheckStale, "always-without-catch-up": CheckStale, "always-catches-up-before-the-swap": CheckStale,
	"always-reads-before-the-write": CheckStale, "always-signal-before-the-catch-up": CheckStale,
	"spares-who-runs-sites": CheckStale, "later-sync-spares-who-runs-sites": CheckStale, "spares-who-runs-sites-int3": CheckTorn, "stub-of-a-sealed-call-freed-by-words": CheckFreed,
	"stub-freed-by-states-other-than-kernel": CheckFreed, "stub-freed-under-who-owes-a-sync": CheckFreed,
	"unmap-looks-before-it-puts": CheckStranded, "unmap-looks-then-sets": CheckStranded, "unmap-never-raises": CheckDisturbed,
	"unmap-looks-once": CheckDisturbed, "unmap-sets-only-once": CheckStranded, "unmap-lowers-early": CheckDisturbed,
	"unmap-flag-for-a-count": CheckDisturbed, "unmap-walks-away": CheckStranded, "unmap-hands-nothing-on": CheckStranded,
	"unmap-raises-at-once": CheckBudget, "unmap-reads-work-before-the-swap": CheckStranded,
	"unmap-releases-before-the-swap": CheckStranded, "unmap-does-not-wait": CheckDisturbed,
	"unmap-asks-before-the-swap": CheckDisturbed, "unmap-ignores-its-bound": CheckBudget,
	"unmap-looks-only-before-the-first": CheckDisturbed, "unmap-asks-only-before-the-first": CheckBudget,
	"unmap-takes-the-whole-list": CheckDisturbed, "unmap-lists-threads-too-early": CheckDisturbed,
	"unmap-gives-up-in-silence": CheckDisturbed, "unmap-drops-the-bit-with-leftovers": CheckStranded,
	"unmap-loser-of-the-lock-drops-the-bit": CheckStranded, "unmap-goes-out-without-the-bit": CheckStranded,
	"unmap-releases-all-on-return": CheckBudget, "unmap-ends-unsettled": CheckStranded, "unmap-ends-with-few": CheckStranded,
	"unmap-ends-if-unlocked": CheckStranded, "unmap-timer-runs-once": CheckStranded, "unmap-take-stops-the-timer": CheckStranded,
	"passed-by-states-alone": CheckLiveness, "passed-by-whole-words": CheckGrace, "counter-of-one-bit": CheckLiveness,
	"guest-moves-the-counter": CheckLiveness, "snapshot-before-the-update": CheckFreed, "waits-for-who-has-ended": CheckLiveness,
	"grace-period-overlooks-frames": CheckFreed, "grace-period-begins-too-early": CheckFreed, "stub-and-no-catch-up": CheckFreed,
}

// TestMutants: every wrong protocol is caught, by the checker that is there for
// it, and its world is right without it.
func TestMutants(t *testing.T) {
	right := map[World]bool{}
	for _, m := range Mutants() {
		t.Run(m.Name, func(t *testing.T) {
			r, err := Find(m.World, m, NoEvent)
			if err != nil {
				t.Fatal(err)
			}
			if r.Violation == nil {
				t.Fatalf("not caught in %d states", r.States)
			}
			if r.Violation.By != caughtBy[m.Name] {
				t.Errorf("caught by %s (%s), expected %s\n%s", r.Violation.By, r.Violation.What, caughtBy[m.Name], r.Violation.Trace.Columns(40))
			}
			if right[m.World] {
				return
			}
			right[m.World] = true
			if ok := explore(t, m.World, Mutant{}); ok.Violation != nil {
				t.Errorf("its world is broken without it: %s\n%s", ok.Violation.What, ok.Violation.Trace.Columns(40))
			}
		})
	}
}

// TestTwoSyncsAreSafe: without 4s a thread may trap for ever, but nothing else is
// wrong (docs/PROTOCOL.md, "The questions of 2009").
func TestTwoSyncsAreSafe(t *testing.T) {
	m := without("without-4s", World{}, protocol.StepHeadSync, protocol.Forward)
	m.SafetyOnly = true
	for _, w := range plainWorlds() {
		if w.Strategy == protocol.Store || w.Threads > 1 {
			continue
		}
		if r := explore(t, w, m); r.Violation != nil {
			t.Errorf("%s: %s: %s", w.Name, r.Violation.By, r.Violation.What)
		}
	}
}

// TestCanary: a thread that never gets out of its trap must be seen, or the
// liveness checker sees nothing.
func TestCanary(t *testing.T) {
	w := tiny(protocol.Int3)
	m := model{world: w}
	s := w.start()
	s.begun = 1
	s.threads[0].frame = frame{at: fetch}
	s.vec.seq = 1 // changing for ever
	s.store(0, head, trapped)
	s.serialize(1)
	m.alone(s, &scratch{})
	if m.found == nil || m.found.By != CheckLiveness {
		t.Errorf("found %+v, expected %s", m.found, CheckLiveness)
	}
}

// TestSameEveryTime: exploration does not depend on the hash seeds.
func TestSameEveryTime(t *testing.T) {
	w := Worlds()[9]
	if a, b := explore(t, w, Mutant{}), explore(t, w, Mutant{}); a.States != b.States || a.Finished != b.Finished {
		t.Errorf("%+v and %+v", a, b)
	}
}
