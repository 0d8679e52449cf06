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
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// The kernel of these tests: g stands at two places, and h has two names.
const (
	addrF       = 0x1000
	addrG       = 0xffffffff81002000
	addrH       = 0xffffffff81003000
	addrG2      = 0xffffffff81004000
	addrFlush   = 0xffffffff81005000
	addrHandler = 0xffffffff81006000
)

func worldSymbols() *symbols {
	return &symbols{
		addrs: []uint64{addrF, addrG, addrH, addrH, addrG2, addrFlush, addrHandler},
		names: []string{"f", "g", "h", "alias", "g", flushFunction, callHandler},
	}
}

// event is what the kernel's side sees of an IPI or a call.
type sent struct {
	key    rawKey
	sender int
	mask   ipi.CPUs // nil: for one
}

// record is the same for the filter.
func (e *sent) record(t *Tracer) *ipifilter.Record {
	r := t.record(&e.key)
	r.CPU, r.Mask = e.sender, e.mask
	return r
}

func (e *sent) String() string { return fmt.Sprintf("%+v from %d to %v", e.key, e.sender, e.mask) }

// world returns all kinds of events among some CPUs.
func world(cpus int) (list []sent) {
	masks := []ipi.CPUs{nil}
	for b := range uint64(1) << cpus {
		if b != 0 {
			masks = append(masks, ipi.CPUs{b})
		}
	}
	whats := []rawKey{
		{Func: addrF}, {Func: addrG}, {Func: addrG2}, {Func: addrH}, {Func: addrFlush}, {Func: 0x77}, {},
		{Kind: kindResched}, {Kind: kindIRQWork},
	}
	for i, who := range []rawOrigin{
		{TID: 1, TGID: 1, Thread: name16("bash"), Comm: name16("bash")},
		{TID: 2, TGID: 1, Thread: name16("fifteen bytes s"), Comm: name16("bash")},
		{TID: 3, TGID: 3, Thread: name16("b"), Comm: name16("eight by")},
		{NR: -1, Context: inTimer},
	} {
		for j, key := range whats {
			key.Origin = who
			for sender := range cpus {
				mask := masks[(i+j*3+sender*5+len(list))%len(masks)]
				for target := range cpus {
					if mask != nil && !mask.Has(target) {
						continue
					}
					key.CPU = uint32(target)
					list = append(list, sent{key, sender, mask})
				}
			}
		}
	}
	return list
}

// filters makes random ones.
type filters struct {
	*rand.Rand
	cpus int
}

func (g filters) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g filters) set() string {
	set := ipi.CPUs(nil)
	for set == nil {
		for cpu := range g.cpus {
			if g.IntN(2) == 0 {
				set = set.With(cpu)
			}
		}
	}
	return set.String()
}

func (g filters) comparison() string {
	eq := g.pick("==", "!=")
	order := g.pick("==", "!=", "<", "<=", ">", ">=")
	switch g.IntN(13) {
	case 0, 1:
		return fmt.Sprintf("cpumask %s CPUS{%s}", g.pick("==", "!=", "&"), g.set())
	case 2:
		return fmt.Sprintf("cpu %s CPUS{%s}", g.pick("==", "!=", "&"), g.set())
	case 3:
		return fmt.Sprintf("CPU %s CPUS{%s}", g.pick("==", "!=", "&"), g.set())
	case 4:
		return fmt.Sprintf("cpu %s %d", g.pick(order, "&"), g.IntN(g.cpus+1))
	case 5:
		return fmt.Sprintf("CPU %s %d", order, g.IntN(g.cpus+2)-1)
	case 6:
		return fmt.Sprintf("pid %s %d", g.pick(order, "&", "=="), g.IntN(5)-1)
	case 7:
		return fmt.Sprintf("tgid %s %d", g.pick(order, "==", "&"), g.IntN(5)-1)
	case 8:
		return fmt.Sprintf(`comm %s "%s"`, eq, g.pick("bash", "b", "", "fifteen bytes s", "sixteen bytes it", "eight by"))
	case 9:
		return fmt.Sprintf(`process %s "%s"`, eq, g.pick("bash", "eight by", "eight bx", ""))
	case 10:
		return fmt.Sprintf(`cause %s "%s"`, eq, g.pick("f", "g", "h", flushFunction, ""))
	case 11:
		return fmt.Sprintf("func %s %#x", g.pick(order, "&"), []uint64{0, addrF, addrG, addrG2, 1 << 63, 1}[g.IntN(6)])
	}
	return g.pick("callback == 0", "callback != 0", "callback > 0xffffffff81000000", "callback & 1", "callback.function "+eq+" "+callHandler,
		"callback.function "+eq+` ""`, "callback.function "+eq+" f", "kind "+eq+" "+g.pick("call", "tlb", "resched", "irq_work", "other"))
}

