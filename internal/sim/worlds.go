package sim

import (
	"fmt"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// Worlds returns the small worlds that are explored exhaustively: 2 and 3 CPUs,
// 1 and 2 sites, 1 and 2 batches, every strategy, without and with a write or
// sync that fails, threads that are taken off their CPU anywhere.
func Worlds() []World {
	var ws []World
	for _, s := range []protocol.Strategy{protocol.Store, protocol.Int3, protocol.OneAtATime} {
		for threads := 1; threads <= 2; threads++ {
			for sites := 1; sites <= 2; sites++ {
				for batches := 1; batches <= 2; batches++ {
					for faults := range 2 {
						if faults > 0 && threads+sites+batches == 6 {
							continue // tens of millions of states; the smaller worlds have every fault
						}
						ws = append(ws, world(s, threads, sites, batches, faults))
					}
				}
			}
		}
	}
	// A vector that is full after one site: two chunks, the first is taken back.
	w := world(protocol.Int3, 1, 2, 1, 1)
	w.VectorMax, w.Name = 1, w.Name+" full vector"
	return append(ws, w)
}

func world(s protocol.Strategy, threads, sites, batches, faults int) World {
	w := World{
		Strategy: s, Threads: threads, Sites: sites, Batches: batches, Faults: faults, VectorMax: sitesMax,
		Checks: 2, Away: 1,
	}
	if threads == 2 {
		// Two threads do not act on each other: one check each, and only one
		// world in which both are taken off their CPUs.
		w.Checks = 1
		if sites == 2 || batches == 2 {
			w.Away = 0
		}
	}
	w.Name = fmt.Sprintf("%v: %d CPUs, %d sites, %d batches, %d faults", s, threads+1, sites, batches, faults)
	return w
}
