package sim

import "github.com/quietpatch/quietpatch/internal/protocol"

// flaw is something that a wrong protocol does.
type flaw uint8

const (
	noFlaw              flaw = iota
	leavesOut                // a step, in one direction
	swapsWrites              // writes two steps' bytes in each other's place
	earlyRetire              // clears the vector before the heads are written
	unsortedVector           // the search misses the first of several entries
	noLateRule               // H4 is missing
	swallowsForeign          // H5 is missing: every trap is ours
	noSignalCode             // H1 does not ask where the signal came from
	noRecheck                // the sequence count is not read again
	noOddCount               // the count is not odd while the vector changes
	wrongResume              // the resume address is inside the site
	noCatchUp                // the kernel does not serialize for a thread that was off its CPU
	syncMissesCPU            // a sync leaves one CPU out
	syncForgetsSelf          // a sync leaves the patcher's own CPU out
	syncDoesNotWait          // a sync returns before it has reached all
	laterSyncMissing         // the sync behind batches without one does nothing
	undoForgetsSite          // the way back leaves out the site whose write failed
	perCPUOnly               // the per-CPU form with what it promises and no more: nothing serializes
	perCPUForgetsOff         // the per-CPU form without registration for SYNC_CORE
	noIsolatedCatchUp        // an isolated thread comes back and does not serialize
	catchUpBeforeSwap        // it does so before it says that it is back
	defersBlindly            // the patcher spares a CPU whose thread refused the work
	defersBeforeWrite        // the patcher asks before it writes, not after
	signalTrustsKernel       // a signal handler between the swap and the catch-up does not do what is owed
	iretqForSelf             // a sync leaves out the patcher's CPU; the patcher serializes where it is at the end
	syncsTwice               // the patcher makes one sync more than it counts
	forgetsDebt              // a sync that failed behind an undo is never made up for
	givesUp3s                // the way back goes on without its 3s
	byteLast                 // the handler looks at the byte after the second look at the count
	countBeforeEntries       // the count is even again before the entries change
	freesTheLiveStub         // the wrong one of two
	graceVisitsHandlers      // the grace period takes a thread in a trap handler for outside
	freesWithDebt            // a stub is freed although the sync behind the batch failed
	defersNobody             // the patcher interrupts isolated threads
	signalDoesNotEnter       // a signal handler runs sites in an isolated thread as if it were back
	signalForgetsState       // a signal handler leaves the thread in Kernel
	cpuNotReserved           // other threads may run on an isolated CPU
	freeAtOnce               // a stub is freed without a grace period
	freeFailedAtOnce         // the stub of a failed batch is
	graceTopFrameOnly        // the grace period does not look at interrupted frames
	snapshotTooEarly         // words are read before the batch, not after it
	noStayCheck              // a sync by CPU does not ask whether the patcher was moved
	stayByNumber             // it compares the number of its CPU before and after
	noIretq                  // the patcher does not serialize its own CPU
	givesUpTrying            // it takes the last try for good
	switchesByStore          // a thread goes from User to Guest by a store of its word
	readsBeforeWrite         // the patcher's reads of words pass its writes to text
	sparesSealed             // a batch of sites that isolated threads run spares them
	laterSpares              // the sync behind batches without one does
	trustsSealedWords        // a grace period takes an isolated thread for outside although it runs calls
	crossesByStates          // a stub's grace period does not wait until who was isolated has come back

	looksBeforeItPuts  // a mapping is put on the list behind the release, not before it
	looksThenSets      // R1 looks, then sets the bits; a refusal is not looked at
	neverRaises        // R2 and R3 are missing
	looksOnce          // R3 is missing
	looksOnlyFirst     // R3 is missing for all mappings but the first
	asksOnlyOnce       // R1 is
	takesAll           // R4 takes the whole list
	setsOnlyOnce       // R3 finds somebody out and does not begin again from R1
	listsTooEarly      // R3 looks at the words of those who were there in R1
	lowersEarly        // R5 comes before the munmap
	oneFlag            // a flag in place of the count
	walksAway          // R2 leaves it to another release that is under way
	handsNothingOn     // a thread that comes back looks whether others are out, and sets nothing
	raisesAtOnce       // Unmap does not look before R2
	readsWorkFirst     // a thread reads what it owes before it swaps its word
	releasesBeforeSwap // it does what it owes before it swaps its word
	doesNotWait        // a thread that goes out does not look whether somebody releases
	asksBeforeTheDoor  // it looks before it swaps its word
	goesOutClean       // a thread that goes out takes work that has stayed out of its word
	givesUpInSilence   // a thread that waits no longer does not count that
	dropsBit           // a thread that leaves something takes UNMAP out of its word
	loserDropsBit      // one that finds the list locked does
	releasesAll        // one that comes back releases whatever there is
	endsUnsettled      // one that ends does not settle
	endsWithFew        // it settles as if it came back, and takes UNMAP with it
	endsIfUnlocked     // it settles if nobody has the list
	timerRunsOnce      // the timer does not run again for those that are young when it fires
	takeStopsTimer     // whoever takes from the list stops it
	ignoresBound       // a bound that is passed changes nothing

	comparesStates // Passed looks at the states and not at the counters
	comparesWords  // Passed looks whether anything in the word has changed
	oneBit         // the counter has one bit
	switchCounts   // the counter moves from User to Guest, too
	earlySnapshot  // words are read before the data is replaced
	waitsForEnded  // a thread that has ended is waited for
)

