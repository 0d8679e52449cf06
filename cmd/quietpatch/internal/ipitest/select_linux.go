package ipitest

import (
	"os"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// Selection is options, and whether they let the scenario's IPIs pass.
type Selection struct {
	Name    string
	Options ipitrace.Options
	Passes  bool
}

// Filters: processes, threads and CPUs that were not asked for are in no row; and more.
func (b *Backend) Filters(t *testing.T, more ...Selection) {
	const n = 50
	own := []int32{int32(os.Getpid())}
	for _, test := range append([]Selection{
		{"no process", ipitrace.Options{TGIDs: []int32{}}, false},
		{"another process", ipitrace.Options{TGIDs: own}, false},
		{"another thread", ipitrace.Options{PIDs: own}, false},
		{"the sender", ipitrace.Options{Senders: ipi.MakeCPUs(b.Sender)}, true},
		{"another sender", ipitrace.Options{Senders: ipi.MakeCPUs(b.Victim)}, false},
	}, more...) {
		t.Run(test.Name, func(t *testing.T) {
			tr := b.Open(t, test.Options)
			pid := b.DriveExactly(t, "membarrier", n, n)
			got := Sum(t, Closed(t, tr), From(pid, "ipi_sync_core"))
			if want := count(test.Passes, n); got.IPIs != want {
				t.Errorf("got %d, want %d", got.IPIs, want)
			}
		})
	}
}

func count(passes bool, n uint64) uint64 {
	if passes {
		return n
	}
	return 0
}

// Follow: the driver is started after the tracer, by a process that was asked for.
func (b *Backend) Follow(t *testing.T) {
	const n = 50
	for _, follow := range []bool{true, false} {
		tr := b.Open(t, ipitrace.Options{TGIDs: []int32{int32(os.Getpid())}, Follow: follow})
		pid := b.DriveExactly(t, "membarrier", n, n)
		got := Sum(t, Closed(t, tr), From(pid, "ipi_sync_core"))
		if want := count(follow, n); got.IPIs != want {
			t.Errorf("follow %v: got %d, want %d", follow, got.IPIs, want)
		}
	}
}

// Process: a process that was asked for is followed through kworkers.
func (b *Backend) Process(t *testing.T) {
	for _, other := range []bool{false, true} {
		const turns, perTurn = 10, 6
		started := b.Start(t, "timestamp", turns)
		id := int32(started.PID())
		if other {
			id = int32(os.Getpid())
		}
		tr := b.Open(t, ipitrace.Options{TGIDs: []int32{id}})
		started.Finish(t)
		s := Closed(t, tr)
		got := Sum(t, s, From(started.PID(), "do_sync_core"))
		// Others can send to the CPU, too, but no less than this can have come.
		most := min(uint64(started.Received()), turns*perTurn)
		if !other && (got.IPIs > most || got.IPIs+perTurn < most) || other && got.IPIs != 0 {
			t.Errorf("other %v: got %d of %d", other, got.IPIs, most)
		}
		for _, r := range s.Rows {
			if r.Sender.PID != int(id) {
				t.Errorf("not asked for: %+v", r)
			}
		}
	}
}
