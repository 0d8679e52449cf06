package ipidrive

import "github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"

// Scenario is one way to interrupt a CPU.
type Scenario struct {
	Name     string
	Does     string   // in each turn
	Kind     ipi.Kind // of nearly all that it sends
	Cause    string   // function that the victim runs; "" for none
	Syscalls []string // that send, each as much as the others; empty if it is not just them

	// PerTurn is what the victim receives in a turn, if Exact: else it depends on what
	// the kernel finds at the moment.
	PerTurn Received
	Exact   bool

	idle  bool               // nothing spins on the victim
	setup func(*stage) error // before the count begins
	turn  func(*stage) error
	after func(*stage) error // as part of what is counted
}

// Received is what came to a CPU, as rows CAL, TLB and RES of /proc/interrupts have it.
type Received struct {
	Calls    uint64 `json:"calls"` // with the flushes
	Flushes  uint64 `json:"flushes"`
	Rescheds uint64 `json:"rescheds"`
}

// Times returns what n turns send.
func (r Received) Times(n int) Received {
	return Received{r.Calls * uint64(n), r.Flushes * uint64(n), r.Rescheds * uint64(n)}
}

// callsPerFlip of a key: text is patched in three steps (arch/x86/kernel/alternative.c).
const callsPerFlip = 3

// Scenarios returns all of them. What they send was measured on Linux 6.1, 6.12 and 6.18.
func Scenarios() []Scenario {
	const patched = "do_sync_core"
	flips := func(n uint64) Received { return Received{Calls: callsPerFlip * n} }
	return []Scenario{
		{
			Name: "timestamp", Does: "SO_TIMESTAMP on and, by close, off", Kind: ipi.Call, Cause: patched, Syscalls: []string{"setsockopt", "close"},
			PerTurn: flips(2), Exact: true, setup: openInterrupts, turn: timestamp,
		},
		{
			Name: "stats", Does: "kernel.bpf_stats_enabled on and off", Kind: ipi.Call, Cause: patched, Syscalls: []string{"write"},
			PerTurn: flips(2), Exact: true, setup: switchable, turn: switchStats,
		},
		{
			Name: "schedstats", Does: "kernel.sched_schedstats on and off", Kind: ipi.Call, Cause: patched, Syscalls: []string{"write"},
			PerTurn: flips(2), Exact: true, setup: schedSwitchable, turn: switchSchedstats,
		},
		{
			Name: "bpfload", Does: "a BPF program of 16 KB loaded", Kind: ipi.Call, Cause: "do_flush_tlb_all",
			turn: loadProgram, after: unloadPrograms,
		},
		{
			Name: "munmap", Does: "munmap of a page in a process with threads", Kind: ipi.TLB, Cause: flushed, Syscalls: []string{"munmap"},
			PerTurn: Received{Calls: 1, Flushes: 1}, Exact: true, turn: unmap,
		},
		{
			Name: "madvise", Does: "MADV_DONTNEED of a page in a process with threads", Kind: ipi.TLB, Cause: flushed, Syscalls: []string{"madvise"},
			PerTurn: Received{Calls: 1, Flushes: 1}, Exact: true, setup: mapPage, turn: discard,
		},
		{
			Name: "mprotect", Does: "mprotect there and back in a process with threads", Kind: ipi.TLB, Cause: flushed, Syscalls: []string{"mprotect"},
			PerTurn: Received{Calls: 2, Flushes: 2}, Exact: true, setup: mapPage, turn: protect,
		},
		{
			Name: "membarrier", Does: "membarrier SYNC_CORE", Kind: ipi.Call, Cause: "ipi_sync_core", Syscalls: []string{"membarrier"},
			PerTurn: Received{Calls: 1}, Exact: true, setup: registerSyncCore, turn: syncCore,
		},
		{
			Name: "membarrier-rseq", Does: "membarrier RSEQ for one CPU", Kind: ipi.Call, Cause: "ipi_rseq", Syscalls: []string{"membarrier"},
			PerTurn: Received{Calls: 1}, Exact: true, setup: registerRseq, turn: restart,
		},
		{
			Name: "futex-busy", Does: "futex wakes a thread that outranks the one on the CPU", Kind: ipi.Resched, Syscalls: []string{"futex"},
			PerTurn: Received{Rescheds: 1}, Exact: true, setup: waitOnFutex, turn: wakeFutex,
		},
		{
			Name: "futex-idle", Does: "futex wakes a thread on an idle CPU", Kind: ipi.Call, Cause: "sched_ttwu_pending", Syscalls: []string{"futex"},
			idle: true, setup: waitOnFutex, turn: wakeFutex,
		},
		{
			Name: "timer", Does: "a timer of the sender's CPU wakes a thread", Kind: ipi.Resched,
			PerTurn: Received{Rescheds: 1}, Exact: true, setup: waitOnTimer, turn: expire,
		},
		{
			Name: "datagram", Does: "a datagram over loopback wakes a thread", Kind: ipi.Resched,
			PerTurn: Received{Rescheds: 1}, Exact: true, setup: waitOnSocket, turn: send,
		},
	}
}

const flushed = "flush_tlb_func"

// Find returns the scenario of that name.
func Find(name string) (Scenario, bool) {
	for _, s := range Scenarios() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}
