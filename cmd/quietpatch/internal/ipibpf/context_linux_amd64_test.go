package ipibpf

import (
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// TestStacks: with stacks the functions of the way are there, and those that remedies
// look for are in the details.
func TestStacks(t *testing.T) {
	tr := open(t, ipitrace.Options{Stacks: true})
	pid := driveExactly(t, "timestamp", 10, 60)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool {
		stack := s.Stacks[r.StackID]
		return r.Sender.PID == pid && r.Remedy == "netstamp" && slices.Contains(stack, "process_one_work") &&
			(strings.Contains(r.Origin.Detail, "static_key_enable") || strings.Contains(r.Origin.Detail, "static_key_disable"))
	})
	if got.IPIs < 40 || got.IPIs > 60 { // two stacks can want the same place
		t.Errorf("got %+v, want 60; stacks: %v", got, s.Stacks)
	}
	for _, stack := range s.Stacks {
		if len(stack) == 0 || tracing(stack[0]) {
			t.Errorf("stack %q", stack)
		}
	}
}

// TestLost: what does not fit into the table is said to be lost, not counted for another.
func TestLost(t *testing.T) {
	const n = 100
	tr := openSmall(t, ipitrace.Options{}, 1)
	drive(t, "munmap", 1) // takes the row
	pid := driveExactly(t, "membarrier", n, n)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid })
	if s.Lost < n || len(s.Rows) > 1 || got.IPIs > 0 {
		t.Errorf("got %+v, lost %d, %d rows", got, s.Lost, len(s.Rows))
	}
}
