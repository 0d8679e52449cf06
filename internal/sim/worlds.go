package sim

import (
	"fmt"
	"slices"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// Worlds returns the small worlds that are explored exhaustively.
func Worlds() []World {
	return slices.Concat(plainWorlds(), specialWorlds(), isolationWorlds(), unmapWorlds(), quiesceWorlds())
}

// plainWorlds are 2 and 3 CPUs, 1 and 2 sites, 1 and 2 batches, every strategy,
// without and with a write or sync that fails, threads that are taken off their
// CPU anywhere.
func plainWorlds() []World {
	var ws []World
	for _, s := range []protocol.Strategy{protocol.Store, protocol.Int3, protocol.OneAtATime} {
		for threads := 1; threads <= 2; threads++ {
			for sites := 1; sites <= 2; sites++ {
				for batches := 1; batches <= 2; batches++ {
					for faults := range 2 {
						if faults > 0 && threads+sites+batches == 6 {
							continue // tens of millions of states; the smaller worlds have every fault
						}
						ws = append(ws, plain(s, threads, sites, batches, faults))
					}
				}
			}
		}
	}
	// A vector that is full after one site: two chunks, the first is taken back.
	w := plain(protocol.Int3, 1, 2, 1, 1)
	w.VectorMax, w.Name = 1, w.Name+", full vector"
	return append(ws, w)
}

func plain(s protocol.Strategy, threads, sites, batches, faults int) World {
	w := World{
		Strategy: s, Threads: threads, Sites: sites, Batches: batches, Faults: faults, VectorMax: 2,
		Checks: 2, Away: 1, Strict: s != protocol.Store,
	}
	if threads == 2 {
		// Two threads do not act on each other: one check each, and only one
		// world in which both are taken off their CPUs.
		w.Checks = 1
		if sites == 2 || batches == 2 {
			w.Away = 0
		}
	}
	w.Name = fmt.Sprintf("%v: %s, %s, %s, %s", s, many(threads+1, "CPU"), many(sites, "site"), many(batches, "batch"), many(faults, "fault"))
	return w
}

func many(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case what == "batch":
		return fmt.Sprint(n, " batches")
	}
	return fmt.Sprint(n, " ", what, "s")
}

// specialWorlds each add one thing that can happen, to both ways of writing.
func specialWorlds() []World {
	var ws []World
	for _, s := range []protocol.Strategy{protocol.Store, protocol.Int3} {
		base := World{
			Strategy: s, Threads: 1, Sites: 1, Batches: 2, Checks: 2, VectorMax: 2, Away: 1,
			Strict: s == protocol.Int3,
		}
		add := func(name string, change func(*World)) {
			w := base
			change(&w)
			w.Name = fmt.Sprintf("%v: %s", s, name)
			ws = append(ws, w)
		}
		add("a signal anywhere", func(w *World) { w.Signals = 1 })
		add("an interrupt anywhere", func(w *World) { w.Interrupts = 1 })
		add("a foreign int3 and a SIGTRAP from kill", func(w *World) { w.Foreign, w.Kills = true, 1 })
		add("a thread moves, also to the patcher's CPU", func(w *World) { w.Move, w.Away = true, 2 })
		add("two threads move", func(w *World) { w.Move, w.Threads, w.Checks, w.Batches = true, 2, 1, 1 })
		add("syncs by CPU", func(w *World) { w.PerCPU, w.Away = true, 2 })
		add("calls of stubs", func(w *World) { w.Calls = true })
		add("calls of stubs and a fault", func(w *World) { w.Calls, w.Faults = true, 1 })
		add("calls of stubs and a signal", func(w *World) { w.Calls, w.Signals, w.Checks = true, 1, 1 })
		add("calls of stubs and an isolated thread", func(w *World) { w.Calls, w.PerCPU, w.Isolated, w.Visits, w.Away = true, true, 1, 2, 0 })
	}
	for _, s := range []protocol.Strategy{protocol.Store, protocol.Int3} {
		w := plain(s, 1, 1, 2, 7)
		w.BackFaults, w.Away, w.Name = true, 0, fmt.Sprintf("%v: the way back fails, too", s)
		ws = append(ws, w)
		w = plain(s, 1, 2, 1, 1)
		w.Retry, w.Name = true, fmt.Sprintf("%v: a second try, one site at a time", s)
		ws = append(ws, w)
	}
	both := plain(protocol.Store, 1, 2, 2, 1)
	both.Second, both.Name = protocol.Int3, "store and int3 by turns"
	ws = append(ws, both)
	quick := plain(protocol.Store, 1, 2, 2, 1)
	quick.NoCheck, quick.Name = true, "store: without step 0"
	ws = append(ws, quick)
	soon := plain(protocol.Store, 1, 2, 3, 1)
	soon.NoWait, soon.Name = true, "store: flips without waiting and a later sync"
	ws = append(ws, soon)
	heads := plain(protocol.Int3, 1, 2, 2, 1)
	heads.HeadsOnly, heads.Name = true, heads.Name+", only first bytes change"
	return append(ws, heads)
}
