package ipibpf

import (
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// TestHooks: raw tracepoints where the kernel has them, kprobes where not.
func TestHooks(t *testing.T) {
	old := func(name string) bool {
		return !strings.HasPrefix(name, "ipi_") && !strings.HasPrefix(name, "csd_")
	}
	all := func(string) bool { return true }
	for _, test := range []struct {
		name   string
		has    func(string) bool
		want   bool // kprobes
		probes int
		first  []string // hooks
	}{
		{"6.12", all, false, 0, []string{"send_one", "send_many", "queue"}},
		{"6.4", func(name string) bool { return !strings.HasPrefix(name, "csd_") }, false, 3, []string{"send_one", "send_many", "probe_exec"}},
		{"6.1", old, false, 6, []string{"probe_single", "probe_resched", "probe_many", "probe_exec", "probe_queue", "probe_calls"}},
		{"6.12, kprobes wanted", all, true, 6, []string{"probe_single"}},
	} {
		probes := 0
		var names []string
		counting := true
		for _, h := range hooksFor(events, test.has, test.want) {
			names = append(names, h.program)
			if h.kprobe {
				probes++
			}
			if h.use == counts && !counting {
				t.Errorf("%s: %s comes after one that does not count", test.name, h.program)
			}
			counting = h.use == counts
			if h.needed != (h.use <= queues) && h.program != "probe_exec" || h.lost == "" {
				t.Errorf("%s: %+v", test.name, h)
			}
		}
		if probes != test.probes || !slices.Equal(names[:len(test.first)], test.first) {
			t.Errorf("%s: %d kprobes, %q", test.name, probes, names)
		}
	}
}

// TestProbes counts by kprobes, or says what is missing for that.
func TestProbes(t *testing.T) {
	const n = 100
	symbols, err := kallsyms.Read()
	if err != nil {
		t.Skip(err)
	}
	for _, e := range events {
		for _, p := range e.probes {
			t.Logf("%s: %d", p.function, len(symbols.Named(p.function)))
		}
	}
	missing := checkProbes(events[0].probes, symbols)
	tr, err := openWith(ipitrace.Options{Victims: ipi.MakeCPUs(victim)}, tuning{kprobes: true})
	if missing != nil {
		if err == nil || !strings.Contains(err.Error(), "kprobe on "+events[0].probes[0].function) {
			t.Errorf("%v, but Open says %v", missing, err)
		}
		t.Skip(missing)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if tr.Mode() != "eBPF, kprobes" || !slices.Contains(tr.Missing(), manyLate) || !slices.Contains(tr.Missing(), kprobed) {
		t.Errorf("%s, missing %q", tr.Mode(), tr.Missing())
	}
	pid := driveExactly(t, "membarrier", n, n)
	got := sum(t, closed(t, tr), func(r *ipi.Row) bool {
		return r.Cause == "ipi_sync_core" && r.Sender.PID == pid && r.Origin.Syscall == "membarrier"
	})
	if got.IPIs != n || got.Queued != n || got.CostNS == 0 {
		t.Errorf("got %+v, want %d", got, n)
	}
}
