package sim

import (
	"fmt"

	"github.com/quietpatch/quietpatch/internal/tracking"
)

// Grace periods from snapshots of the context words, a model of its own: what rcutorture's
// TREE04 is to a narrow counter of the kernel. Threads read data in Kernel and go in and out as
// often as they like. An updater replaces the data, reads all words, waits until each has
// passed (Layout.Passed), and frees what was there before. Patchers leave work in words.
//
// With a counter of two bits the worlds have no bound but their size: every number of
// wraps is explored.

// QuiesceWorld is a world of grace periods. The zero one is none.
type QuiesceWorld struct {
	Threads int
	Visits  int  // how often each goes into isolation; 0: any number
	Guest   bool // they go from User to Guest and back, too
	Ends    bool // they end, and others begin in their places
	Work    bool // patchers leave work in words
}

// quiesceThreadsMax bounds the state.
const quiesceThreadsMax = 6

type quiescePlace uint8

const (
	quiet    quiescePlace = iota // in Kernel, holds nothing
	reads                        // in Kernel, holds data
	outside                      // isolated
	returns                      // has changed its word, has yet to take work out of it
	hasEnded                     // nobody is there
)

type quiesceThread struct {
	word   tracking.Word
	snap   tracking.Word // as the updater read it
	at     quiescePlace
	data   uint8 // that it holds
	visits uint8

	// What the checkers know: since the updater read the word, the thread was outside; how
	// often it crossed the border, as far as the counter can show that; and it has ended.
	been    bool
	crossed uint8
	gone    bool
}

// Phases of the updater.
const (
	replaces = iota
	snapshots
	awaits
	frees
)

type quiesceState struct {
	threads [quiesceThreadsMax]quiesceThread
	phase   uint8
	next    uint8 // thread to read
	current uint8 // data in use
	freed   [2]bool
}

type quiesce struct {
	watch
	world  QuiesceWorld
	layout tracking.Layout
	wraps  uint8 // so many crossings hide all; 0: none do
	flaw   flaw
}

func newQuiesce(w World, m Mutant) *quiesce {
	q := &quiesce{world: w.Quiesce, layout: w.layout(), flaw: m.flaw}
	if !w.Wide {
		q.wraps = 1 << tracking.CounterBitsMin
	}
	if m.flaw == oneBit {
		q.layout.CounterBits = 1
	}
	return q
}

// actors: number 0 is the updater, then come the threads, then a patcher.
func (q *quiesce) actors() int { return q.world.Threads + 2 }

func (q *quiesce) start() quiesceState {
	s := quiesceState{freed: [2]bool{false, true}}
	if q.flaw == earlySnapshot {
		s.phase = snapshots
	}
	for i := range q.world.Threads {
		s.threads[i].visits = uint8(q.world.Visits)
	}
	return s
}

func (q *quiesce) atoms(s *quiesceState, i int, out []atom) []atom {
	me := uint8(i)
	switch {
	case i == 0:
		return append(out, atom{op: opStep})
	case i > q.world.Threads:
		for n := range q.world.Threads {
			if q.world.Work && s.threads[n].word.State() != tracking.Kernel {
				out = append(out, atom{me, opWork, uint8(n)})
			}
		}
		return out
	}
	t := &s.threads[i-1]
	switch t.at {
	case quiet:
		out = append(out, atom{actor: me, op: opBegin})
		if t.visits > 0 || q.world.Visits == 0 {
			out = append(out, atom{actor: me, op: opEnter})
		}
	case outside:
		out = append(out, atom{actor: me, op: opStep})
		if q.world.Guest {
			out = append(out, atom{actor: me, op: opSwitch})
		}
	case reads, returns:
		out = append(out, atom{actor: me, op: opStep})
	}
	if q.world.Ends && (t.at == quiet || t.at == hasEnded) {
		out = append(out, atom{actor: me, op: opEnd})
	}
	return out
}

func (q *quiesce) apply(s *quiesceState, a atom) {
	q.event, q.said = NoEvent, ""
	switch {
	case a.actor == 0:
		q.update(s)
	case a.op == opWork:
		t := &s.threads[a.arg]
		t.word, _ = t.word.SetWork(tracking.Sync)
		q.say("leaves work for CPU%d", int(a.arg)+1)
	default:
		q.thread(s, &s.threads[a.actor-1], a)
	}
}

