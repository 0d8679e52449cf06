package ipitest

import (
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// Closed closes a tracer and returns its last words.
func Closed(t testing.TB, tr ipitrace.Tracer) ipi.Snapshot {
	t.Helper()
	start := time.Now()
	s, err := tr.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("close: %v, %d rows, lost %d, self %d", time.Since(start), len(s.Rows), s.Lost, s.SelfIPIs)
	return s
}

// Sum adds up the rows that match, and logs them.
func Sum(t testing.TB, s ipi.Snapshot, match func(r *ipi.Row) bool) (total ipi.Row) {
	t.Helper()
	for _, r := range s.Rows {
		if match(&r) {
			t.Logf("%+v", r)
			total.IPIs += r.IPIs
			total.Queued += r.Queued
			total.CostNS += r.CostNS
		}
	}
	return total
}

// From matches what a process sends for a cause.
func From(pid int, cause string) func(r *ipi.Row) bool {
	return func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Cause == cause }
}
