package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// rules of a small model: one whose state is a plain value. S is the state.
type rules[S comparable] interface {
	start() S
	actors() int
	// atoms appends what an actor can do next. Actor n is drawn in the column of CPU n.
	atoms(s *S, actor int, out []atom) []atom
	apply(s *S, a atom)
	// inspect checks a state; stuck says that nobody can do anything in it.
	inspect(s *S, stuck bool)
	watched() *watch
}

// smallModel is what can be done with one, whatever its state is.
type smallModel interface {
	find(name string, want Event) Result
	replay(atoms []atom) Trace
	walk(rng *rand.Rand, atoms int) (way []atom)
	// repeat goes a way again, as far as that is possible, and returns what of it was
	// gone, and what was found.
	repeat(way []atom) ([]atom, *Violation)
}

// small returns the small model of a world, or nil if it is one of the patcher and
// its sites.
func small(w World, m Mutant) smallModel {
	switch {
	case w.Unmap.Threads > 0:
		return puzzle[unmapState]{&unmaps{world: w.Unmap, layout: w.layout(), flaw: m.flaw}}
	case w.Quiesce.Threads > 0:
		return puzzle[quiesceState]{newQuiesce(w, m)}
	}
	return nil
}

type puzzle[S comparable] struct{ rules[S] }

// smallStatesMax is more than any small model has: one that reaches it does not end.
const smallStatesMax = 1_000_000

// find visits all states, nearest first, up to the first violation or, if want is not
// NoEvent, to the first atom with that event. States are compared whole.
func (p puzzle[S]) find(name string, want Event) Result {
	type step struct {
		from int
		atom atom
	}
	x := p.watched()
	// Of states that have been expanded the step is kept and no more: level are the others.
	level, steps, seen := []S{p.start()}, make([]step, 1), map[S]struct{}{}
	seen[level[0]] = struct{}{}
	r := Result{World: name, Events: make([]bool, eventsMax)}
	var buf []atom
	var next []S
	at, last := 0, 0 // the state at hand, and where the violation is
	for ; len(level) > 0 && x.found == nil; level, next = next, level[:0] {
		for i := 0; i < len(level) && x.found == nil; i++ {
			buf = p.all(&level[i], buf[:0])
			last = at
			if p.inspect(&level[i], len(buf) == 0); len(buf) == 0 {
				r.Finished++
			}
			for _, a := range buf {
				if x.found != nil {
					break
				}
				s := level[i]
				p.apply(&s, a)
				r.Events[x.event] = true
				if want != NoEvent && x.event == want && x.found == nil {
					x.found = &Violation{}
				}
				if _, ok := seen[s]; ok && x.found == nil {
					continue
				}
				if seen[s] = struct{}{}; len(seen) == smallStatesMax {
					x.violate(CheckLiveness, "something goes on for ever: more states than the world can have")
				}
				next, steps = append(next, s), append(steps, step{at, a})
				last = len(steps) - 1
			}
			at++
		}
	}
	r.States = len(seen)
	if v := x.found; v != nil {
		for at := last; at > 0; at = steps[at].from {
			v.atoms = append(v.atoms, steps[at].atom)
		}
		slices.Reverse(v.atoms)
		r.Violation, v.Trace = v, p.replay(v.atoms)
	}
	return r
}

func (p puzzle[S]) all(s *S, out []atom) []atom {
	for actor := range p.actors() {
		out = p.atoms(s, actor, out)
	}
	return out
}

// replay tells what the atoms do, from the start.
func (p puzzle[S]) replay(atoms []atom) Trace {
	x := p.watched()
	*x = watch{listen: true}
	s := p.start()
	var t Trace
	say := func(cpu int, what string) { t = append(t, Line{cpu, what}) }
	for i, a := range atoms {
		p.apply(&s, a)
		if x.said != "" {
			say(int(a.actor), x.said)
		}
		if i == len(atoms)-1 && x.found == nil {
			p.inspect(&s, len(p.all(&s, nil)) == 0)
		}
		if x.found != nil {
			say(int(a.actor), "=> "+x.found.What)
		}
	}
	return t
}

// walk goes one way at random until nobody can go on, or something is found. Who is
// fast and who is slow is drawn anew now and then.
func (p puzzle[S]) walk(rng *rand.Rand, atoms int) (way []atom) {
	x := p.watched()
	s := p.start()
	var buf []atom
	weight := make([]int, p.actors())
	for n := 0; n < atoms && x.found == nil; n++ {
		if n%64 == 0 {
			for i := range weight {
				weight[i] = []int{1, 4, 32, 256}[rng.IntN(4)]
			}
		}
		buf = p.all(&s, buf[:0])
		if p.inspect(&s, len(buf) == 0); len(buf) == 0 || x.found != nil {
			return way
		}
		a := pickWeighted(rng, buf, weight)
		way = append(way, a)
		p.apply(&s, a)
	}
	return way
}

// pickWeighted picks an atom: first an actor by its weight, then one of its atoms.
func pickWeighted(rng *rand.Rand, atoms []atom, weight []int) atom {
	sum, last := 0, -1
	for _, a := range atoms {
		if int(a.actor) != last {
			last = int(a.actor)
			sum += weight[last]
		}
	}
	n := rng.IntN(sum)
	last = -1
	for i, a := range atoms {
		if int(a.actor) == last {
			continue
		}
		last = int(a.actor)
		if n -= weight[last]; n < 0 {
			of := 1
			for i+of < len(atoms) && atoms[i+of].actor == a.actor {
				of++
			}
			return atoms[i+rng.IntN(of)]
		}
	}
	return atoms[0]
}

func (p puzzle[S]) repeat(way []atom) ([]atom, *Violation) {
	x := p.watched()
	*x = watch{}
	s := p.start()
	var gone, buf []atom
	for _, a := range way {
		if buf = p.atoms(&s, int(a.actor), buf[:0]); !slices.Contains(buf, a) {
			continue
		}
		gone = append(gone, a)
		if p.apply(&s, a); x.found == nil {
			p.inspect(&s, len(p.all(&s, nil)) == 0)
		}
		if x.found != nil {
			break
		}
	}
	return gone, x.found
}

// watch is what is seen of the atom at hand, and the first violation.
type watch struct {
	found *Violation
	event Event

	listen bool
	said   string
}

func (x *watch) watched() *watch { return x }

func (x *watch) violate(by, what string) {
	if x.found == nil {
		x.found = &Violation{By: by, What: what}
	}
}

// say notes what the atom at hand does.
func (x *watch) say(what string, n ...int) {
	if !x.listen {
		return
	}
	args := make([]any, len(n))
	for i := range n {
		args[i] = n[i]
	}
	x.said = fmt.Sprintf(what, args...)
}
