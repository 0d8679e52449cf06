package scale

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits of the study.
const (
	MaxCPUs  = 4096
	MaxSites = 1_000_000
)

// MostIsolated as Options.Isolated leaves one CPU in four to ordinary work.
const MostIsolated = -1

// Options say what Run models.
type Options struct {
	CPUs     []int
	Sites    []int
	Isolated int // CPUs that are deferred; MostIsolated; 0 for no such rows
}

// ParseList reads numbers with commas between them. The name is that of the
// option, for the error.
func ParseList(name, text string, most int) ([]int, error) {
	var list []int
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 || n > most {
			return nil, fmt.Errorf("%s %q: expected numbers from 1 to %d with commas between them, found %q", name, text, most, field)
		}
		if !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, nil
}

// Validate finds what is wrong with the options.
func (o Options) Validate() error {
	for _, l := range []struct {
		name string
		list []int
		most int
	}{{"cpus", o.CPUs, MaxCPUs}, {"sites", o.Sites, MaxSites}} {
		if len(l.list) == 0 {
			return fmt.Errorf("%s: expected at least one number", l.name)
		}
		for _, n := range l.list {
			if n < 1 || n > l.most {
				return fmt.Errorf("%s %d: expected 1 to %d", l.name, n, l.most)
			}
		}
	}
	if o.Isolated < MostIsolated || o.Isolated > MaxCPUs {
		return fmt.Errorf("isolated %d: expected 0 to %d, or %d for three CPUs in four", o.Isolated, MaxCPUs, MostIsolated)
	}
	return nil
}

// isolatedOf returns how many of so many CPUs are deferred: never the one that
// flips.
func (o Options) isolatedOf(cpus int) int {
	if o.Isolated == MostIsolated {
		return min(cpus*3/4, cpus-1)
	}
	return min(o.Isolated, cpus-1)
}

// Row is what one flip costs.
type Row struct {
	CPUs     int    `json:"cpus"`
	Isolated int    `json:"isolated_cpus"` // deferred: they get no IPI
	Sites    int    `json:"sites"`
	Strategy string `json:"strategy"`
	Backend  string `json:"backend"`
	Syncs    int    `json:"syncs"`
	Pokes    int    `json:"pokes"`
	IPIs     int    `json:"ipis"` // to all CPUs together
	// Of one CPU that runs the program and is not isolated.
	IPIsPerCPU int `json:"ipis_per_busy_cpu"`
	// The time of the flip, and its bounds; see [Bounds].
	FlipNs    float64 `json:"flip_ns"`
	FlipMinNs float64 `json:"flip_min_ns"`
	FlipMaxNs float64 `json:"flip_max_ns"`
	// How long a busy CPU does not run its program: in IPIs, and in traps.
	IPIPauseNs  float64 `json:"ipi_pause_ns"`
	TrapsPerCPU float64 `json:"traps_per_busy_cpu"`
	TrapPauseNs float64 `json:"trap_pause_ns"`
	// What an isolated CPU makes up for when it comes back: one serializing
	// instruction, however many syncs it owes.
	IsolatedPauseNs float64 `json:"isolated_pause_ns"`
	// How long a site is trapped at most.
	TrappedNs float64 `json:"trapped_ns"`
}

// A model is a set of parameters with the counts of flips seen so far.
type model struct {
	params Params
	counts map[countKey]Counts
}

type countKey struct {
	strategy string
	sites    int
}

func newModel(p Params) *model { return &model{params: p, counts: make(map[countKey]Counts)} }

func (m *model) count(v variant, sites int) (Counts, error) {
	key := countKey{v.strategy.String(), sites}
	if n, ok := m.counts[key]; ok {
		return n, nil
	}
	n, err := Count(v.strategy, sites)
	if err == nil {
		m.counts[key] = n
	}
	return n, err
}

func (m *model) row(cpus, isolated, sites int, v variant, backend string) (Row, error) {
	n, err := m.count(v, sites)
	if err != nil {
		return Row{}, err
	}
	c, to := m.params.costs(backend), machineFor(cpus, isolated, v)
	time := flip(n, c, to)
	r := Row{
		CPUs: cpus, Isolated: to.isolated, Sites: sites, Strategy: v.name, Backend: backend,
		Syncs: n.Syncs, Pokes: n.Pokes(), IPIs: n.Syncs * to.targets,
		FlipNs: time.Mid, FlipMinNs: time.Min, FlipMaxNs: time.Max, TrappedNs: longest(n, c, to),
	}
	if to.targets > 0 {
		r.IPIsPerCPU = n.Syncs
		r.IPIPauseNs = float64(n.Syncs) * c.pause
		r.TrapsPerCPU = traps(n, c, to)
		r.TrapPauseNs = r.TrapsPerCPU * c.trap
	}
	if to.isolated > 0 {
		r.IsolatedPauseNs = c.serialize
	}
	return r, nil
}

// rows lists all combinations: by CPUs, sites, backend, strategy.
func (m *model) rows(o Options) ([]Row, error) {
	var rows []Row
	for _, cpus := range o.CPUs {
		for _, sites := range o.Sites {
			for _, backend := range Backends() {
				for _, v := range variants {
					isolated := o.isolatedOf(cpus)
					if v.deferred && isolated == 0 {
						continue
					}
					r, err := m.row(cpus, isolated, sites, v, backend)
					if err != nil {
						return nil, err
					}
					rows = append(rows, r)
				}
			}
		}
	}
	return rows, nil
}
