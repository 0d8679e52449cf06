package ipibpf

import (
	"bytes"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipinames"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitest"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// TestFilterTwin: for random filters and all events of a small world, what sets, kernel and
// reader let pass together is what the filter lets pass.
func TestFilterTwin(t *testing.T) {
	const cpus = 3
	g := filters{rand.New(rand.NewPCG(7, 3)), cpus}
	tr := &Tracer{names: names{Names: ipinames.From(func() (*kallsyms.Table, error) { return worldSymbols(), nil })}}
	events := world(cpus)
	kernel, reader, refused := 0, 0, 0
	rounds := 3000
	if testing.Short() {
		rounds = 500
	}
	for range rounds {
		text := g.expr(3)
		if g.IntN(3) == 0 {
			text = fmt.Sprintf("(%s) && (%s || pid > 1)", text, g.pick(`comm ~ "b*"`, `process ~ "*h"`, `cause ~ "?"`, "cause == later", "cause != later"))
		}
		x, err := ipifilter.Parse(text, cpus)
		if err != nil {
			t.Fatal(err)
		}
		p, err := planFor(x, cpus, worldSymbols())
		if err != nil {
			refused++
			continue
		}
		if p.rows != nil {
			reader++
		}
		if len(p.program.steps) > 0 {
			kernel++
		}
		for i := range events {
			e := &events[i]
			r := e.record(tr)
			sets := p.sets
			sets.Masks = nil // they are in the program
			got := sets.Match(r) && (twin{p.program}).passes(e) && p.rows.Match(tr.record(&e.key))
			if want := x.Match(r); got != want {
				t.Fatalf("%s\nsets %v\nsteps %+v\nrows %s\n%v: got %v, want %v", text, p.sets, p.program.steps, p.rows, e, got, want)
			}
		}
	}
	t.Logf("%d events; of %d filters %d are for the kernel, %d for the reader, %d refused", len(events), rounds, kernel, reader, refused)
	if kernel < rounds/2 || reader < rounds/10 || refused > rounds/10 {
		t.Errorf("the filters are one-sided")
	}
}

// judge runs programs in the kernel for records that it is given.
type judge struct {
	*ebpf.Collection
	cpus int
}

// newJudge loads the program judge with a filter.
func newJudge(t *testing.T, p program) judge {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	for name := range spec.Programs {
		if name != "judge" {
			delete(spec.Programs, name)
		}
	}
	values := map[string]any{"mask_words": uint32(1)}
	p.settle(values)
	for name, value := range values {
		if err := spec.Variables[name].Set(value); err != nil {
			t.Fatal(name, err)
		}
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		ipitest.FailOrSkip(t, err, Check)
	}
	t.Cleanup(coll.Close)
	return judge{coll, possibleCPUs()}
}

func (j judge) passes(t *testing.T, e *sent) bool {
	t.Helper()
	list := make([]rawSlot, j.cpus)
	for i := range list {
		list[i].Key = e.key
	}
	if err := j.Maps["slots"].Put(uint32(0), list); err != nil {
		t.Fatal(err)
	}
	args := struct{ CPU, Many uint64 }{CPU: uint64(e.key.CPU)}
	if e.mask != nil {
		args.Many = 1
		if err := j.Variables["judged"].Set(wordsOf(e.mask)); err != nil {
			t.Fatal(err)
		}
	}
	const onCPU = 1 // BPF_F_TEST_RUN_ON_CPU
	got, err := j.Programs["judge"].Run(&ebpf.RunOptions{Context: args, CPU: uint32(e.sender), Flags: onCPU})
	if err != nil {
		t.Fatal(err)
	}
	return got == 1
}

// TestFilterKernel: the kernel finds what its twin finds.
func TestFilterKernel(t *testing.T) {
	const cpus = 3
	g := filters{rand.New(rand.NewPCG(7, 4)), cpus}
	events := world(cpus)
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	passed, judged := 0, 0
	seen := make(map[uint8]int)
	for range rounds {
		x, err := ipifilter.Parse("(pid > -1 || pid < 0) && ("+g.expr(4)+")", cpus)
		if err != nil {
			t.Fatal(err)
		}
		p, err := planFor(x, cpus, worldSymbols())
		if err != nil {
			continue
		}
		for _, s := range p.program.steps {
			seen[s.Field]++
		}
		j := newJudge(t, p.program)
		for range 200 {
			e := &events[g.IntN(len(events))]
			if e.sender >= j.cpus {
				continue
			}
			want := (twin{p.program}).passes(e)
			if got := j.passes(t, e); got != want {
				t.Fatalf("%s\nsteps %+v\n%v: got %v, want %v", x, p.program.steps, e, got, want)
			}
			judged++
			passed += bits.OnesCount8(flag(want))
		}
		j.Close()
	}
	t.Logf("%d of %d pass; comparisons by field: %v", passed, judged, seen)
	if passed < judged/10 || passed > judged*9/10 || len(seen) != int(fieldMask)+1 && !testing.Short() {
		t.Errorf("the filters are one-sided")
	}
}

// TestFilterPlan: who evaluates what, and what nobody can.
func TestFilterPlan(t *testing.T) {
	many := strings.Repeat("pid != 1 && ", stepsMax) + "pid != 1"
	for _, test := range []struct {
		expr  string
		steps int
		rows  string
		err   string
	}{
		{"cpu & CPUS{1-2} && CPU == 0 && tgid == 7", 0, "", ""},
		{"cpu == 1 || CPU == 1", 2, "", ""},
		{"cpumask & CPUS{2-3} && cpumask == CPUS{2}", 2, "", ""},
		{`comm ~ "b*" && CPU != CPUS{1-2}`, 0, `comm ~ "b*"`, ""},
		{`comm ~ "b*" && pid != 7`, 1, `comm ~ "b*"`, ""},
		{`comm ~ "b*" || CPU == 1`, 0, "", "no patterns"},
		{`comm ~ "b*" || pid == 1`, 0, `comm ~ "b*" || pid == 1`, ""},
		{"cause == g", 2, "", ""},
		{"cause == alias", 0, `cause == "alias"`, ""}, // rows have the first name
		{"cause == later", 0, `cause == "later"`, ""},
		{"cause == later || cpumask == CPUS{1-2}", 0, "", "no such function now: later"},
		{"callback != 0 && kind != tlb", 3, "", ""},
		{many, stepsMax, "pid != 1", ""},
		{strings.ReplaceAll(many, "pid", "CPU == 1 || pid"), stepsMax, "", "more than 32 comparisons"},
	} {
		x, err := ipifilter.Parse(test.expr, 4)
		if err != nil {
			t.Fatal(err)
		}
		p, err := planFor(x, 4, worldSymbols())
		if err != nil || test.err != "" {
			if err == nil || test.err == "" || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%.60s: got error %v, want %q", test.expr, err, test.err)
			}
			continue
		}
		if len(p.program.steps) != test.steps || p.rows.String() != test.rows {
			t.Errorf("%.60s: got %d steps, rows %q, want %d and %q", test.expr, len(p.program.steps), p.rows, test.steps, test.rows)
		}
	}
	x, _ := ipifilter.Parse("cause == f", 4)
	if _, err := planFor(x, 4, nil); err == nil || !strings.Contains(err.Error(), "hidden") {
		t.Errorf("without names: %v", err)
	}
	if _, err := Open(ipitrace.Options{Filter: mustFilter(t, `comm ~ "b*" || CPU == 1`)}); err == nil || !strings.Contains(err.Error(), "patterns") {
		t.Errorf("Open: %v", err)
	}
}

