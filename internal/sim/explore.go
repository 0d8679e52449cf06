package sim

import (
	"fmt"
	"hash/maphash"
)

// Result of an exploration.
type Result struct {
	World     string     `json:"name"`
	States    int        `json:"states"`
	Finished  int        `json:"finished"` // states in which everything is done
	Events    []bool     `json:"-"`        // by Event: it happened
	Violation *Violation `json:"violation,omitempty"`
}

// explorer walks all states of a world and stops at the first violation.
type explorer struct {
	model
	seen   map[[2]uint64]struct{}
	hashes [2]maphash.Hash
	other  scratch
	ends   int
	events [eventsMax]bool
}

// node is a state on the way of the explorer, and what is possible in it.
type node struct {
	state state
	atoms []atom
	at    int // next atom to try
}

func newExplorer(w World, m Mutant) (*explorer, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	x := &explorer{model: model{world: w, mutant: m}, seen: map[[2]uint64]struct{}{}}
	for i := range x.hashes {
		x.hashes[i].SetSeed(maphash.MakeSeed())
	}
	return x, nil
}

// Explore visits every state of the world that the mutant, if it is not the
// zero one, can reach, depth first. States are remembered by two 64-bit hashes.
func Explore(w World, m Mutant) (Result, error) {
	x, err := newExplorer(w, m)
	if err != nil {
		return Result{}, err
	}
	if y := small(w, m); y != nil {
		return y.find(w.Name, NoEvent), nil
	}
	var stack []node // kept for its memory; depth says how much of it is in use
	depth := 0
	push := func(s *state) {
		if depth == len(stack) {
			stack = append(stack, node{})
		}
		n := &stack[depth]
		n.state.copyFrom(s)
		n.at = 0
		depth++
	}
	push(w.start())
	x.enter(&stack[0])
	for depth > 0 && x.found == nil {
		n := &stack[depth-1]
		if n.at == len(n.atoms) {
			depth--
			continue
		}
		a := n.atoms[n.at]
		n.at++
		push(&n.state)
		child := &stack[depth-1]
		x.apply(&child.state, a)
		x.events[x.event] = true
		if x.found == nil && !x.enter(child) {
			depth--
		}
	}
	r := Result{World: w.Name, States: len(x.seen), Finished: x.ends, Events: x.events[:], Violation: x.found}
	if x.found != nil {
		for _, n := range stack[:depth] {
			if n.at > 0 {
				x.found.atoms = append(x.found.atoms, n.atoms[n.at-1])
			}
		}
		x.trace()
	}
	return r, nil
}

// trace draws the way to the violation. What the liveness checker did belongs to
// it.
func (x *explorer) trace() {
	if x.other.over {
		x.found.atoms = append(x.found.atoms, x.other.way...)
	}
	x.found.Trace = Replay(x.world, x.mutant, x.found.atoms)
}

// enter reports whether the state is new, checks it, and finds its atoms.
func (x *explorer) enter(n *node) bool {
	key := [2]uint64{n.state.hash(&x.hashes[0]), n.state.hash(&x.hashes[1])}
	if _, ok := x.seen[key]; ok {
		return false
	}
	x.seen[key] = struct{}{}
	n.at, n.atoms = 0, n.atoms[:0]
	for actor := range x.actors() {
		n.atoms = x.atoms(&n.state, actor, n.atoms)
	}
	if (x.done(&n.state) || x.leftStuck(&n.state)) && !x.mutant.SafetyOnly {
		x.alone(&n.state, &x.other)
	}
	if len(n.atoms) == 0 {
		x.ends++
		x.atEnd(&n.state)
	}
	return true
}

// atEnd checks a state in which nobody can take a step: liveness means that all
// are done. A thread that runs in circles is another matter; see alone.
func (m *model) atEnd(s *state) {
	if !m.done(s) && !m.leftStuck(s) {
		m.violate(CheckLiveness, "the patcher can take no step")
	}
	for i := range s.threads {
		if !s.finished(i) {
			m.violate(CheckLiveness, fmt.Sprintf("CPU%d can take no step in %s", s.threads[i].cpu, placeNames[s.threads[i].at]))
		}
	}
}

// leftStuck: the last call returned and could not finish. Trapped sites work on, by
// the vector.
func (m *model) leftStuck(s *state) bool {
	return s.stuck && !s.active && int(s.begun) == m.world.Batches
}

// Find looks for the shortest way to a violation, or, if want is not NoEvent, to
// an atom with that event. It keeps all states: for small worlds.
func Find(w World, m Mutant, want Event) (Result, error) {
	x, err := newExplorer(w, m)
	if err != nil {
		return Result{}, err
	}
	if y := small(w, m); y != nil {
		return y.find(w.Name, want), nil
	}
	type step struct {
		from int
		atom atom
	}
	nodes, steps := make([]node, 1), make([]step, 1)
	nodes[0].state.copyFrom(w.start())
	x.enter(&nodes[0])
	for at := 0; at < len(nodes) && x.found == nil; at++ {
		for i := 0; i < len(nodes[at].atoms) && x.found == nil; i++ {
			var child node
			child.state.copyFrom(&nodes[at].state)
			a := nodes[at].atoms[i]
			x.apply(&child.state, a)
			if want != NoEvent && x.event == want && x.found == nil {
				x.found = &Violation{}
			}
			if x.found != nil || x.enter(&child) {
				nodes, steps = append(nodes, child), append(steps, step{at, a})
			}
		}
	}
	r := Result{World: w.Name, States: len(x.seen), Finished: x.ends, Violation: x.found}
	if x.found != nil {
		for at := len(nodes) - 1; at > 0; at = steps[at].from {
			x.found.atoms = append([]atom{steps[at].atom}, x.found.atoms...)
		}
		x.trace()
	}
	return r, nil
}
