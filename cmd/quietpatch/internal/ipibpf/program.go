package ipibpf

import (
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
)

// program is a filter as the kernel's side runs it: comparisons one after the other, each of
// which can jump forward. Behind the last one it is true, and one further it is false
// (kernel/trace/trace_events_filter.c, predicate_parse).
type program struct {
	steps []rawStep
	sets  []ipi.CPUs
	mask  bool // looks at all victims of an IPI
}

// compile makes a program of a tree.
func (c compiler) compile(t *tree) (program, error) {
	g := generator{}
	if len(t.kids) > 0 {
		yes, no := g.label(), g.label()
		if !g.put(t, yes, no, yes) {
			return program{}, errSize
		}
		g.at[yes], g.at[no] = len(g.steps), len(g.steps)+1
	}
	for i := range g.steps {
		g.steps[i].Target = uint8(g.at[g.targets[i]])
	}
	return g.program, nil
}

// generator writes a program. Where a jump goes to is a label until its place is known.
type generator struct {
	program
	targets []int // label, by step
	at      []int // place, by label
}

func (g *generator) label() int {
	g.at = append(g.at, 0)
	return len(g.at) - 1
}

// put writes a node that goes on at yes or at no, of which next comes right behind it. It returns
// false if the program is full.
func (g *generator) put(t *tree, yes, no, next int) bool {
	switch t.kind {
	case ipifilter.Leaf:
		return g.leaf(t, yes, no, next)
	case ipifilter.NoneOf:
		return g.put(t.kids[0], no, yes, next)
	}
	for i, k := range t.kids {
		if i == len(t.kids)-1 {
			return g.put(k, yes, no, next)
		}
		more := g.label()
		y, n := more, no
		if t.kind == ipifilter.AnyOf {
			y, n = yes, more
		}
		if !g.put(k, y, n, more) {
			return false
		}
		g.at[more] = len(g.steps)
	}
	return true
}

func (g *generator) leaf(t *tree, yes, no, next int) bool {
	s, target := t.step, yes
	if s.When = 1; next == yes {
		s.When, target = 0, no
	}
	if t.set != nil {
		at := g.set(t.set)
		if at == setsMax {
			return false
		}
		s.Set = uint32(at)
	}
	g.mask = g.mask || s.Field == fieldMask
	if len(g.steps) == stepsMax {
		return false
	}
	g.steps, g.targets = append(g.steps, s), append(g.targets, target)
	return true
}

// set returns the place of a set.
func (g *generator) set(set ipi.CPUs) int {
	for i, s := range g.sets {
		if s.Equal(set) {
			return i
		}
	}
	if len(g.sets) < setsMax {
		g.sets = append(g.sets, set)
		return len(g.sets) - 1
	}
	return setsMax
}
