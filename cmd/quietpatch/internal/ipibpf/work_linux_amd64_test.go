package ipibpf

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// TestWork: who queued a work item is good for one run, and of what was queued. The item is the
// kernel's code, which does not change.
func TestWork(t *testing.T) {
	tr := open(t, ipitrace.Options{})
	work := tr.names.Address(countingFunction)
	if work == 0 {
		t.Skip("the names of functions are hidden")
	}
	run := func(program string, args [3]uint64) rawWork {
		t.Helper()
		var w rawWork
		if _, err := tr.coll.Programs[program].Run(&ebpf.RunOptions{Context: args}); err != nil {
			t.Fatal(err)
		}
		if err := tr.coll.Maps["works"].Lookup(work, &w); err != nil {
			t.Fatal(err)
		}
		return w
	}
	queue := func() rawWork { return run("work_queued", [3]uint64{2: work}) }
	begin := func() rawWork { return run("work_starts", [3]uint64{work}) }
	queue()
	if w := begin(); w.Running.Known != 1 || w.Running.TGID != uint32(os.Getpid()) {
		t.Errorf("queued and started: %+v", w.Running)
	}
	if w := begin(); w.Running.Known != 0 {
		t.Errorf("started again: %+v", w.Running)
	}
	w := queue()
	w.Func++
	if err := tr.coll.Maps["works"].Put(work, &w); err != nil {
		t.Fatal(err)
	}
	if w := begin(); w.Running.Known != 0 {
		t.Errorf("started as something else: %+v", w.Running)
	}
}
