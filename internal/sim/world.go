package sim

import (
	"fmt"
	"strings"

	"github.com/quietpatch/quietpatch/internal/protocol"
	"github.com/quietpatch/quietpatch/internal/tracking"
)

// World says who is there and what may happen, each so and so often.
type World struct {
	Name     string
	Strategy protocol.Strategy
	// HeadsOnly: a flip changes the first byte of a site and no other.
	HeadsOnly bool
	// VectorMax is the size of the vector: less than Sites means several chunks.
	VectorMax int

	Threads int // besides the patcher; each has a CPU of its own at first
	Sites   int
	Batches int
	Checks  int // per thread
	Faults  int // writes or syncs that fail
	// BackFaults: effects of the way back, step 0 and publishing may fail, too.
	BackFaults bool
	// Retry: a batch that fails is tried once more, one site at a time.
	Retry bool
	// Second is the strategy of every second batch, if not zero.
	Second protocol.Strategy

	Away       int // how often each thread is taken off its CPU
	Interrupts int // how often each CPU is interrupted
	Signals    int // signals whose handler makes a check, per thread
	Kills      int // SIGTRAPs that no int3 raised, per thread

	Move bool // threads and the patcher come back on any CPU that is free
	// Strict: no CPU may execute a site while it may still see two values of it,
	// whole or not; only a trap byte may stand between them. That is how far
	// Intel's manual goes with cross-modifying code (docs/PROTOCOL.md).
	Strict bool

	Foreign bool // threads also run into somebody else's int3
	Calls   bool // a site is a call of a stub; the stub left behind is freed

	// NoWait: batches end without a sync (protocol.Plan.NoSync); a sync of its own
	// comes later.
	NoWait bool
	// NoCheck: the store protocol begins with its stores (protocol.Plan.NoCheck).
	NoCheck bool

	PerCPU   bool // syncs interrupt one CPU after the other (membarrier RSEQ)
	Isolated int  // so many threads go into isolation, each on its own CPU
	Visits   int  // how often
	Guest    bool // they go from User to Guest and back, too
	Idle     bool // by way of Idle, in which they are not spared
	// Always: a thread that comes back serializes, whether it owes that or not, and the
	// patcher reads words and leaves no work in them.
	Always bool
	// Sealed: isolated threads run sites as well (of keys that are sealed), and batches spare
	// nobody.
	Sealed bool
	// Breaks: isolated threads run sites against their promise, and are spared all the same.
	// What they see of a site is nobody's promise.
	Breaks bool
	// Wide: the counter of the context words is as wide as in production.
	Wide bool

	// Unmap and Quiesce, if they have threads, are all there is: worlds without sites.
	Unmap   UnmapWorld
	Quiesce QuiesceWorld
}

// layout of the context words: as narrow as it may be, so that counters wrap.
func (w World) layout() tracking.Layout {
	if w.Wide {
		return tracking.Layout{}
	}
	return tracking.Layout{CounterBits: tracking.CounterBitsMin}
}

func (m *model) layout() tracking.Layout { return m.world.layout() }

func (w World) plan(batch uint8, retry bool) protocol.Plan {
	s := w.Strategy
	switch {
	case retry:
		s = protocol.OneAtATime
	case w.Second != 0 && batch%2 == 0:
		s = w.Second
	}
	return protocol.Plan{Strategy: s, Sites: w.Sites, VectorMax: w.VectorMax, HeadsOnly: w.HeadsOnly, NoSync: w.NoWait, NoCheck: w.NoCheck}
}

// start is the first moment: every site shows 0, every CPU has fetched it.
func (w World) start() *state {
	s := &state{
		mem:     make([]cell, w.Sites, w.Sites+1),
		cpus:    make([]cpu, w.Threads+1),
		threads: make([]thread, w.Threads),
	}
	for i := range s.mem {
		if w.tailsOnly() {
			s.mem[i][head] = same
		}
		if w.HeadsOnly {
			s.mem[i][tail] = same
		}
	}
	if w.Foreign {
		s.mem = append(s.mem, cell{trapped, same})
	}
	s.maySee = make([]cell, len(s.cpus)*len(s.mem))
	s.cpus[0].on = thePatcher
	for c := range s.cpus {
		s.serialize(uint8(c))
	}
	for i := range s.threads {
		t := thread{
			cpu: uint8(i + 1), left: uint8(w.Checks), away: uint8(w.Away), signals: uint8(w.Signals),
			kills: uint8(w.Kills), interrupts: uint8(w.Interrupts),
		}
		if i < w.Isolated {
			t.visits = uint8(w.Visits)
		}
		s.threads[i] = t
		s.cpus[i+1].on = uint8(i + threadBase)
	}
	s.faults = uint8(w.Faults)
	if w.Move {
		s.p.away = uint8(w.Away)
	}
	s.freed[1] = w.Calls // nothing leads there yet
	return s
}

