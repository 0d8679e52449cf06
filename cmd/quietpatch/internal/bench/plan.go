package bench

import (
	"fmt"
	"math/rand/v2"
)

// The shape of the program. Beside the rows of one key there is a dense key and a
// batch of keys, each with a tenth of the sites.
const (
	sitesPerKey   = 10 // on average
	sitesPerFunc  = 4
	packageCount  = 32
	densePackages = 2  // of them; they hold the dense key's sites and no others
	valueEvery    = 10 // every tenth site uses the value, not a branch
	busyFuncs     = 256
)

// SiteCounts are the sizes that a program can have.
func SiteCounts() []int { return []int{1000, 10_000, 100_000} }

// Layouts of a row's sites in the text.
const (
	layoutSpread = "spread" // over all of the text, a few functions apart
	layoutDense  = "dense"  // one after the other, with work between
)

// A group is what one row flips: one key, or several in a batch.
type group struct {
	layout   string
	from, to int // keys
	sites    int
	busy     []int // functions that hold some of its sites
}

// A slot is one site of the program.
type slot struct {
	key   int
	value bool // uses the value: MOVZX instead of CMPB
}

// A plan is a program before it is written.
type plan struct {
	sizes  []int    // sites of each key
	funcs  [][]slot // in the order of the text
	inPkg  [][2]int // functions of each package, from and to
	groups []group
}

// newPlan makes the plan of a program with so many sites (of [SiteCounts]), or with
// none. It is the same for each call.
func newPlan(sites int) (*plan, error) {
	p := &plan{}
	if sites == 0 {
		return p, nil
	}
	tenth, keys := sites/10, sites/sitesPerKey
	for n := 1; n <= tenth; n *= 10 {
		p.add(layoutSpread, []int{n})
	}
	p.add(layoutDense, []int{tenth})
	p.add(layoutSpread, spread(tenth/sitesPerKey, tenth))
	used := 0
	for _, n := range p.sizes {
		used += n
	}
	rest := keys - len(p.sizes)
	if rest <= 0 || sites-used < rest {
		return nil, fmt.Errorf("plan of the program: %d sites in %d keys leave %d sites for %d keys", used, len(p.sizes), sites-used, rest)
	}
	p.sizes = append(p.sizes, spread(rest, sites-used)...)
	p.groups = append(p.groups, group{layout: layoutSpread, from: 0, to: keys, sites: sites})
	p.place()
	p.chooseBusy()
	return p, nil
}

func (p *plan) add(layout string, sizes []int) {
	g := group{layout: layout, from: len(p.sizes), to: len(p.sizes) + len(sizes)}
	for _, n := range sizes {
		g.sites += n
	}
	p.sizes = append(p.sizes, sizes...)
	p.groups = append(p.groups, g)
}

// spread shares sites among keys, unevenly but exactly.
func spread(keys, sites int) []int {
	sizes := make([]int, keys)
	for i := range sizes {
		sizes[i] = (i+1)*sites/keys - i*sites/keys
	}
	for i := 0; i+1 < keys; i += 2 {
		d := i / 2 % min(sizes[i], sizes[i+1])
		sizes[i] -= d
		sizes[i+1] += d
	}
	return sizes
}

// place puts the sites into functions: the dense key's one after the other, all
// others shuffled.
func (p *plan) place() {
	rng := rand.New(rand.NewPCG(1, 2))
	var dense, others []slot
	nth := 0
	for key, n := range p.sizes {
		for range n {
			nth++
			s := slot{key: key, value: nth%valueEvery == 0}
			if p.denseKey(key) {
				dense = append(dense, s)
			} else {
				others = append(others, s)
			}
		}
	}
	rng.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	p.pack(dense, densePackages)
	p.pack(others, packageCount-densePackages)
}

func (p *plan) denseKey(key int) bool {
	for _, g := range p.groups {
		if g.layout == layoutDense && g.from <= key && key < g.to {
			return true
		}
	}
	return false
}

// pack cuts slots into functions and the functions into packages.
func (p *plan) pack(slots []slot, packages int) {
	first := len(p.funcs)
	for len(slots) > 0 {
		n := min(sitesPerFunc, len(slots))
		p.funcs = append(p.funcs, slots[:n:n])
		slots = slots[n:]
	}
	n := len(p.funcs) - first
	for i := range packages {
		p.inPkg = append(p.inPkg, [2]int{first + i*n/packages, first + (i+1)*n/packages})
	}
}

// chooseBusy picks functions for the busy thread: evenly among those with sites of
// the group.
func (p *plan) chooseBusy() {
	for i := range p.groups {
		g := &p.groups[i]
		var all []int
		for f, slots := range p.funcs {
			for _, s := range slots {
				if g.from <= s.key && s.key < g.to {
					all = append(all, f)
					break
				}
			}
		}
		n := min(busyFuncs, len(all))
		for j := range n {
			g.busy = append(g.busy, all[j*len(all)/n])
		}
	}
}
