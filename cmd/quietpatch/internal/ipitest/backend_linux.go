package ipitest

import (
	"os"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/internal/host"
)

// Backend is one that is tested.
type Backend struct {
	Rig
	Open      func(testing.TB, ipitrace.Options) ipitrace.Tracer // or it skips the test
	Check     func() []ipitrace.Finding
	Syscalls  ipitrace.Options              // with which system calls are known
	LateCalls func(tr ipitrace.Tracer) bool // calls without an IPI are not seen; nil: they are
}

// Munmap: a system call that flushes the TLB is named, with all that it sends.
func (b *Backend) Munmap(t *testing.T) ipi.Snapshot {
	const n = 200
	tr := b.Open(t, b.Syscalls)
	pid := b.DriveExactly(t, "munmap", n, n)
	s := Closed(t, tr)
	got := Sum(t, s, func(r *ipi.Row) bool {
		return r.Kind == ipi.TLB && r.Cause == "flush_tlb_func" && r.Sender.PID == pid && r.Origin.Syscall == "munmap"
	})
	least := uint64(n)
	if b.Syscalls.Stacks {
		least -= n / 50 // a stack that could not be walked has no system call
	}
	if got.IPIs < least || got.IPIs > n || got.Queued != got.IPIs {
		t.Errorf("got %+v, want %d", got, n)
	}
	return s
}

// Stats: every CPU that is watched is told to serialize, with an IPI to one of them or, from
// three CPUs on, to several at once.
func (b *Backend) Stats(t *testing.T) {
	const cycles, perCycle = 10, 6
	old, err := os.ReadFile("/proc/sys/kernel/bpf_stats_enabled")
	if err != nil || string(old) != "0\n" {
		t.Skipf("kernel.bpf_stats_enabled is %q, expected 0: %v", old, err)
	}
	n, err := host.CPUs()
	if err != nil {
		t.Fatal(err)
	}
	all := ipi.Below(n)
	for _, victims := range []ipi.CPUs{all, ipi.MakeCPUs(b.Victim), ipi.MakeCPUs(n - 1)} {
		o := b.Syscalls
		o.Victims = victims
		tr := b.Open(t, o)
		late := b.LateCalls != nil && b.LateCalls(tr)
		pid := b.Drive(t, "stats", cycles)
		s := Closed(t, tr)
		for cpu := range all.All() {
			got := Sum(t, s, func(r *ipi.Row) bool {
				return r.CPU == cpu && r.Cause == "do_sync_core" && r.Sender.PID == pid && r.Origin.Syscall == "write"
			})
			want := uint64(0)
			if victims.Has(cpu) && cpu != b.Sender {
				want = cycles * perCycle
			}
			// A CPU that has not yet run what was queued before is not interrupted again, and one that
			// idles may look by itself.
			queued, least := want, uint64(0)
			if late {
				queued, least = got.IPIs, want/2
			}
			if cpu == b.Victim {
				least = want * 9 / 10
			}
			if got.Queued != queued || got.IPIs > want || got.IPIs < least {
				t.Errorf("victims %v, CPU %d: got %+v, want %d", victims, cpu, got, want)
			}
		}
	}
}

// Timer: what a timer sends is not blamed on the thread that it interrupts.
func (b *Backend) Timer(t *testing.T) {
	const n = 200
	b.notBlamed(t, "timer", n, n/2, "timer", "getpgid")
}

// Softirq: the same for a softirq that runs at the end of the thread's system call.
func (b *Backend) Softirq(t *testing.T) {
	const n = 100
	b.notBlamed(t, "datagram", n, n*9/10, "softirq NET_RX", "sendto")
}

// notBlamed runs a scenario whose IPIs are of a path and nobody's, not of the system call that
// is on the CPU meanwhile.
func (b *Backend) notBlamed(t *testing.T, scenario string, n int, least uint64, path, syscall string) {
	t.Helper()
	tr := b.Open(t, b.Syscalls)
	pid := b.Drive(t, scenario, n)
	s := Closed(t, tr)
	right := Sum(t, s, func(r *ipi.Row) bool {
		return r.Kind == ipi.Resched && r.Origin.Path == path && r.Sender.PID == 0
	})
	blamed := Sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Origin.Syscall == syscall })
	if right.IPIs < least || blamed.IPIs > 0 {
		t.Errorf("%s %d, the process %d, want up to %d and none", path, right.IPIs, blamed.IPIs, n)
	}
}

// Read: reading takes nothing away, and a closed tracer still says what it had.
func (b *Backend) Read(t *testing.T) {
	const n = 50
	tr := b.Open(t, ipitrace.Options{})
	ours := From(b.DriveExactly(t, "membarrier", n, n), "ipi_sync_core")
	for range 2 {
		s, err := tr.Read()
		if err != nil {
			t.Fatal(err)
		}
		if got := Sum(t, s, ours); got.IPIs != n {
			t.Errorf("got %d", got.IPIs)
		}
	}
	for range 2 {
		if got := Sum(t, Closed(t, tr), ours); got.IPIs != n {
			t.Errorf("closed: got %d", got.IPIs)
		}
	}
	s, err := tr.Read()
	if got := Sum(t, s, ours); err != nil || got.IPIs != n {
		t.Errorf("read after the end: got %d, %v", got.IPIs, err)
	}
}