// thread carries out an atom of a thread.
func (q *quiesce) thread(s *quiesceState, t *quiesceThread, a atom) {
	switch {
	case a.op == opEnd && t.at == hasEnded:
		t.at = quiet
		q.say("another thread begins here")
	case a.op == opEnd:
		t.at, t.gone = hasEnded, true
		q.say("ends")
	case a.op == opBegin:
		t.at, t.data = reads, s.current
		q.say("takes data %d", int(t.data))
	case a.op == opEnter:
		t.visits -= min(t.visits, 1)
		q.cross(t, tracking.User)
		t.at = outside
		q.say("goes out")
	case a.op == opSwitch:
		q.switchState(t)
	case t.at == reads:
		q.use(s, t, int(a.actor))
	case t.at == outside:
		q.cross(t, tracking.Kernel)
		t.at = returns
		q.say("comes back")
	default:
		t.word, t.at = t.word.Done(), quiet
		q.say("has done what it owed")
	}
}

func (q *quiesce) switchState(t *quiesceThread) {
	to := tracking.User
	if t.word.State() == to {
		to = tracking.Guest
	}
	t.word += q.layout.Step(t.word.State(), to)
	if q.flaw == switchCounts {
		t.word += q.layout.Step(tracking.Kernel, to) - tracking.Word(to)
	}
	q.say("is in " + to.String())
}

func (q *quiesce) cross(t *quiesceThread, to tracking.State) {
	t.word += q.layout.Step(t.word.State(), to)
	t.been = true
	if t.crossed++; q.wraps > 0 {
		t.crossed %= q.wraps
	}
}

func (q *quiesce) use(s *quiesceState, t *quiesceThread, cpu int) {
	if s.freed[t.data] {
		q.violate(CheckFreed, fmt.Sprintf("CPU%d uses data %d, which was freed", cpu, t.data))
		return
	}
	q.say("uses data %d, and lets it go", int(t.data))
	t.at, t.data = quiet, 0
}

// update carries out an atom of the updater.
func (q *quiesce) update(s *quiesceState) {
	switch s.phase {
	case replaces:
		s.current = 1 - s.current
		s.freed[s.current] = false
		q.say("replaces the data by %d", int(s.current))
	case snapshots:
		s.threads[s.next].snapshot()
		s.next++
		q.say("reads the word of CPU%d", int(s.next))
	case awaits:
		q.await(s)
	case frees:
		s.freed[1-s.current] = true
		q.say("frees data %d", int(1-s.current))
	}
	if of := s.phase == snapshots || s.phase == awaits; !of || int(s.next) == q.world.Threads {
		s.phase, s.next = q.follows(s.phase), 0
	}
}

// follows is the order of the phases.
func (q *quiesce) follows(phase uint8) uint8 {
	if q.flaw == earlySnapshot {
		return [...]uint8{snapshots: replaces, replaces: awaits, awaits: frees, frees: snapshots}[phase]
	}
	return [...]uint8{replaces: snapshots, snapshots: awaits, awaits: frees, frees: replaces}[phase]
}

func (t *quiesceThread) snapshot() {
	t.snap, t.crossed = t.word, 0
	t.been, t.gone = t.word.State() != tracking.Kernel, t.at == hasEnded
}

// await reads one word, and judges what the updater takes it for. A thread that has
// passed is not looked at again.
func (q *quiesce) await(s *quiesceState) {
	t := &s.threads[s.next]
	cpu := int(s.next) + 1
	passed := q.passed(t)
	switch {
	case passed && !t.been && !t.gone:
		q.violate(CheckGrace, fmt.Sprintf("CPU%d is taken for passed and was never outside Kernel", cpu))
		return
	case !passed && t.crossed != 0:
		q.violate(CheckLiveness, fmt.Sprintf("CPU%d has been outside Kernel, its counter has not wrapped, and it is waited for", cpu))
		return
	case !passed && t.at == hasEnded:
		q.violate(CheckLiveness, fmt.Sprintf("the thread of CPU%d has ended, and is waited for", cpu))
		return
	case !passed:
		if t.been {
			q.event = EventWrapped
		}
		q.say("CPU%d has not passed", cpu)
		return
	}
	q.say("CPU%d has passed", cpu)
	s.next++
}

func (q *quiesce) passed(t *quiesceThread) bool {
	if t.at == hasEnded && q.flaw != waitsForEnded {
		return true
	}
	switch q.flaw {
	case comparesStates:
		return t.snap.State() != tracking.Kernel || t.word.State() != tracking.Kernel
	case comparesWords:
		return t.snap.State() != tracking.Kernel || t.snap != t.word
	}
	return q.layout.Passed(t.snap, t.word)
}

// inspect has nothing to add: the updater is never at an end.
func (q *quiesce) inspect(_ *quiesceState, _ bool) {}

// check returns what is wrong with the numbers.
func (q QuiesceWorld) check(w World) error {
	if q.Threads > quiesceThreadsMax || q.Visits > 100 || w.Wide && q.Visits == 0 {
		return fmt.Errorf("world %q: more may happen than the model counts: %+v", w.Name, q)
	}
	return nil
}
