package sim

import (
	"fmt"
	"strings"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// Scenario is a situation that docs/PROTOCOL.md draws under its letter: either
// something that a wrong protocol does, or an event that the right one must
// survive. (There are no letters H, R and U: H1 to H5 are the handler's decisions, R1 to R5
// the steps of a release, U1 to U4 the ways of an undo.)
type Scenario struct {
	Letter string `json:"letter"`
	Name   string `json:"name"`
	Title  string `json:"title"`
	World  World  `json:"-"`
	Mutant Mutant `json:"-"` // what is wrong, if anything
	Want   Event  `json:"-"` // what to wait for, if nothing is
}

// Wrong reports whether the scenario shows a wrong protocol.
func (s Scenario) Wrong() bool { return s.Mutant.flaw != noFlaw }

// Run finds the shortest way to the scenario's end.
func (s Scenario) Run() (Result, error) {
	r, err := Find(s.World, s.Mutant, s.Want)
	if err == nil && r.Violation == nil {
		err = fmt.Errorf("scenario %s does not happen in %d states: the model and docs/PROTOCOL.md disagree", s.Letter, r.States)
	}
	return r, err
}

// Scenarios returns all of them in the order of their letters.
func Scenarios() []Scenario {
	off := tiny(protocol.Int3)
	off.Away = 1
	again := off
	again.Batches = 2
	alone := tiny(protocol.Store)
	alone.PerCPU, alone.Isolated, alone.Visits = true, 1, 1
	calls := tiny(protocol.Store)
	calls.Calls = true
	wrapped := World{Name: "tiny grace periods", Quiesce: QuiesceWorld{Threads: 1}}
	forced := World{Name: "tiny unmap", Unmap: UnmapWorld{Threads: 1, Callers: 1, Visits: 1, Unmaps: 2, Bound: 1}}
	return []Scenario{
		wrong("A", "torn", "without the trap byte: a torn instruction", "without-trap"),
		wrong("B", "no-2s", "without sync 2s: an old head, a new tail", "without-2s"),
		wrong("C", "no-3s", "without sync 3s: a new head, an old tail", "without-3s"),
		wrong("D", "no-4s", "without sync 4s: a thread may trap for ever", "without-4s"),
		{Letter: "E", Name: "late-trap", Title: "the late trap", World: off, Want: EventLate},
		{Letter: "F", Name: "vector-changes", Title: "the vector changes under the handler", World: again, Want: EventMoved},
		{Letter: "G", Name: "next-batch", Title: "trapped by one batch, handled during the next", World: again, Want: EventNext},
		{Letter: "I", Name: "deferred", Title: "an isolated thread is spared, and catches up", World: alone, Want: EventOwed},
		wrong("J", "no-isolated-catch-up", "an isolated thread comes back without catching up", "isolated-without-catch-up"),
		wrong("K", "per-cpu-form", "the per-CPU form of membarrier with what it promises and no more", "per-cpu-form-as-promised"),
		wrong("L", "own-cpu", "a sync that leaves out the patcher's own CPU", "sync-forgets-its-own-cpu"),
		wrong("M", "signal-in-isolation", "a signal handler in an isolated thread that does not come back first", "signal-in-isolation-does-not-enter"),
		{Letter: "N", Name: "grace-period", Title: "a stub is freed once nobody is inside", World: calls, Want: EventGrace},
		wrong("O", "freed-stub", "a stub of a failed batch is freed at once", "stub-of-a-failed-batch-freed-at-once"),
		wrong("P", "mixed", "first bytes exchanged without sync 2s: no manual of Intel allows it", "heads-only-without-2s"),
		wrong("Q", "there-and-back", "the patcher comes back to its CPU, and asks no more than its number", "per-cpu-form-checked-by-number"),
		wrong("S", "sealed", "a thread that may run a site in isolation is spared", "spares-who-runs-sites-int3"),
		wrong("T", "reads-too-early", "catching up always: the patcher reads the word before its writes can be seen", "always-reads-before-the-write"),
		wrong("V", "asked-too-late", "a mapping waits for a thread that is back already", "unmap-looks-then-sets"),
		wrong("W", "at-the-door", "a thread goes out while a mapping is released", "unmap-never-raises"),
		wrong("X", "nobody-left", "the last thread that comes back does not owe the unmap", "unmap-hands-nothing-on"),
		{Letter: "Y", Name: "bound", Title: "a bound is passed: an isolated thread is interrupted, and that is counted", World: forced, Want: EventForced},
		{Letter: "Z", Name: "wrapped", Title: "the counter wraps between two readings", World: wrapped, Want: EventWrapped},
	}
}

func wrong(letter, name, title, mutant string) Scenario {
	m, _ := FindMutant(mutant)
	return Scenario{Letter: letter, Name: name, Title: title, World: m.World, Mutant: m}
}

// FindMutant returns the mutant of that name.
func FindMutant(name string) (Mutant, error) {
	var names []string
	for _, m := range Mutants() {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return Mutant{}, fmt.Errorf("no mutant is called %q; there are %s", name, strings.Join(names, ", "))
}

// FindScenario returns the scenario of that letter or name.
func FindScenario(name string) (Scenario, error) {
	var names []string
	for _, s := range Scenarios() {
		if s.Name == name || strings.EqualFold(s.Letter, name) {
			return s, nil
		}
		names = append(names, s.Letter+" ("+s.Name+")")
	}
	return Scenario{}, fmt.Errorf("no scenario is called %q; there are %s", name, strings.Join(names, ", "))
}
