package ipibpf

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

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
	tr := openSmall(t, ipitrace.Options{}, tuning{rows: 1, sweep: time.Hour})
	drive(t, "munmap", 1) // takes the row
	pid := driveExactly(t, "membarrier", n, n)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid })
	if s.Lost < n || len(s.Rows) > 1 || got.IPIs > 0 {
		t.Errorf("got %+v, lost %d, %d rows", got, s.Lost, len(s.Rows))
	}
}

// TestLostCosts: costs that do not fit are lost, and those of many victims do.
func TestLostCosts(t *testing.T) {
	const n = 100
	tr := openSmall(t, ipitrace.Options{}, tuning{costs: 1})
	if tr.averages {
		t.Skip("all calls together have one cost here")
	}
	drive(t, "munmap", 1) // takes the entry
	pid := rig.DriveAtLeast(t, "membarrier", n, n)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Cause == "ipi_sync_core" })
	if got.IPIs < n*9/10 || s.Lost < got.IPIs || got.CostNS > 0 {
		t.Errorf("got %+v, lost %d", got, s.Lost)
	}
	const cpus = 4096
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	large := Tracer{opts: ipitrace.Options{Victims: ipi.Below(cpus)}, cpus: cpus}
	if large.sizes(spec); spec.Maps["costs"].MaxEntries < 16*cpus {
		t.Errorf("%d CPUs: room for %d costs", cpus, spec.Maps["costs"].MaxEntries)
	}
}

// TestManyRows: short-lived threads make more rows than fit into the table, and none is lost. Rows beyond
// what is kept have no thread.
func TestManyRows(t *testing.T) {
	const threads, rows, kept = 300, 64, 100
	tr := openSmall(t, ipitrace.Options{TGIDs: []int32{int32(os.Getpid())}, NoCost: true}, tuning{rows: rows, sweep: time.Millisecond})
	queue := tr.coll.Programs["queue"]
	if queue == nil {
		t.Skip("calls are seen by kprobes here")
	}
	tr.mu.Lock()
	tr.tables.keys = kept
	tr.mu.Unlock()
	args := struct{ CPU, Callsite, Func, CSD uint64 }{CPU: uint64(victim), Func: 1}
	used := func() (n uint32) {
		if err := tr.coll.Variables["used"].Get(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range threads {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // it ends with the goroutine
			_, err := queue.Run(&ebpf.RunOptions{Context: args})
			done <- err
		}()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(5 * time.Second); used() >= rows/2 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
	var last uint64
	for _, end := range []bool{false, true} {
		s, err := tr.Read()
		if end {
			s, err = tr.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		var queued uint64
		own, others := 0, 0
		for _, r := range s.Rows {
			if r.Cause != "0x1" {
				continue
			}
			queued += r.Queued
			if r.Sender.TID != 0 {
				own++
			} else {
				others++
			}
		}
		if queued != threads || s.Lost > 0 || own < kept/2 || own > kept || others == 0 || others > 2 {
			t.Errorf("end %v: %d of %d calls, lost %d; %d rows of threads, %d of others", end, queued, threads, s.Lost, own, others)
		}
		if last > queued {
			t.Errorf("%d calls, %d before", queued, last)
		}
		last = queued
	}
}