// tailsOnly: batches change the second byte of a site only, as toggles of a key do.
func (w World) tailsOnly() bool { return w.Strategy == protocol.Store || w.Second == protocol.Store }

// firstCPU is the first CPU on which threads may run.
func (w World) firstCPU() int {
	if w.Move {
		return 0
	}
	return 1
}

// check returns what is wrong with the numbers of a world.
func (w World) check() error {
	switch {
	case w.Unmap.Threads > 0:
		return w.Unmap.check(w.Name)
	case w.Quiesce.Threads > 0:
		return w.Quiesce.check(w)
	case w.Threads < 1 || w.Threads > 30:
		return fmt.Errorf("world %q: %d threads, 1 to 30 are possible", w.Name, w.Threads)
	case w.Sites < 1 || w.Sites > 200:
		return fmt.Errorf("world %q: %d sites, 1 to 200 are possible", w.Name, w.Sites)
	case w.Batches < 1 || w.Batches > 100 || w.Faults > 100 || w.Checks > 250 || w.Away > 250 || w.Signals > 250 || w.Kills > 250 || w.Visits > 250:
		return fmt.Errorf("world %q: more may happen than the model counts: %+v", w.Name, w)
	case w.HeadsOnly && w.tailsOnly():
		return fmt.Errorf("world %q: nothing changes", w.Name)
	case w.Isolated > w.Threads || w.Isolated > 0 && !w.PerCPU:
		return fmt.Errorf("world %q: %d isolated threads of %d, per-CPU syncs %v", w.Name, w.Isolated, w.Threads, w.PerCPU)
	case w.Isolated == 0 && (w.Guest || w.Idle || w.Always || w.Sealed || w.Breaks):
		return fmt.Errorf("world %q: nobody is isolated: %+v", w.Name, w)
	case w.Breaks && !w.mayBreak():
		return fmt.Errorf("world %q: who breaks the promise is there for stubs, by store: %+v", w.Name, w)
	}
	return nil
}

// mayBreak: where int3 is written nothing is promised to who breaks the promise.
func (w World) mayBreak() bool {
	return w.Isolated > 0 && w.Calls && !w.Sealed && w.Strategy == protocol.Store && w.Second == 0 && !w.Retry
}

// String describes the world in one line.
func (w World) String() string {
	switch {
	case w.Unmap.Threads > 0:
		return w.Unmap.String()
	case w.Quiesce.Threads > 0:
		return w.Quiesce.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v, %s, %s, %s, vector of %d", w.Strategy, many(w.Threads+1, "CPU"), many(w.Sites, "site"), many(w.Batches, "batch"), w.VectorMax)
	for _, f := range []struct {
		on   bool
		what string
	}{
		{w.HeadsOnly, "only first bytes change"},
		{w.Calls, "calls of stubs"},
		{w.Move, "threads move"},
		{w.Foreign, "foreign int3"},
		{w.BackFaults, "the way back fails, too"},
		{w.Retry, "second tries"},
		{w.Second != 0, fmt.Sprintf("and %v by turns", w.Second)},
		{w.NoWait, "flips without waiting"},
		{w.PerCPU, "syncs by CPU"},
		{w.Isolated > 0, fmt.Sprintf("%d isolated", w.Isolated)},
		{w.Guest, "in User and Guest"},
		{w.Idle, "and Idle"},
		{w.Always, "catching up always"},
		{w.Sealed, "isolated threads run sites"},
		{w.Breaks, "isolated threads run sites that they should not"},
		{w.Wide, "a counter of full width"},
		{w.Faults > 0, many(w.Faults, "fault")},
	} {
		if f.on {
			b.WriteString(", " + f.what)
		}
	}
	return b.String()
}
