package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// smallWalkAtomsMax ends a walk through a small model that need not end by itself.
const smallWalkAtomsMax = 3000

// drawFor picks a world for a walk. A wrong protocol is walked in worlds of its own kind,
// the right one now and then in those of the small models.
func drawFor(rng *rand.Rand, m Mutant) World {
	kind := rng.IntN(16)
	if m.flaw != noFlaw {
		kind = -1
	}
	switch {
	case m.World.Unmap.Threads > 0 || kind == 0:
		return drawUnmap(rng)
	case m.World.Quiesce.Threads > 0 || kind == 1:
		return drawQuiesce(rng)
	}
	w := draw(rng)
	w.resemble(m.World)
	return w
}

// resemble adds what a wrong protocol needs to go wrong and few worlds have.
func (w *World) resemble(of World) {
	if of.NoWait {
		w.Strategy, w.Second, w.Strict = protocol.Store, 0, false
		w.Calls, w.HeadsOnly, w.NoWait = false, false, true
	}
	if of.Isolated > 0 && w.Isolated == 0 {
		w.PerCPU, w.Isolated, w.Visits = true, 1, 20
	}
	w.Sealed = w.Sealed || of.Sealed
	if of.Breaks {
		w.Strategy, w.Second, w.Strict, w.Retry = protocol.Store, 0, false, false
		w.Calls, w.HeadsOnly, w.NoWait, w.Sealed, w.Breaks = true, false, false, false, true
	}
}

func drawUnmap(rng *rand.Rand) World {
	w := UnmapWorld{
		Threads: 1 + rng.IntN(unmapActorsMax-2), Visits: 1 + rng.IntN(20), Unmaps: 1 + rng.IntN(10), Inside: rng.IntN(5),
		Nested: rng.IntN(3), Ends: rng.IntN(4), PerReturn: rng.IntN(5), Timer: rng.IntN(2) == 0, GivesUp: rng.IntN(2) == 0,
	}
	w.Callers = 1 + rng.IntN(max(1, unmapActorsMax-1-w.Threads)) // one place is the timer's
	if rng.IntN(2) == 0 {
		w.Bound = 1 + rng.IntN(4)
	}
	return World{Unmap: w, Wide: rng.IntN(4) == 0}
}

func drawQuiesce(rng *rand.Rand) World {
	coin := func() bool { return rng.IntN(2) == 0 }
	w := QuiesceWorld{Threads: 1 + rng.IntN(quiesceThreadsMax), Guest: coin(), Ends: coin(), Work: coin()}
	wide := rng.IntN(4) == 0
	if wide {
		w.Visits = 50
	}
	return World{Quiesce: w, Wide: wide}
}

// walkSmall goes through a world of a small model.
func walkSmall(y smallModel, rng *rand.Rand, r WalkResult) WalkResult {
	way := y.walk(rng, smallWalkAtomsMax)
	r.Atoms = len(way)
	_, found := y.repeat(way)
	if found == nil {
		return r
	}
	again := func(way []atom) ([]atom, []atom, *Violation) {
		gone, found := y.repeat(way)
		return gone, gone, found
	}
	gone, _, found := again(shorten(way, found.By, again))
	found.atoms, found.Trace = gone, y.replay(gone)
	r.Violation = found
	return r
}

// String describes the world in one line.
func (w UnmapWorld) String() string {
	s := fmt.Sprintf("deferred unmaps, %s, %s, %s each", many(w.Threads, "thread"), many(w.Callers, "caller"), many(w.Unmaps, "unmap"))
	if w.Bound > 0 {
		s += fmt.Sprintf(", a bound of %d", w.Bound)
	}
	if w.PerReturn > 0 {
		s += fmt.Sprintf(", returns release %d", w.PerReturn)
	}
	for _, f := range []struct {
		on   bool
		what string
	}{{w.Timer, "a timer"}, {w.GivesUp, "nobody waits for ever"}, {w.Ends > 0, "threads end"}} {
		if f.on {
			s += ", " + f.what
		}
	}
	return s
}

// String describes the world in one line.
func (q QuiesceWorld) String() string {
	s := "grace periods, " + many(q.Threads, "thread")
	if q.Guest {
		s += ", in User and Guest"
	}
	if q.Ends {
		s += ", threads end"
	}
	return s
}
