package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// Bounds of a walk.
const (
	walkThreadsMax = 15 // and the patcher: 16 CPUs
	walkSitesMax   = 64
	// walkAtomsMax ends the safety phase of a walk whose batches do not end
	// by themselves.
	walkAtomsMax = 100_000
	// quietRoundsMax is how many rounds the liveness phase may take, one atom
	// for everybody in each: more than the longest batch and its undo.
	quietRoundsMax = 20_000
	// shortenAtomsMax bounds the work of making a trace shorter.
	shortenAtomsMax = 20_000_000
)

// WalkResult is what one random walk did.
type WalkResult struct {
	Seed      uint64     `json:"seed"`
	World     World      `json:"world"`
	Atoms     int        `json:"atoms"`
	Batches   int        `json:"batches"`
	Traps     int        `json:"traps"`
	Late      int        `json:"late_traps"`
	Violation *Violation `json:"violation,omitempty"`
}

// Seed returns the seed of the n-th walk of a series. The 0th is the series'
// own, so that a walk can be repeated by its own seed.
func Seed(series uint64, n int) uint64 {
	if n == 0 {
		return series
	}
	z := series + uint64(n)*0x9E3779B97F4A7C15 // splitmix64
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// walker goes one way through a world, at random.
type walker struct {
	model
	rng    *rand.Rand
	s      *state
	weight []int // how often each actor is chosen
	buf    []atom
	taken  []atom
	result WalkResult
}

// Walk draws a world from the seed and goes one way through it: first at random
// with everything that can happen, then, when the batches are over, with nothing
// new, until everybody is done. The same seed always goes the same way.
func Walk(seed uint64, m Mutant) WalkResult {
	rng := rand.New(rand.NewPCG(seed, 0))
	w := drawFor(rng, m)
	w.Name = fmt.Sprintf("walk %#x", seed)
	if y := small(w, m); y != nil {
		return walkSmall(y, rng, WalkResult{Seed: seed, World: w})
	}
	x := &walker{model: model{world: w, mutant: m}, rng: rng, s: w.start()}
	x.result = WalkResult{Seed: seed, World: w}
	x.safety()
	way := x.taken
	if x.found == nil && !m.SafetyOnly {
		x.taken = append(x.taken, atom{op: opQuiet})
		way = x.taken
		x.quietly(x.s, x.take)
	}
	x.result.Atoms, x.result.Batches = len(x.taken), int(x.s.begun)
	if x.found != nil {
		again := func(way []atom) ([]atom, []atom, *Violation) { return repeat(w, m, way) }
		_, all, found := again(shorten(way, x.found.By, again))
		found.atoms, found.Trace = all, Replay(w, m, all)
		x.result.Violation = found
	}
	return x.result
}

// draw picks a world.
func draw(rng *rand.Rand) World {
	coin := func(n int) bool { return rng.IntN(n) == 0 }
	some := func(n int) int { return rng.IntN(n + 1) }
	w := World{
		Strategy:  []protocol.Strategy{protocol.Store, protocol.Int3, protocol.Int3, protocol.OneAtATime}[rng.IntN(4)],
		Threads:   1 + rng.IntN(walkThreadsMax),
		Sites:     1 + rng.IntN(walkSitesMax),
		Batches:   1 + rng.IntN(4),
		Checks:    200,
		Faults:    some(2),
		Away:      some(40),
		Signals:   some(20),
		Kills:     some(5),
		Foreign:   coin(3),
		Calls:     coin(2),
		Move:      coin(2),
		PerCPU:    coin(2),
		HeadsOnly: coin(8),
	}
	if coin(2) { // few sites, so that threads meet the patcher more often
		w.Sites = 1 + rng.IntN(4)
	}
	w.VectorMax = 1 + rng.IntN(w.Sites)
	if coin(4) {
		w.BackFaults, w.Faults = true, 6+some(14)
	}
	w.Retry = coin(3)
	if w.Strategy == protocol.Int3 && coin(4) {
		w.Second = protocol.Store
	}
	w.NoCheck = coin(2)
	w.NoWait = w.Strategy == protocol.Store && !w.Calls && coin(3)
	w.Interrupts = some(10)
	w.Strict = !w.tailsOnly()
	w.HeadsOnly = w.HeadsOnly && w.Strict
	if w.PerCPU && coin(2) {
		w.Isolated, w.Visits = 1+rng.IntN(w.Threads), 20
		w.Guest, w.Always, w.Sealed, w.Wide = coin(2), coin(3), coin(4), coin(4)
		w.Idle = w.Guest && coin(2)
		w.Breaks = w.mayBreak() && coin(2)
	}
	return w
}

// safety takes atoms at random until all batches are over.
func (x *walker) safety() {
	for n := 0; n < walkAtomsMax && x.found == nil && !x.done(x.s); n++ {
		if n%256 == 0 {
			x.draw()
		}
		actor := x.pick()
		x.buf = x.atoms(x.s, actor, x.buf[:0])
		if len(x.buf) == 0 {
			continue
		}
		x.take(x.choose())
	}
}

// choose picks an atom: half of the time every kind of atom is as likely as any
// other, so that what happens once is not drowned by checks of many sites.
//
// What fails tends to fail again: else no batch would ever get stuck.
func (x *walker) choose() atom {
	if n := len(x.taken); x.world.BackFaults && n > 0 && x.taken[n-1].op == opFail && x.rng.IntN(8) > 0 {
		for _, a := range x.buf {
			if a.op == opFail {
				return a
			}
		}
	}
	a := x.buf[x.rng.IntN(len(x.buf))]
	if x.rng.IntN(2) == 0 {
		return a
	}
	kinds := 0
	for i, b := range x.buf {
		if i > 0 && b.op == x.buf[i-1].op {
			continue
		}
		if kinds++; x.rng.IntN(kinds) == 0 {
			a = b
		}
	}
	return a
}

// draw decides anew who is fast and who is slow: a thread may stand still, a
// trap not yet handled, while many batches pass.
func (x *walker) draw() {
	x.weight = x.weight[:0]
	for range x.actors() {
		x.weight = append(x.weight, []int{0, 1, 4, 32}[x.rng.IntN(4)])
	}
	x.weight[0] += 4 * x.rng.IntN(8)
	x.weight[x.rng.IntN(len(x.weight))]++ // somebody can go on
}

func (x *walker) pick() int {
	sum := 0
	for _, w := range x.weight {
		sum += w
	}
	n := x.rng.IntN(sum)
	for i, w := range x.weight {
		if n < w {
			return i
		}
		n -= w
	}
	return 0
}

func (x *walker) take(a atom) {
	x.taken = append(x.taken, a)
	x.apply(x.s, a)
	if a.op == opExec && a.arg&15 == trapped {
		x.result.Traps++
	}
	if x.event == EventLate {
		x.result.Late++
	}
}

// quietly is the liveness phase: everybody takes an atom in turn until the
// patcher is done, then each thread until it is; always the worst for him.
// Nothing new begins and nothing fails. take carries the atoms out.
func (m *model) quietly(s *state, take func(atom)) {
	s.quiet = true
	var buf []atom
	for n := 0; m.found == nil && !m.done(s); n++ {
		if n == quietRoundsMax {
			m.violate(CheckLiveness, "the patcher does not finish")
			return
		}
		if m.world.Move && n%sliceRounds == 0 {
			m.endSlices(s, take)
		}
		for actor := range m.actors() {
			if buf = m.atoms(s, actor, buf[:0]); len(buf) > 0 && m.found == nil {
				take(worst(buf))
			}
		}
	}
	if m.world.Move {
		m.endSlices(s, take)
	}
	for i := range s.threads {
		for n := 0; m.found == nil && n < aloneStepsMax; n++ {
			if buf = m.threadAtoms(s, i, buf[:0]); len(buf) == 0 {
				break
			}
			take(worst(buf))
		}
		if m.found == nil && !s.finished(i) {
			m.circles(s, i)
		}
	}
}

// sliceRounds is how many rounds a thread keeps its CPU while the patcher has yet
// to finish: the scheduler is fair. (Were it not, threads that trap while the
// vector changes could keep the patcher off its CPU for ever; docs/PROTOCOL.md,
// Limits.)
const sliceRounds = 64

// endSlices takes the CPU from all threads that may move.
func (m *model) endSlices(s *state, take func(atom)) {
	for i := m.world.Isolated; i < len(s.threads); i++ {
		if !s.threads[i].off {
			take(atom{actor: uint8(i + 1), op: opOff})
		}
	}
}

// shorten leaves out of a way what is not needed for the same checker to
// object: halves first, then quarters, and so on. Of a way with a liveness phase
// it takes and returns the part before it. again goes a way once more: see repeat.
func shorten(way []atom, by string, again func([]atom) (short, all []atom, found *Violation)) []atom {
	work := 0
	for size := (len(way) + 1) / 2; size > 0; size /= 2 {
		for at := 0; at < len(way) && work < shortenAtomsMax; {
			try := append(append([]atom{}, way[:at]...), way[min(at+size, len(way)):]...)
			short, all, found := again(try)
			work += len(all) + len(try)
			if found != nil && found.By == by {
				way = short
			} else {
				at += size
			}
		}
	}
	return way
}

// repeat goes a way again, leaving out atoms that are not possible any more, and
// ends it with a liveness phase if the way has one. It returns the way that was
// gone, without and with that phase, and what the checkers found.
func repeat(w World, mu Mutant, way []atom) (short, all []atom, found *Violation) {
	m := model{world: w, mutant: mu}
	s := w.start()
	var buf []atom
	for _, a := range way {
		if a.op == opQuiet {
			short = append(short, a)
			all = append(all, short...)
			m.quietly(s, func(a atom) { all = append(all, a); m.apply(s, a) })
			return short, all, m.found
		}
		buf = m.atoms(s, int(a.actor), buf[:0])
		if !slices.Contains(buf, a) {
			continue
		}
		short = append(short, a)
		if m.apply(s, a); m.found != nil {
			break
		}
	}
	return short, short, m.found
}
