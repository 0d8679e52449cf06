package sim

import (
	"fmt"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// isolationWorlds have isolated threads, or syncs as they are made for them.
func isolationWorlds() []World {
	var ws []World
	for _, s := range []protocol.Strategy{protocol.Store, protocol.Int3} {
		base := World{
			Strategy: s, Threads: 1, Sites: 1, Batches: 2, Checks: 2, VectorMax: 2, Away: 1,
			Strict: s == protocol.Int3, PerCPU: true, Isolated: 1, Visits: 2,
		}
		add := func(name string, change func(*World)) {
			w := base
			change(&w)
			w.Name = fmt.Sprintf("%v: %s", s, name)
			ws = append(ws, w)
		}
		add("an isolated thread", func(*World) {})
		add("an isolated thread and a fault", func(w *World) { w.Visits, w.Faults = 1, 1 })
		add("an isolated thread gets a signal", func(w *World) { w.Visits, w.Signals, w.Checks = 1, 1, 1 })
		add("an isolated thread and one that moves", func(w *World) {
			w.Visits, w.Threads, w.Checks, w.Batches, w.Move = 1, 2, 1, 1, true
		})
		add("an isolated thread with a counter of full width", func(w *World) { w.Wide = true })
		add("a thread in User and Guest", func(w *World) { w.Guest = true })
		add("a thread in User, Guest and Idle", func(w *World) { w.Guest, w.Idle, w.Visits = true, true, 1 })
		add("isolated threads run sites", func(w *World) { w.Sealed, w.Visits = true, 1 })
		add("syncs by CPU, the patcher moves", func(w *World) {
			w.Isolated, w.Visits, w.Move, w.Away, w.Checks, w.Batches = 0, 0, true, 2, 1, 1
		})
		if s == protocol.Store {
			add("isolated threads make calls that they should not", func(w *World) { w.Calls, w.Breaks, w.Checks = true, true, 3 })
			add("isolated threads make calls that they should not, in User and Guest", func(w *World) {
				w.Calls, w.Breaks, w.Guest, w.Away = true, true, true, 0
			})
		}
		add("catching up always", func(w *World) { w.Always = true })
		add("catching up always, and a signal", func(w *World) { w.Always, w.Visits, w.Signals, w.Checks = true, 1, 1, 1 })
		add("catching up always, and calls of stubs", func(w *World) { w.Always, w.Calls, w.Away = true, true, 0 })
	}
	// Worlds that are too large for int3, or not possible with it.
	moves := World{
		Strategy: protocol.Store, Threads: 2, Sites: 1, Batches: 1, Checks: 1, VectorMax: 2, Away: 1,
		PerCPU: true, Isolated: 1, Visits: 1, Move: true,
	}
	soon := World{
		Strategy: protocol.Store, Threads: 1, Sites: 1, Batches: 3, Checks: 2, VectorMax: 2, Away: 1,
		PerCPU: true, Isolated: 1, Visits: 1, NoWait: true, Sealed: true,
		Name: "store: isolated threads run sites, flips without waiting",
	}
	always := moves
	always.Always, always.Name = true, "store: catching up always, and a thread that moves"
	moves.Away, moves.Name = 2, "store: an isolated thread, and all others move twice"
	return append(ws, moves, always, soon)
}

func isolationMutants() []Mutant {
	alone := tiny(protocol.Store)
	alone.PerCPU, alone.Isolated, alone.Visits = true, 1, 1
	moves, guest, always, sealed := tiny(protocol.Store), alone, alone, alone
	moves.PerCPU, moves.Move, moves.Away, moves.Checks = true, true, 2, 1
	restless := moves
	restless.Away = 3
	guest.Guest, always.Always, sealed.Sealed = true, true, true
	signal, torn, calls, soon := always, tiny(protocol.Int3), sealed, sealed
	signal.Signals = 1
	torn.PerCPU, torn.Isolated, torn.Visits, torn.Sealed = true, 1, 1, true
	calls.Calls, calls.Batches = true, 2
	breaks := calls
	breaks.Sealed, breaks.Breaks = false, true
	soon.NoWait = true
	return []Mutant{
		{Name: "per-cpu-form-without-a-check", World: moves, flaw: noStayCheck},
		{Name: "per-cpu-form-checked-by-number", World: moves, flaw: stayByNumber},
		{Name: "per-cpu-form-without-iretq", World: moves, flaw: noIretq},
		{Name: "per-cpu-form-gives-up", World: restless, flaw: givesUpTrying},
		{Name: "guest-by-a-store", World: guest, flaw: switchesByStore},
		{Name: "always-without-catch-up", World: always, flaw: noIsolatedCatchUp},
		{Name: "always-catches-up-before-the-swap", World: always, flaw: catchUpBeforeSwap},
		{Name: "always-reads-before-the-write", World: always, flaw: readsBeforeWrite},
		{Name: "always-signal-before-the-catch-up", World: signal, flaw: signalTrustsKernel},
		{Name: "spares-who-runs-sites", World: sealed, flaw: sparesSealed},
		{Name: "spares-who-runs-sites-int3", World: torn, flaw: sparesSealed},
		{Name: "later-sync-spares-who-runs-sites", World: soon, flaw: laterSpares},
		{Name: "stub-of-a-sealed-call-freed-by-words", World: calls, flaw: trustsSealedWords},
		{Name: "stub-freed-by-states-other-than-kernel", World: breaks, flaw: trustsSealedWords},
		{Name: "stub-freed-under-who-owes-a-sync", World: breaks, flaw: crossesByStates},
	}
}
