package sim

import "github.com/quietpatch/quietpatch/internal/protocol"

// Mutant is the protocol with one thing wrong: proof that the checkers see. The
// zero Mutant is the protocol as it is.
type Mutant struct {
	Name string
	// World is where it must be caught.
	World World

	skip    bool // leave out this step in this direction
	step    protocol.Step
	dir     protocol.Dir
	swap    [2]protocol.Step // write these two in each other's place
	swapped bool

	EarlyRetire     bool // clear the vector before the heads are written
	UnsortedVector  bool // the search misses the first of two entries
	NoLateRule      bool // H4 is missing
	NoRecheck       bool // the sequence count is not read again
	NoOddCount      bool // the count is not odd while the vector changes
	WrongResume     bool // the resume address is inside the site
	NoCatchUp       bool // a thread that was off its CPU does not serialize
	SyncMissesCPU   bool // a sync leaves one CPU out
	SyncDoesNotWait bool // a sync returns before it has reached all
	UndoForgetsSite bool // the way back leaves out the site whose write failed
	SafetyOnly      bool // nothing wrong with it: the liveness checker is off
}

func (m Mutant) skips(e protocol.Effect) bool {
	return m.skip && e.Step == m.step && e.Dir == m.dir
}

// swaps returns the step whose byte is written in place of e's.
func (m Mutant) swaps(e protocol.Effect) protocol.Step {
	if m.swapped && e.Dir == protocol.Forward {
		switch e.Step {
		case m.swap[0]:
			return m.swap[1]
		case m.swap[1]:
			return m.swap[0]
		}
	}
	return e.Step
}

func (m Mutant) finds(v vector, site uint8) bool {
	if m.UnsortedVector && v.to-v.from > 1 && site == v.from {
		return false
	}
	return v.from <= site && site < v.to
}

// changesSyncs: the count of syncs says nothing about a mutant that drops one.
func (m Mutant) changesSyncs() bool { return m.skip && m.step.Sync() }

// Mutants returns every mutant, each with a world in which it must be caught.
func Mutants() []Mutant {
	int3 := World{Strategy: protocol.Int3, Threads: 1, Sites: 1, Batches: 1, Checks: 2, VectorMax: 2}
	two := int3
	two.Sites = 2
	off := int3
	off.Away = 1
	again := off
	again.Batches = 2
	store := int3
	store.Strategy = protocol.Store
	fault := two
	fault.Faults = 1
	without := func(name string, w World, s protocol.Step, d protocol.Dir) Mutant {
		return Mutant{Name: name, World: w, skip: true, step: s, dir: d}
	}
	swap := func(name string, a, b protocol.Step) Mutant {
		return Mutant{Name: name, World: int3, swapped: true, swap: [2]protocol.Step{a, b}}
	}
	return []Mutant{
		without("without-publish", int3, protocol.StepPublish, protocol.Forward),
		without("without-trap", int3, protocol.StepTrap, protocol.Forward),
		without("without-2s", int3, protocol.StepTrapSync, protocol.Forward),
		without("without-3s", int3, protocol.StepTailSync, protocol.Forward),
		without("without-4s", int3, protocol.StepHeadSync, protocol.Forward),
		without("without-retire", int3, protocol.StepRetire, protocol.Forward),
		without("store-without-sync", store, protocol.StepStoreSync, protocol.Forward),
		without("undo-without-trap", fault, protocol.StepTrap, protocol.Back),
		without("undo-without-2s", fault, protocol.StepTrapSync, protocol.Back),
		without("undo-without-3s", fault, protocol.StepTailSync, protocol.Back),
		without("undo-without-4s", fault, protocol.StepHeadSync, protocol.Back),
		without("undo-leaves-traps", fault, protocol.StepHead, protocol.Back),
		without("undo-leaves-tails", fault, protocol.StepTail, protocol.Back),
		swap("tail-before-trap", protocol.StepTrap, protocol.StepTail),
		swap("head-before-tail", protocol.StepTail, protocol.StepHead),
		{Name: "vector-cleared-early", World: two, EarlyRetire: true},
		{Name: "vector-unsorted", World: two, UnsortedVector: true},
		{Name: "no-late-trap-rule", World: off, NoLateRule: true},
		{Name: "no-second-look-at-the-count", World: again, NoRecheck: true},
		{Name: "count-never-odd", World: again, NoOddCount: true},
		{Name: "wrong-resume-address", World: int3, WrongResume: true},
		{Name: "no-catch-up", World: off, NoCatchUp: true},
		{Name: "sync-misses-a-cpu", World: int3, SyncMissesCPU: true},
		{Name: "sync-does-not-wait", World: int3, SyncDoesNotWait: true},
		{Name: "undo-forgets-a-site", World: fault, UndoForgetsSite: true},
	}
}
