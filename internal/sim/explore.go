package sim

import (
	"fmt"
	"hash/maphash"
	"strings"
)

// The checkers, one invariant each.
const (
	CheckTorn        = "torn"         // no CPU executes bytes of two instructions
	CheckLost        = "lost-trap"    // no trap is lost, handed to the wrong owner, or answered with half an entry
	CheckStale       = "stale"        // after a call returned no check sees the old value
	CheckNothingLeft = "nothing-left" // after a call returned nothing is trapped or half done
	CheckBudget      = "budget"       // no more and no fewer syncs than promised
	CheckLiveness    = "liveness"     // once the patcher is done, every thread finishes alone
)

// Violation is a broken invariant and the way there.
type Violation struct {
	By    string   `json:"by"` // which checker
	What  string   `json:"what"`
	Trace []string `json:"trace"` // one atom per line
}

// Result of an exploration.
type Result struct {
	World     string     `json:"name"`
	States    int        `json:"states"`
	Finished  int        `json:"finished"` // states in which everything is done
	Violation *Violation `json:"violation,omitempty"`
}

// explorer walks the states of a world, depth first, and stops at the first
// violation.
type explorer struct {
	world  World
	mutant Mutant

	seen  map[[2]uint64]struct{}
	seeds [2]maphash.Seed
	stack []frame
	out   *[]edge // successors of the state at hand
	found *Violation
}

type edge struct {
	to        state
	who, what string
}

type frame struct {
	who, what string // the atom that led here
	edges     []edge
	at        int
}

// Explore visits every state of the world that the mutant, if it is not the
// zero one, can reach. States are remembered by two 64-bit hashes.
func Explore(w World, m Mutant) Result {
	x := &explorer{world: w, mutant: m, seen: map[[2]uint64]struct{}{}}
	x.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	r := Result{World: w.Name}
	x.visit(edge{w.start(), "patcher", "start"})
	for len(x.stack) > 0 && x.found == nil {
		f := &x.stack[len(x.stack)-1]
		if f.at == len(f.edges) {
			if len(f.edges) == 0 {
				r.Finished++
			}
			x.stack = x.stack[:len(x.stack)-1]
			continue
		}
		e := f.edges[f.at]
		f.at++
		x.visit(e)
	}
	r.States, r.Violation = len(x.seen), x.found
	return r
}

// visit puts the state behind an edge on the stack, unless it was there before.
func (x *explorer) visit(e edge) {
	s := e.to
	key := [2]uint64{maphash.Comparable(x.seeds[0], s), maphash.Comparable(x.seeds[1], s)}
	if _, ok := x.seen[key]; ok {
		return
	}
	x.seen[key] = struct{}{}
	var edges []edge
	x.out = &edges
	x.stack = append(x.stack, frame{who: e.who, what: e.what})
	x.patch(s)
	for i := range x.world.Threads {
		x.run(s, i)
	}
	x.stack[len(x.stack)-1].edges = edges
	if len(edges) == 0 {
		x.atEnd(s)
	}
}

// atEnd checks a state in which nobody can take a step: liveness means that all
// are done. A thread that runs in circles is another matter; see circles.
func (x *explorer) atEnd(s state) {
	for i := range x.world.Threads {
		if s.threads[i].left > 0 || s.threads[i].at != idle {
			x.violate(CheckLiveness, fmt.Sprintf("CPU%d can take no step in %s", i+1, placeNames[s.threads[i].at]))
		}
	}
}

func (x *explorer) next(s state, who, what string) {
	if !s.active && int(s.begun) == x.world.Batches && !x.mutant.SafetyOnly && x.circles(s) {
		return
	}
	*x.out = append(*x.out, edge{s, who, what})
}

// aloneStepsMax is more than a thread needs for one check and its trap.
const aloneStepsMax = 16

// circles checks liveness once the patcher is done: every thread, run alone,
// must finish the check that it is in. Of its choices it takes the last, which
// is the trap byte if the CPU may still see one: a CPU need not ever refill.
func (x *explorer) circles(s state) bool {
	saved := x.out
	defer func() { x.out = saved }()
	for i := range x.world.Threads {
		u := s
		u.threads[i].away = 0
		for range aloneStepsMax {
			if u.threads[i].at == idle && !u.threads[i].off {
				break
			}
			var edges []edge
			x.out = &edges
			x.raw(u, i)
			if len(edges) == 0 {
				break
			}
			u = edges[len(edges)-1].to
		}
		if x.found == nil && u.threads[i].at != idle {
			x.violate(CheckLiveness, fmt.Sprintf("CPU%d alone does not get out of %s", i+1, placeNames[u.threads[i].at]))
			return true
		}
	}
	return false
}

// raw is run without the liveness check of next.
func (x *explorer) raw(s state, i int) {
	w := x.world
	x.world.Batches = -1 // no state counts as "patcher done"
	x.run(s, i)
	x.world = w
}

func (x *explorer) violate(by, what string) {
	if x.found != nil {
		return
	}
	v := &Violation{By: by, What: what}
	for _, f := range x.stack {
		v.Trace = append(v.Trace, line(f.who, f.what))
	}
	v.Trace = append(v.Trace, "=> "+what)
	x.found = v
}

// line puts what a CPU does into its own column.
func line(who, what string) string {
	column := 0
	_, _ = fmt.Sscanf(who, "CPU%d", &column)
	return strings.Repeat(" ", 34*column) + what
}

func siteString(b [2]uint8) string {
	names := [...]string{"0", "1", "CC", "="}
	return "head " + names[b[head]] + " tail " + names[b[tail]]
}