func mustFilter(t testing.TB, expr string) *ipifilter.Expr {
	t.Helper()
	x, err := ipifilter.Parse(expr, possibleCPUs())
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestFilterLive: filters of what is really sent.
func TestFilterLive(t *testing.T) {
	const n = 50
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	own := strings.TrimSpace(string(comm))
	for _, test := range []struct {
		expr string
		want uint64
	}{
		{fmt.Sprintf("cpu & CPUS{%d} && CPU & CPUS{%d}", victim, sender), n},
		{fmt.Sprintf("CPU & CPUS{%d}", victim), 0},
		{fmt.Sprintf("cpu == %d && cause == ipi_sync_core", victim), n},
		{fmt.Sprintf("cpu == %d && cause == flush_tlb_func", victim), 0},
		{fmt.Sprintf("cpumask & CPUS{%d} && kind == call && callback != 0", victim), n},
		{fmt.Sprintf("cpumask == CPUS{%d} || CPU == %d", sender, victim), 0},
		{"process == \"sysctl\" || pid == 0", 0},
		{`cause ~ "ipi_*" && comm != "chronyd"`, n},
		{`cause ~ "ipi_s??c_core" && callback.function == ` + ipinames.CallHandler, n},
		{`process ~ "` + own + `*" && (CPU == 0 || CPU == 1)`, n},
		{`process ~ "no*"`, 0},
		{"tgid == 1", 0},
		{"pid > 1 && kind != tlb", n},
	} {
		t.Run(test.expr, func(t *testing.T) {
			tr := open(t, ipitrace.Options{Filter: mustFilter(t, test.expr)})
			pid := driveExactly(t, "membarrier", n, n)
			s := closed(t, tr)
			got := sum(t, s, func(r *ipi.Row) bool { return r.Sender.PID == pid && r.Cause == "ipi_sync_core" })
			if got.IPIs != test.want || got.Queued != test.want {
				t.Errorf("got %+v, want %d", got, test.want)
			}
		})
	}
}

// TestFilterNothing: what nothing can pass is an error, since it would prove nothing; a name that no function
// has is told.
func TestFilterNothing(t *testing.T) {
	other := ipi.MakeCPUs(victim)
	for _, test := range []struct {
		expr string
		opts ipitrace.Options
		err  string
	}{
		{"cpu == 0 && cpu == 1", ipitrace.Options{}, "are interrupted"},
		{"cpu & CPUS{0}", ipitrace.Options{Victims: other}, "are interrupted"},
		{"CPU == 0 && CPU == 1", ipitrace.Options{}, "interrupt others"},
		{"CPU & CPUS{0}", ipitrace.Options{Senders: other}, "interrupt others"},
		{"pid == 1 && pid == 2", ipitrace.Options{}, "processes or threads"},
		{"tgid == 1 && tgid == 2", ipitrace.Options{}, "processes or threads"},
		{"cause == do_sync_cor || cause != ipi_sync_core && cause ~ \"do_sync_x\"", ipitrace.Options{}, ""},
	} {
		test.opts.Filter = mustFilter(t, test.expr)
		tr, err := openWith(test.opts, tuned)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v", test.expr, err)
			}
			continue
		}
		if err != nil {
			ipitest.FailOrSkip(t, fmt.Errorf("%s: %w", test.expr, err), Check)
		}
		closed(t, tr)
		said := strings.Join(tr.Missing(), " ")
		if !strings.Contains(said, "compares with do_sync_cor,") || strings.Contains(said, "ipi_sync_core") || strings.Contains(said, "do_sync_x") {
			t.Errorf("missing %q", said)
		}
	}
}

// TestFilterProcess: the filter is for who is blamed; the option is also for who sends itself.
func TestFilterProcess(t *testing.T) {
	const n = 20
	for _, test := range []struct {
		other bool
		want  uint64
	}{{false, n}, {true, 0}} {
		started := start(t, "membarrier", n)
		id := started.PID()
		if test.other {
			id = 1
		}
		tr := open(t, ipitrace.Options{TGIDs: []int32{int32(started.PID())}, Filter: mustFilter(t, fmt.Sprintf("tgid == %d", id))})
		started.Finish(t)
		s := closed(t, tr)
		got := sum(t, s, func(r *ipi.Row) bool { return r.Cause == "ipi_sync_core" })
		if got.IPIs > test.want || got.IPIs < test.want*9/10 {
			t.Errorf("other %v: got %d, want %d", test.other, got.IPIs, test.want)
		}
	}
}
