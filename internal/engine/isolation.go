package engine

import (
	"fmt"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/barrier"
	"github.com/quietpatch/quietpatch/internal/deferral"
	"github.com/quietpatch/quietpatch/internal/host"
	"github.com/quietpatch/quietpatch/internal/site"
)

// Isolated threads may run no site of a key that can change, with two exceptions: sealed
// keys, whose sites are rewritten only by Arm, Disarm and Seal, and the key of isolation
// itself, which changes only while nobody is isolated but is disarmed like any other.
// A batch with such sites spares nobody. It is the kernel's __ro_after_init for keys in
// .noinstr.text.

// MarkNoinstr makes the key at addr one that isolated threads may check.
func (e *Engine) MarkNoinstr(addr unsafe.Pointer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.noinstrAt == nil {
		e.noinstrAt = map[unsafe.Pointer]bool{}
	}
	e.noinstrAt[addr] = true
	if k := e.byAddr[addr]; k != nil {
		k.noinstr = true
	}
}

// forIsolated reports whether isolated threads may run sites of k.
func (k *Key) forIsolated() bool { return k != nil && (k.seal != neverSealed || k.noinstr) }

// forEveryone reports whether the batch at hand has a site that an isolated thread may run.
// It does not ask whether there is such a thread: one may come while the batch is under way.
func (e *Engine) forEveryone() bool {
	for _, c := range e.changes {
		if c.Key.forIsolated() {
			return true
		}
	}
	var last *Key
	for i := range e.pokes {
		if k := e.pokes[i].key; k != last {
			if last = k; k.forIsolated() {
				return true
			}
		}
	}
	return false
}

// Isolation is what the engine leaves to isolated threads.
type Isolation struct {
	// Why says why nobody is spared although threads are, or were, isolated; "" if they
	// are spared, or there have been none.
	Why string `json:"why"`
	// Assurance is what a sync stands on that leaves CPUs out; "" without such a sync.
	Assurance     string           `json:"assurance"`
	Threads       []IsolatedThread `json:"threads"`
	SyncsByCPU    uint64           `json:"syncs_by_cpu"`   // that left isolated threads alone
	SyncsRepeated uint64           `json:"syncs_repeated"` // tries of them that the scheduler spoilt
	SyncsUnspared uint64           `json:"syncs_unspared"` // that went to all CPUs in the end
	Violations    uint64           `json:"violations"`     // changing sites that isolated threads ran
	Strays        uint64           `json:"strays"`         // threads that could run on a reserved CPU and were moved
	ContextBits   int              `json:"context_bits"`   // of the counter in the context words
	Unmaps        UnmapCounts      `json:"unmaps"`
}

// IsolatedThread is one of them, or was the last one on its CPU.
type IsolatedThread struct {
	CPU        int    `json:"cpu"`
	TID        int    `json:"tid"` // 0: it has ended
	State      string `json:"state"`
	Shared     bool   `json:"shared"`     // other threads may run on the CPU, so it is not spared
	Deferred   uint64 `json:"deferred"`   // syncs that were left to it
	CatchUps   uint64 `json:"catch_ups"`  // times it came back and owed work
	Violations uint64 `json:"violations"` // changing sites that it ran
	Violated   string `json:"violated"`   // the last of them; "" for none
}

// UnmapCounts counts mappings that were kept for isolated threads.
type UnmapCounts struct {
	Waiting      int    `json:"waiting"`
	WaitingBytes int    `json:"waiting_bytes"`
	Held         uint64 `json:"held"`       // had to wait
	Released     uint64 `json:"released"`   // when nobody was isolated
	Forced       uint64 `json:"forced"`     // because a limit was passed
	Interrupts   uint64 `json:"interrupts"` // isolated CPUs that the forced ones interrupted
	Failed       uint64 `json:"failed"`     // munmap refused
	Met          uint64 `json:"met"`        // threads that went out while a release was under way, and did not wait for its end
}

// isolationLocked fills it in.
func (e *Engine) isolationLocked() Isolation {
	i := Isolation{Threads: []IsolatedThread{}}
	i.ContextBits, _ = deferral.CounterBits()
	i.Strays = deferral.Strays()
	c := barrier.PerCPUCounts()
	i.SyncsByCPU, i.SyncsRepeated, i.SyncsUnspared = c.Syncs, c.Repeated, c.Unspared
	u := deferral.UnmapCounts()
	i.Unmaps = UnmapCounts(u)
	for _, r := range deferral.Reports() {
		t := IsolatedThread{CPU: r.CPU, TID: r.TID, State: r.State.String(), Shared: r.Shared, Deferred: r.Deferred, CatchUps: r.CatchUps, Violations: r.Violations}
		if r.Violations > 0 {
			t.Violated = e.placeOf(r.Violated)
		}
		i.Violations += r.Violations
		i.Threads = append(i.Threads, t)
	}
	if len(i.Threads) > 0 {
		i.Why = e.whyUnspared()
	}
	if c.Syncs > 0 || len(i.Threads) > 0 && i.Why == "" {
		i.Assurance = assurePerCPU
	}
	return i
}

// whyUnspared says why isolated threads are interrupted all the same.
func (e *Engine) whyUnspared() string {
	if e.m == nil {
		return "no text is patched, so there is no sync to spare them"
	}
	if host.FRED() {
		return "the kernel returns from interrupts by FRED's instructions, of which nobody has said that they serialize"
	}
	if err := barrier.PerCPUError(); err != nil {
		return fmt.Sprintf("CPUs cannot be synced one by one here: %v", err)
	}
	return ""
}

// placeOf names an address in text.
func (e *Engine) placeOf(addr uint64) string {
	if e.img == nil {
		return fmt.Sprintf("%#x", addr)
	}
	fn, file, line := e.img.Place(addr, site.OurFrame)
	return fmt.Sprintf("%s (%s:%d)", fn, file, line)
}

// SyncEveryone makes a sync that spares nobody, as soon as no batch is under way. Syncs that were left
// to isolated threads before are made up for.
func (e *Engine) SyncEveryone() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.m == nil {
		if deferral.Any() {
			_ = barrier.SyncCore() // of a machine that was closed; without one before, nothing is owed
		}
		return nil
	}
	return e.m.Sync(true)
}

// Note adds a mistake of use that was survived to what Status tells.
func (e *Engine) Note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.problem(format, args...)
}
