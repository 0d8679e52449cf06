package protocol

import (
	"errors"
	"fmt"
)

// backRetriesMax is how often an effect on the way back is tried again before the
// machine gives up. On the way forward nothing is tried twice: the old bytes
// are the safe place to go to.
const backRetriesMax = 4

// Plan is a change of n sites, sorted by address. The machine names sites by
// their index.
type Plan struct {
	Strategy Strategy
	Sites    int
	// VectorMax is how many sites the trap vector holds. A longer plan is
	// carried out in chunks: a full vector is applied and the plan goes on.
	VectorMax int
	// HeadsOnly: no site changes a byte behind its first one, so steps 3 and
	// 3s have nothing to do and are left out.
	HeadsOnly bool
	// NoSync: the store protocol without its sync. Whoever needs to know that
	// the change is seen syncs later.
	NoSync bool
	// NoCheck: the store protocol without step 0. Each store is preceded by its own
	// compare all the same; what that finds is undone instead of not begun.
	NoCheck bool
}

// ErrPlan is wrapped by the error of [New] for a plan that makes no sense.
var ErrPlan = errors.New("bad plan")

// Machine carries out one plan. The zero Machine is not usable; see [New].
// It is a value without pointers to itself and may be copied: a simulation
// forks it.
type Machine struct {
	plan  Plan
	chunk int // sites per chunk
	base  int // the chunk at hand is [base, end)
	end   int

	effect  Effect
	retries int
	done    bool
	out     Outcome

	// On the way back: how much of the chunk may hold a live new head, a new
	// tail, a trap byte. Each range starts at base.
	trapTo, tailTo, headTo int
}

// New returns a machine that stands before the first effect of the plan.
// A plan without sites is done at once.
func New(p Plan) (Machine, error) {
	m := Machine{plan: p}
	switch p.Strategy {
	case Store:
		m.chunk = p.Sites
	case Int3:
		m.chunk = p.VectorMax
	case OneAtATime:
		m.chunk = min(1, p.VectorMax)
	default:
		return m, fmt.Errorf("%w: unknown strategy %d", ErrPlan, p.Strategy)
	}
	if p.NoSync && p.Strategy != Store {
		return m, fmt.Errorf("%w: %v cannot leave out its syncs", ErrPlan, p.Strategy)
	}
	if p.Sites < 0 || (p.Sites > 0 && m.chunk <= 0) {
		return m, fmt.Errorf("%w: %d sites, a vector of %d", ErrPlan, p.Sites, p.VectorMax)
	}
	m.out.Site = -1
	if p.Sites == 0 {
		m.done = true
		return m, nil
	}
	if p.NoCheck && p.Strategy == Store {
		m.effect.Dir = Forward
		m.startChunk(0)
		return m, nil
	}
	// Step 0 covers the whole plan, not a chunk: a foreign byte in the last
	// chunk must be found before the first chunk is changed.
	m.effect = Effect{Step: StepCheck, Dir: Forward, From: 0, To: p.Sites}
	return m, nil
}

// Effect returns what to do now. It is meaningful until Done.
func (m *Machine) Effect() Effect { return m.effect }

// Done reports whether the plan has ended; [Machine.Outcome] says how.
func (m *Machine) Done() bool { return m.done }

// Outcome returns how the plan ended.
func (m *Machine) Outcome() Outcome { return m.out }

// Resume goes on with a stuck machine: the effect that could not be carried
// out is tried again.
func (m *Machine) Resume() {
	if m.out.Stuck {
		m.done, m.retries = false, 0
		m.out.Stuck, m.out.StuckErr = false, nil
	}
}

// Next takes the result of the current effect and moves to the next one.
func (m *Machine) Next(r Result) {
	switch {
	case m.done:
	case m.effect.Dir == Back:
		m.nextBack(r)
	case r.Err != nil:
		m.turnBack(r)
	default:
		m.nextForward()
	}
}

// nextForward follows the arrows of the package comment.
func (m *Machine) nextForward() {
	switch m.effect.Step {
	case StepCheck:
		m.startChunk(0)
	case StepPublish:
		m.goTo(StepTrap, m.end)
	case StepTrap:
		m.goTo(StepTrapSync, m.end)
	case StepTrapSync:
		if m.plan.HeadsOnly {
			m.goTo(StepHead, m.end)
		} else {
			m.goTo(StepTail, m.end)
		}
	case StepTail:
		m.goTo(StepTailSync, m.end)
	case StepTailSync:
		m.goTo(StepHead, m.end)
	case StepHead:
		m.goTo(StepHeadSync, m.end)
	case StepHeadSync:
		m.goTo(StepRetire, m.end)
	case StepStore:
		if m.plan.NoSync {
			m.finishChunk()
		} else {
			m.goTo(StepStoreSync, m.end)
		}
	case StepRetire, StepStoreSync:
		m.finishChunk()
	}
}

func (m *Machine) finishChunk() {
	if m.end == m.plan.Sites {
		m.done = true
		return
	}
	m.startChunk(m.end)
}

func (m *Machine) startChunk(base int) {
	m.base, m.end = base, min(base+m.chunk, m.plan.Sites)
	if m.plan.Strategy == Store {
		m.goTo(StepStore, m.end)
		return
	}
	m.goTo(StepPublish, m.end)
}

// goTo sets the next effect: step s for the sites [base, to), same direction.
func (m *Machine) goTo(s Step, to int) {
	m.effect = Effect{Step: s, Dir: m.effect.Dir, From: m.base, To: to}
	m.retries = 0
}
