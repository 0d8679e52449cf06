package ipibpf

import (
	"os"
	"slices"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// hideSymbols is what kernel.kptr_restrict does.
func hideSymbols() (*kallsyms.Table, error) { return nil, kallsyms.ErrHidden }

// TestHidden: without names of functions the tracer works, and says what it lacks.
func TestHidden(t *testing.T) {
	tr, err := openWith(rig.Options(t, ipitrace.Options{}), tuning{kprobes: tuned.kprobes, symbols: hideSymbols})
	if err != nil {
		t.Fatal(err)
	}
	pid := driveExactly(t, "membarrier", 50, 50)
	s := closed(t, tr)
	got := sum(t, s, func(r *ipi.Row) bool {
		return r.Sender.PID == pid && r.Kind == ipi.Call && r.Origin.Detail == "MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE"
	})
	if got.IPIs != 50 {
		t.Errorf("got %+v", got)
	}
	for _, want := range []string{hidden, noCount} {
		if !slices.Contains(tr.Missing(), want) {
			t.Errorf("%q is not said, but %q", want, tr.Missing())
		}
	}
}

// TestNoLeak: a tracer that cannot be opened leaves nothing open, and a closed one neither.
func TestNoLeak(t *testing.T) {
	files := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(list)
	}
	open(t, ipitrace.Options{}).Close() // what is opened once
	tooMany := make([]int32, 5000)
	for i := range tooMany {
		tooMany[i] = int32(i + 1)
	}
	before := files()
	if tr, err := openWith(ipitrace.Options{TGIDs: tooMany}, tuned); err == nil {
		tr.Close()
		t.Errorf("%d processes fit into the set", len(tooMany))
	}
	if left := files() - before; left > 0 {
		t.Errorf("%d files are left open by an error", left)
	}
	open(t, ipitrace.Options{Stacks: true, Follow: true}).Close()
	if left := files() - before; left > 0 {
		t.Errorf("%d files are left open", left)
	}
}
