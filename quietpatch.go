package quietpatch

import "github.com/quietpatch/quietpatch/internal/engine"

// Strategy is how new bytes reach text that threads may be running.
type Strategy string

const (
	// StrategyDefault leaves the choice to the environment
	// (QUIETPATCH_STRATEGY), and then to what the manual of this CPU allows:
	// store on AMD, int3 elsewhere.
	StrategyDefault Strategy = ""
	// StrategyStore toggles every armed site by one store, and syncs once for all
	// of them. AMD's manual sanctions it (APM vol. 2, 7.6.1); Intel's does not,
	// although other systems rely on it there. A batch that needs more than a store
	// somewhere (a number that changes in several bytes) goes by int3.
	StrategyStore Strategy = "store"
	// StrategyInt3 shields every site with a trap byte while it changes, and
	// syncs three times for all of them, as the Linux kernel does.
	StrategyInt3 Strategy = "int3"
	// StrategyOneAtATime is int3 for one site after the other, three syncs
	// each. It exists to show what batching saves.
	StrategyOneAtATime Strategy = "one-at-a-time"
)

// Backend is how text is written.
type Backend string

const (
	// BackendDefault leaves the choice to the environment
	// (QUIETPATCH_BACKEND), and then to what works: procmem, alias, none.
	BackendDefault Backend = ""
	// BackendProcmem writes through /proc/self/mem: no mapping changes, and
	// profilers see what they always saw. About a microsecond per write.
	BackendProcmem Backend = "procmem"
	// BackendAlias moves the pages that hold sites into a memfd that is mapped
	// twice. A write is a store, but perf and eBPF profilers can no longer
	// name functions in those pages, and uprobes do not fire there.
	BackendAlias Backend = "alias"
	// BackendNone writes nothing: keys are read from memory.
	BackendNone Backend = "none"
)

// Options are for [Configure]. The zero value asks for the defaults.
type Options struct {
	Strategy Strategy
	Backend  Backend
	// AllowTracer permits traps while a debugger or strace is attached
	// (QUIETPATCH_TRACER=allow). A debugger stops at each of them; strace
	// passes them on. Without it, sites are not armed while a tracer is there,
	// and flips by int3 fail.
	AllowTracer bool
}

// Configure changes the options for everything that follows. It need not be
// called. Changing the backend of a program that has armed sites disarms them
// first; they are armed again when their keys are next set. Going from alias
// to procmem in one program is refused.
//
// It is safe for concurrent use with everything else.
func Configure(o Options) error {
	return engine.Default.Configure(engine.Options{
		Strategy: string(o.Strategy), Backend: string(o.Backend), AllowTracer: o.AllowTracer,
	})
}

// State is what [Status] returns. Its JSON form is stable.
type State = engine.Status

// Counters are part of [State].
type Counters = engine.Counters

// Status returns the mode (live or memory) and the reason for it, the strategy
// and the backend in force, counters, and mistakes of use that were survived.
// It patches nothing: before the first key is set the mode is memory, and the
// reason says so. It is safe for concurrent use.
func Status() State { return engine.Default.Status() }

// Backends returns the backends that work in this process, each of them tried.
// Trying them registers the process for membarrier and may copy one page of
// text; no key is touched.
func Backends() []string { return engine.Backends() }

// Arm arms the sites of all registered keys now, in one batch, instead of when
// each key is first set, and tries again what was refused before or taken back
// by [Disarm]. A key's value does not change. The error says why nothing can be
// armed; keys then work from memory.
func Arm() error { return engine.Default.Arm() }

// Disarm puts the compiler's own bytes back everywhere, and arms nothing until
// [Arm] is called. Call it before attaching a debugger, setting a uprobe on an
// instruction that reads a key, or dumping the text. Keys keep their values and
// can be set as before; they are read from memory. On error nothing has
// changed, except as the error says (and except for a key that was overwritten
// by assignment: its byte shows again what its checks show).
func Disarm() error { return engine.Default.Disarm() }

// Event tells of one batch: which keys, how many writes and syncs, how long.
type Event = engine.Event

// Subscribe makes f hear of every batch that changes a key, when it is over: so that
// a spike of latency can be blamed on a flip, or the flip be cleared. f runs on the
// goroutine that made the change, under the engine's lock: it must be quick and must
// not call this package or those beside it (statickey, staticcall, dyncall). The returned function ends it.
//
// Batches also appear in execution traces (runtime/trace) as regions named
// quietpatch.batch, with a log message in the category quietpatch.
func Subscribe(f func(Event)) (cancel func()) { return engine.Default.Subscribe(f) }