// Mutant is the protocol with one thing wrong: proof that the checkers see. The
// zero Mutant is the protocol as it is.
type Mutant struct {
	Name string
	// World is where it must be caught.
	World World
	// SafetyOnly turns the liveness checker off. Nothing is wrong with that.
	SafetyOnly bool

	flaw flaw
	step protocol.Step // left out
	dir  protocol.Dir
	swap [2]protocol.Step
}

func (m Mutant) skips(e protocol.Effect) bool {
	return m.flaw == leavesOut && e.Step == m.step && e.Dir == m.dir
}

// swaps returns the step whose byte is written in place of e's.
func (m Mutant) swaps(e protocol.Effect) protocol.Step {
	if m.flaw == swapsWrites && e.Dir == protocol.Forward {
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
	if m.flaw == unsortedVector && v.to-v.from > 1 && site == v.from {
		return false
	}
	return v.from <= site && site < v.to
}

// changesSyncs: the count of syncs says nothing about a mutant that drops one.
func (m Mutant) changesSyncs() bool { return m.flaw == leavesOut && m.step.Sync() }

func without(name string, w World, s protocol.Step, d protocol.Dir) Mutant {
	return Mutant{Name: name, World: w, flaw: leavesOut, step: s, dir: d}
}

func swapped(name string, w World, a, b protocol.Step) Mutant {
	return Mutant{Name: name, World: w, flaw: swapsWrites, swap: [2]protocol.Step{a, b}}
}

// Mutants returns every mutant, each with a world in which it must be caught.
func Mutants() []Mutant {
	ms := stepMutants()
	ms = append(ms, handlerMutants()...)
	ms = append(ms, syncMutants()...)
	ms = append(ms, graceMutants()...)
	ms = append(ms, isolationMutants()...)
	ms = append(ms, unmapMutants()...)
	return append(ms, quiesceMutants()...)
}

// tiny is the smallest world: one thread, one site, one batch.
func tiny(s protocol.Strategy) World {
	return World{Name: "tiny", Strategy: s, Threads: 1, Sites: 1, Batches: 1, Checks: 2, VectorMax: 2}
}

func stepMutants() []Mutant {
	int3, store, fault := tiny(protocol.Int3), tiny(protocol.Store), tiny(protocol.Int3)
	fault.Sites, fault.Faults = 2, 1
	hard := int3
	hard.Faults, hard.BackFaults = 6, true
	heads := int3
	heads.HeadsOnly, heads.Strict = true, true
	return []Mutant{
		without("without-publish", int3, protocol.StepPublish, protocol.Forward),
		without("without-trap", int3, protocol.StepTrap, protocol.Forward),
		without("without-2s", int3, protocol.StepTrapSync, protocol.Forward),
		without("without-3s", int3, protocol.StepTailSync, protocol.Forward),
		without("without-4s", int3, protocol.StepHeadSync, protocol.Forward),
		without("without-retire", int3, protocol.StepRetire, protocol.Forward),
		without("heads-only-without-2s", heads, protocol.StepTrapSync, protocol.Forward),
		without("heads-only-without-4s", heads, protocol.StepHeadSync, protocol.Forward),
		without("store-without-sync", store, protocol.StepStoreSync, protocol.Forward),
		without("undo-without-trap", fault, protocol.StepTrap, protocol.Back),
		without("undo-without-2s", fault, protocol.StepTrapSync, protocol.Back),
		without("undo-without-3s", fault, protocol.StepTailSync, protocol.Back),
		without("undo-without-4s", fault, protocol.StepHeadSync, protocol.Back),
		without("undo-leaves-traps", fault, protocol.StepHead, protocol.Back),
		without("undo-leaves-tails", fault, protocol.StepTail, protocol.Back),
		swapped("tail-before-trap", int3, protocol.StepTrap, protocol.StepTail),
		swapped("head-before-tail", int3, protocol.StepTail, protocol.StepHead),
		{Name: "undo-forgets-a-site", World: fault, flaw: undoForgetsSite},
		{Name: "undo-gives-up-3s", World: hard, flaw: givesUp3s},
	}
}

func handlerMutants() []Mutant {
	int3 := tiny(protocol.Int3)
	two, off, foreign, kill := int3, int3, int3, int3
	two.Sites = 2
	off.Away = 1
	again := off
	again.Batches = 2
	twice := int3
	twice.Batches = 2
	foreign.Foreign, kill.Kills = true, 1
	return []Mutant{
		{Name: "vector-cleared-early", World: two, flaw: earlyRetire},
		{Name: "vector-unsorted", World: two, flaw: unsortedVector},
		{Name: "no-late-trap-rule", World: off, flaw: noLateRule},
		{Name: "swallows-foreign-traps", World: foreign, flaw: swallowsForeign},
		{Name: "steps-back-for-any-sigtrap", World: kill, flaw: noSignalCode},
		{Name: "no-second-look-at-the-count", World: again, flaw: noRecheck},
		{Name: "count-never-odd", World: again, flaw: noOddCount},
		{Name: "looks-at-the-byte-last", World: twice, flaw: byteLast},
		{Name: "count-even-before-the-entries", World: twice, flaw: countBeforeEntries},
		{Name: "wrong-resume-address", World: int3, flaw: wrongResume},
	}
}

func syncMutants() []Mutant {
	int3 := tiny(protocol.Int3)
	off, each, alone, moves, shared, soon := int3, int3, tiny(protocol.Store), int3, tiny(protocol.Store), tiny(protocol.Store)
	off.Away, each.PerCPU, each.Away = 1, true, 1
	alone.PerCPU, alone.Isolated, alone.Visits = true, 1, 1
	moves.Move, moves.Away = true, 1
	shared.PerCPU, shared.Isolated, shared.Visits, shared.Threads, shared.Move, shared.Away, shared.Checks = true, 1, 1, 2, true, 1, 1
	signal := alone
	signal.Signals = 1
	soon.NoWait = true
	debt := tiny(protocol.Store)
	debt.Faults, debt.BackFaults = 6, true
	return []Mutant{
		{Name: "later-sync-does-nothing", World: soon, flaw: laterSyncMissing},
		{Name: "no-catch-up", World: off, flaw: noCatchUp},
		{Name: "sync-misses-a-cpu", World: int3, flaw: syncMissesCPU},
		{Name: "sync-forgets-its-own-cpu", World: moves, flaw: syncForgetsSelf},
		{Name: "sync-does-not-wait", World: int3, flaw: syncDoesNotWait},
		{Name: "per-cpu-form-as-promised", World: each, flaw: perCPUOnly},
		{Name: "per-cpu-form-without-registration", World: each, flaw: perCPUForgetsOff},
		{Name: "isolated-without-catch-up", World: alone, flaw: noIsolatedCatchUp},
		{Name: "catch-up-before-the-swap", World: alone, flaw: catchUpBeforeSwap},
		{Name: "deferred-though-refused", World: alone, flaw: defersBlindly},
		{Name: "deferred-before-the-write", World: alone, flaw: defersBeforeWrite},
		{Name: "signal-before-the-catch-up", World: signal, flaw: signalTrustsKernel},
		{Name: "own-cpu-by-iretq", World: moves, flaw: iretqForSelf},
		{Name: "syncs-twice", World: int3, flaw: syncsTwice},
		{Name: "debt-of-a-failed-sync-forgotten", World: debt, flaw: forgetsDebt},
		{Name: "interrupts-isolated-threads", World: alone, flaw: defersNobody},
		{Name: "signal-in-isolation-does-not-enter", World: signal, flaw: signalDoesNotEnter},
		{Name: "signal-in-isolation-forgets-the-state", World: signal, flaw: signalForgetsState},
		{Name: "isolated-cpu-not-reserved", World: shared, flaw: cpuNotReserved},
	}
}

func graceMutants() []Mutant {
	calls := tiny(protocol.Store)
	calls.Calls, calls.Batches = true, 2
	fault, signal, alone := tiny(protocol.Int3), calls, calls
	fault.Calls, fault.Faults, fault.Batches = true, 1, 1
	signal.Signals = 1
	alone.PerCPU, alone.Isolated, alone.Visits = true, 1, 1
	trapped, aloneSignal := tiny(protocol.Int3), alone
	trapped.Calls, trapped.Batches = true, 2
	debt := tiny(protocol.Store)
	debt.Calls, debt.Faults, debt.BackFaults = true, 6, true
	aloneSignal.Signals = 1
	return []Mutant{
		{Name: "stub-freed-at-once", World: calls, flaw: freeAtOnce},
		{Name: "stub-of-a-failed-batch-freed-at-once", World: fault, flaw: freeFailedAtOnce},
		{Name: "grace-period-overlooks-frames", World: signal, flaw: graceTopFrameOnly},
		{Name: "grace-period-begins-too-early", World: alone, flaw: snapshotTooEarly},
		{Name: "stub-freed-with-a-sync-owed", World: debt, flaw: freesWithDebt},
		{Name: "grace-period-visits-handlers", World: trapped, flaw: graceVisitsHandlers},
		{Name: "frees-the-live-stub", World: calls, flaw: freesTheLiveStub},
		{Name: "stub-and-a-signal-that-does-not-enter", World: aloneSignal, flaw: signalDoesNotEnter},
		{Name: "stub-and-no-catch-up", World: alone, flaw: noIsolatedCatchUp},
	}
}
