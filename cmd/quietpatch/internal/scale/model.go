package scale

import (
	"math"

	"github.com/quietpatch/quietpatch/internal/protocol"
)

// Bounds are three answers to a question that two CPUs cannot settle: what a
// sync costs that has to reach n CPUs.
//
//	Min   one send reaches all, and all answer at once: base + send + latency
//	Mid   one send after the other, the answers overlap: base + n*send + latency
//	Max   nothing overlaps:                             base + n*(send + latency)
//
// Mid is how the kernel goes about it: it sends to one CPU after the other and
// then waits for all (kernel/smp.c, smp_call_function_many_cond; physical
// x2APIC mode writes one register per CPU, arch/x86/kernel/apic/x2apic_phys.c).
// Clusters of the x2APIC and the hypercall of KVM guests send to many at once
// and pull towards Min; CPUs that keep interrupts off pull towards Max.
//
// A deferred sync must leave CPUs out, and membarrier knows no set of CPUs,
// only all or one (MEMBARRIER_CMD_FLAG_CPU). So Mid and Max make one call per
// CPU, and Min stands for a kernel that had such a set.
type Bounds struct {
	Min, Mid, Max float64 // ns
}

func (b Bounds) plus(c Bounds) Bounds {
	return Bounds{b.Min + c.Min, b.Mid + c.Mid, b.Max + c.Max}
}

func (b Bounds) times(n int) Bounds {
	f := float64(n)
	return Bounds{b.Min * f, b.Mid * f, b.Max * f}
}

func same(ns float64) Bounds { return Bounds{ns, ns, ns} }

// A variant is a strategy, with or without deferral.
type variant struct {
	name     string
	strategy protocol.Strategy
	deferred bool
}

var storeName = protocol.Store.String()

var variants = []variant{
	{storeName, protocol.Store, false},
	{protocol.Int3.String(), protocol.Int3, false},
	{protocol.OneAtATime.String(), protocol.OneAtATime, false},
	{storeName + "-deferred", protocol.Store, true},
	{protocol.Int3.String() + "-deferred", protocol.Int3, true},
}

// A machine is how many CPUs a sync must reach, and how many it spares.
type machine struct {
	targets, isolated int
	deferred          bool
}

// machineFor: one CPU flips, all others run threads of the program.
func machineFor(cpus, isolated int, v variant) machine {
	if !v.deferred {
		return machine{targets: cpus - 1}
	}
	isolated = min(isolated, cpus-1)
	return machine{targets: cpus - 1 - isolated, isolated: isolated, deferred: true}
}

// sync returns what one sync costs the CPU that flips.
func (m machine) sync(c costs) Bounds {
	n := float64(m.targets)
	spared := same(float64(m.isolated) * c.deferral)
	switch one := c.send + c.latency; {
	case m.targets == 0 && m.deferred:
		return same(c.serialize).plus(spared) // nobody to call
	case m.targets == 0:
		return same(c.syncBase)
	case m.deferred:
		each := n * (c.syncBase + one)
		return Bounds{c.syncBase + one, each, each}.plus(spared)
	default:
		return Bounds{c.syncBase + one, c.syncBase + n*c.send + c.latency, c.syncBase + n*one}
	}
}

// flip returns the time of one flip.
func flip(n Counts, c costs, m machine) Bounds {
	ns := float64(n.Compared)*c.compare + float64(n.Published)*c.publish +
		float64(n.Traps+n.Heads+n.Stores)*c.poke + float64(n.Tails)*c.tail + float64(sitePasses(n))*c.engine
	if len(n.Chunks) > 0 {
		ns += c.ready // only strategies that trap look for a tracer
	}
	return m.sync(c).times(n.Syncs).plus(same(ns))
}

// window returns how long a site is trapped in a chunk of n sites: from the
// trap byte to the new first byte. All sites of a chunk get both in the same
// order, so it is the same for each.
func window(n int, c costs, m machine) Bounds {
	return m.sync(c).times(2).plus(same(float64(n) * (c.poke + c.tail + 2*c.engine)))
}

// longest returns the longest window of all chunks.
func longest(n Counts, c costs, m machine) float64 {
	var w float64
	for _, chunk := range n.Chunks {
		w = max(w, window(chunk.Sites, c, m).Mid)
	}
	return w
}

// traps returns how many traps one busy CPU is expected to take in a flip. Its
// checks are spread evenly over all sites, so a chunk gets its share of them.
// While it is in a trap or in an IPI it makes no checks.
//
// The sites of a chunk get their trap bytes one after the other (step 2), are
// all trapped for two syncs and the tails, and lose them one after the other
// (step 4).
func traps(n Counts, c costs, m machine) float64 {
	if c.checkRate <= 0 || c.trap <= 0 {
		return 0
	}
	running := 2 * max(m.sync(c).Mid-c.pause, 0)
	var sum float64
	for _, chunk := range n.Chunks {
		sites := float64(chunk.Sites)
		share := sites / float64(n.Compared)
		between := 1 / (c.checkRate * share) // ns from one check of the chunk to the next
		all := (running + sites*(c.tail+c.engine)) / (between + c.trap)
		some := 2 * sites * (c.poke + c.engine) * ramp(between, c.trap)
		sum += float64(chunk.Times) * (all + some)
	}
	return sum
}

// ramp returns the traps per ns, on average, while the share x of a chunk that
// is trapped goes from 0 to 1 or back: the integral of 1 / (between/x + trap).
func ramp(between, trap float64) float64 {
	q := trap / between
	if q < 1e-6 {
		return 1 / (2 * between) // the limit; the difference below would lose all digits
	}
	return (1 - math.Log1p(q)/q) / trap
}