func (g filters) expr(depth int) string {
	if depth == 0 || g.IntN(4) == 0 {
		return g.comparison()
	}
	switch a, b := g.expr(depth-1), g.expr(depth-1); g.IntN(5) {
	case 0, 1:
		return a + " && " + b
	case 2:
		return a + " || " + b
	case 3:
		return "(" + a + " || " + b + ")"
	default:
		return "!(" + a + ")"
	}
}

// twin is what ipi.bpf.c does with a program.
type twin struct{ program }

func (p twin) passes(e *sent) bool {
	at := 0
	for at < len(p.steps) {
		if s := &p.steps[at]; p.holds(s, e) == (s.When == 1) {
			at = int(s.Target)
		} else {
			at++
		}
	}
	return at == len(p.steps)
}

func (p twin) holds(s *rawStep, e *sent) bool {
	o := &e.key.Origin
	switch s.Field {
	case fieldThread, fieldComm:
		name := o.Thread
		if s.Field == fieldComm {
			name = o.Comm
		}
		var b [nameSize]byte
		for i := range b {
			b[i] = byte(s.Value[i/8] >> (i % 8 * 8))
		}
		return (name == b) == (ipifilter.Op(s.Op) == ipifilter.EQ)
	case fieldCPUIn:
		return p.sets[s.Set].Has(int(e.key.CPU))
	case fieldSenderIn:
		return p.sets[s.Set].Has(e.sender)
	case fieldMask:
		mask := e.mask
		if mask == nil {
			mask = ipi.MakeCPUs(int(e.key.CPU))
		}
		switch set := p.sets[s.Set]; ipifilter.Op(s.Op) {
		case ipifilter.EQ:
			return mask.Equal(set)
		case ipifilter.NE:
			return !mask.Equal(set)
		default:
			return mask.Intersects(set)
		}
	}
	v := map[uint8]int64{
		fieldCPU: int64(e.key.CPU), fieldSender: int64(e.sender), fieldTID: int64(int32(o.TID)), fieldTGID: int64(int32(o.TGID)),
		fieldKind: int64(e.key.Kind), fieldFunc: int64(e.key.Func),
	}[s.Field]
	with := int64(s.Value[0])
	op := ipifilter.Op(s.Op)
	if s.Field == fieldFunc && ipifilter.LE <= op && op <= ipifilter.GT {
		return compare(op, e.key.Func, s.Value[0]^1<<63)
	}
	switch op {
	case ipifilter.LE:
		return v <= with
	case ipifilter.LT:
		return v < with
	case ipifilter.GE:
		return v >= with
	case ipifilter.GT:
		return v > with
	}
	return compare(op, uint64(v), s.Value[0])
}

// TestFilterTwin: for random filters and all events of a small world, what sets, kernel and
// reader let pass together is what the filter lets pass.
func TestFilterTwin(t *testing.T) {
	const cpus = 3
	g := filters{rand.New(rand.NewPCG(7, 3)), cpus}
	tr := &Tracer{names: names{symbols: worldSymbols(), read: rereads}}
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
		if c := Check(); !c[1].OK {
			t.Skipf("no eBPF: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(coll.Close)
	return judge{coll, possibleCPUs()}
}

func (j judge) passes(t *testing.T, e *sent) bool {
	t.Helper()
	type slot struct {
		Key                         rawKey
		State, Late, Judged, Passed uint32
	}
	list := make([]slot, j.cpus)
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
	if passed < judged/10 || passed > judged*9/10 || len(seen) != int(fieldMask)+1 {
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
		{`cause ~ "ipi_s??c_core" && callback.function == ` + callHandler, n},
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

// TestFilterNothing: a filter that nothing can pass is no error.
func TestFilterNothing(t *testing.T) {
	for _, expr := range []string{"cpu == 0 && cpu == 1", "CPU == 0 && CPU == 1", "pid == 1 && pid == 2"} {
		tr, err := openWith(ipitrace.Options{Filter: mustFilter(t, expr)}, tuned)
		if err != nil {
			if c := Check(); !c[1].OK {
				t.Skip(err)
			}
			t.Fatalf("%s: %v", expr, err)
		}
		if s, err := tr.Close(); err != nil || len(s.Rows) > 0 {
			t.Errorf("%s: %v, rows %v", expr, err, s.Rows)
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
		started.finish(t)
		s := closed(t, tr)
		got := sum(t, s, func(r *ipi.Row) bool { return r.Cause == "ipi_sync_core" })
		if got.IPIs > test.want || got.IPIs < test.want*9/10 {
			t.Errorf("other %v: got %d, want %d", test.other, got.IPIs, test.want)
		}
	}
}
