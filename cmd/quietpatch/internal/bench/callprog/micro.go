package callprog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/callprog/report"
	"github.com/quietpatch/quietpatch/staticcall"
)

// A job is something to measure.
type job struct {
	name    string
	run     func() error // once
	ordered bool         // in a random order that is always the same
}

const calls = report.MicroCalls

// lists are the receivers of the loops: all of one type; of two, and of sixteen in
// random order. A list is walked again and again, as programs walk theirs, so a
// branch predictor with a long memory may know it by heart. The case with the new
// order leaves it no chance.
type lists struct {
	one, two, sixteen []adder
	direct            []*t0
	pair              [2]adder
}

func newLists() *lists {
	rng := rand.New(rand.NewPCG(5, 1000))
	l := &lists{pair: [2]adder{adders[0], adders[1]}}
	for range calls {
		l.one = append(l.one, adders[0])
		l.direct = append(l.direct, adders[0].(*t0))
		l.two = append(l.two, adders[rng.IntN(2)])
		l.sixteen = append(l.sixteen, adders[rng.IntN(len(adders))])
	}
	return l
}

// sum is what the loops must come to. Each adder adds one more than its number.
func sum(list []adder) int {
	n := 0
	for _, a := range list {
		for i, b := range adders {
			if a == b {
				n += i + 1
			}
		}
	}
	return n
}

// walk is a job that goes through a list. The loops that are measured are called
// directly: a func value would be one indirect call more.
func walk(name string, list []adder, loop func() int) job {
	want := sum(list)
	mixed := slices.ContainsFunc(list, func(a adder) bool { return a != list[0] })
	return job{name: name, ordered: mixed, run: func() error {
		if got := loop(); got != want {
			return fmt.Errorf("the sum is %d, expected %d", got, want)
		}
		return nil
	}}
}

// draw is a job with a new order in each run.
func draw(name string, loop func(r uint64) (int, uint64)) job {
	r := uint64(88172645463325252)
	return job{name: name, run: func() error {
		x, next := loop(r)
		if x < calls || x > 2*calls {
			return fmt.Errorf("the sum is %d, expected %d to %d", x, calls, 2*calls)
		}
		r = next
		return nil
	}}
}

func microJobs(l *lists) []job {
	return []job{
		walk("one-target", l.one, func() int { return oneTarget(l.one, 0) }),
		walk("two-random", l.two, func() int { return twoTargets(l.two, 0) }),
		draw("two-random-new-order", func(r uint64) (int, uint64) { return newOrder(&l.pair, calls, r) }),
		walk("megamorphic", l.sixteen, func() int { return sixteenTargets(l.sixteen, 0) }),
	}
}

func directJobs(l *lists) []job {
	return []job{
		walk("one-target", l.one, func() int { return oneDirect(l.direct, 0) }),
		walk("two-random", l.two, func() int { return twoDirect(l.two, 0) }),
		draw("two-random-new-order", func(r uint64) (int, uint64) { return newOrderDirect(&l.pair, calls, r) }),
		walk("megamorphic", l.sixteen, func() int { return sixteenDirect(l.sixteen, 0) }),
	}
}

// What is compared with a static call: ways to call an implementation that was
// chosen when the program began.

//go:noinline
func addOne(x int) int { return x + 1 }

//go:noinline
func addTwo(x int) int { return x + 2 }

type twoAdder struct{}

//go:noinline
func (twoAdder) add(x int) int { return x + 2 }

var (
	addVariable        = addOne
	addInterface adder = adders[0]
	addCall            = staticcall.New(addOne)
)

//go:noinline
func add(x int) int { return addCall.Func()(x) }

// choose is what an init function does after it has looked at the CPU.
func choose() error {
	addVariable, addInterface = addTwo, twoAdder{}
	if err := addCall.Update(addTwo); err != nil {
		return err
	}
	sites, err := addCall.Sites()
	for _, s := range sites {
		if s.State != "armed" {
			err = errors.Join(err, fmt.Errorf("%s: expected a patched call, found one that is %s: %s", s.Func, s.State, s.Why))
		}
	}
	if err == nil && len(sites) != 1 {
		err = fmt.Errorf("expected 1 call of the forwarder, found %d", len(sites))
	}
	return err
}

//go:noinline
func throughDirect(x int) int {
	for range calls {
		x = addTwo(x)
	}
	return x
}

//go:noinline
func throughVariable(x int) int {
	for range calls {
		x = addVariable(x)
	}
	return x
}

//go:noinline
func throughInterface(x int) int {
	for range calls {
		x = addInterface.add(x)
	}
	return x
}

//go:noinline
func throughCall(x int) int {
	for range calls {
		x = add(x)
	}
	return x
}

func staticJobs() []job {
	check := func(name string, loop func() int) job {
		return job{name: name, run: func() error {
			if got := loop(); got != 2*calls {
				return fmt.Errorf("the sum is %d, expected %d", got, 2*calls)
			}
			return nil
		}}
	}
	return []job{
		check("direct", func() int { return throughDirect(0) }),
		check("func-variable", func() int { return throughVariable(0) }),
		check("interface", func() int { return throughInterface(0) }),
		check("static-call", func() int { return throughCall(0) }),
	}
}
