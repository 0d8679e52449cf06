package ipifilter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// only f is a name that one function has.
func onlyF(name string) bool { return name == "f" }

func withFunctions(e Event) Event {
	e.Function = onlyF
	return e
}

func merged(e Event) Event {
	e.Single = false
	return e
}

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		event              Event
		expr, kernel, rest string
	}{
		{SendCPU(), "cpu & CPUS{2-3}", "cpu & CPUS{2-3}", ""},
		{SendCPU(), `cpu == CPUS{2} && tgid == 7 && comm != "a"`, `cpu == CPUS{2} && comm != "a"`, "tgid == 7"},
		{SendCPU(), "CPU & CPUS{1} || pid == 7", "(CPU & CPUS{1} || common_pid == 7)", ""},
		{SendCPU(), "CPU & CPUS{1} || tgid == 7", "", "CPU & CPUS{1} || tgid == 7"},
		{SendCPU(), "cpumask & CPUS{2-3} && cpumask != CPUS{2}", "cpu & CPUS{2-3} && cpu != CPUS{2}", ""},
		{SendCPU(), "!(cpu & CPUS{2-3} || pid <= 7)", "!(cpu & CPUS{2-3}) && common_pid > 7", ""},
		{SendCPU(), "!(cpu & CPUS{2-3} && tgid != 7)", "", `!(cpu & CPUS{2-3}) || tgid == 7`},
		{SendCPU(), "callback != 0 && kind == call", "callback != 0x0", `kind == "call"`},
		{SendCPU(), `cause == "f"`, "", `cause == "f"`},
		{SendCPU(), "callback.function == f", "", `callback.function == "f"`},
		{withFunctions(SendCPU()), "!(callback.function == f)", "callback.function != f", ""},
		{SendCPU(), "(cpu == 1 && (pid == 2 && tgid == 3)) && CPU > 0", "cpu == 1 && common_pid == 2 && CPU > 0", "tgid == 3"},
		{SendCPU(), "pid == 1 && tgid == 3 || pid == 2", "(common_pid == 1 || common_pid == 2)", "pid == 1 && tgid == 3 || pid == 2"},

		{SendCPUMask(), "cpumask & CPUS{2-3}", "cpumask & CPUS{2-3}", ""},
		{SendCPUMask(), "cpu & CPUS{2}", "cpumask & CPUS{2}", "cpu & CPUS{2}"},
		{SendCPUMask(), "cpu >= 2 && CPU == 0", "cpumask & CPUS{2-3} && CPU == 0", "cpu >= 2"},
		{SendCPUMask(), "!(cpu & CPUS{1-3})", "cpumask & CPUS{0}", "!(cpu & CPUS{1-3})"},
		{SendCPUMask(), "cpu < 7", "", "cpu < 7"},
		{SendCPUMask(), "cpu > 7", "", "cpu > 7"},
		{SendCPUMask(), "cpu == 1 || pid == 7", "(cpumask & CPUS{1} || common_pid == 7)", "cpu == 1 || pid == 7"},
		{SendCPUMask(), "cpu == 1 || tgid == 7", "", "cpu == 1 || tgid == 7"},

		{QueueCPU(), `cause == "f" && func >= 0xff`, "func >= 0xff", `cause == "f"`},
		{withFunctions(QueueCPU()), `cause == "f"`, "func.function == f", ""},
		{withFunctions(QueueCPU()), `cause == "g"`, "", `cause == "g"`},
		{withFunctions(QueueCPU()), `cause ~ "f"`, "", `cause ~ "f"`},
		{withFunctions(QueueCPU()), `cpu == 1 || cause != f`, "(cpu == 1 || func.function != f )", ""},
		{withFunctions(QueueCPU()), `cause == f && cpu == 1`, "func.function == f  && cpu == 1", ""},

		{merged(QueueCPU()), "cpu == 2 && cpumask & CPUS{2}", "cpu == 2", "cpumask & CPUS{2}"},
		{QueueCPU(), `comm ~ "*sh"`, `comm ~ "*\sh"`, ""},
		{QueueCPU(), `comm ~ "1*"`, `comm ~ "\1*"`, ""},
		{QueueCPU(), `comm ~ "a*"`, `comm ~ "a*"`, ""},
		{QueueCPU(), `comm ~ "*a*"`, `comm ~ "*a*"`, ""},
		{QueueCPU(), `comm ~ "*"`, `comm ~ "*"`, ""},
		{QueueCPU(), `comm == '"'`, `comm == '"'`, ""},
		{QueueCPU(), fmt.Sprintf(`comm == "%s"`, strings.Repeat("a", 256)), "", fmt.Sprintf(`comm == "%s"`, strings.Repeat("a", 256))},
	} {
		kernel, rest := mustParse(t, test.expr, 4).Split(test.event)
		if kernel != test.kernel || rest.String() != test.rest {
			t.Errorf("%s, for %s:\ngot  %q, rest %q\nwant %q, rest %q", test.expr, test.event.Name, kernel, rest, test.kernel, test.rest)
		}
	}
	if kernel, rest := (*Expr)(nil).Split(SendCPU()); kernel != "" || rest != nil {
		t.Errorf("nothing is split into %q and %q", kernel, rest)
	}
}

// TestSplitFits: what does not fit into the kernel's page stays outside.
func TestSplitFits(t *testing.T) {
	text := "cpu == 0"
	for pid := range 1000 {
		text += fmt.Sprintf(" && pid != %d", pid)
	}
	x := mustParse(t, text, 4)
	kernel, rest := x.Split(SendCPU())
	if len(kernel) > kernelMax || len(kernel) < kernelMax-100 || rest == nil {
		t.Fatalf("%d bytes for the kernel, rest %.50s", len(kernel), rest)
	}
	both := mustParse(t, strings.ReplaceAll(kernel, "common_pid", "pid")+" && "+rest.String(), 4)
	if len(both.root.kids) != 1001 {
		t.Errorf("%d of 1001 comparisons are left", len(both.root.kids))
	}
}

// generator makes filters of a small world.
type generator struct {
	*rand.Rand
	cpus int
}

func (g generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g generator) list() string {
	set := ipi.CPUs{}
	for set.Len() == 0 {
		for cpu := range g.cpus {
			if g.IntN(2) == 0 {
				set = set.With(cpu)
			}
		}
	}
	return set.String()
}

func (g generator) comparison() string {
	eq := g.pick("==", "!=")
	order := g.pick("==", "!=", "<", "<=", ">", ">=")
	switch g.IntN(12) {
	case 0:
		return "cpumask " + g.pick("==", "!=", "&") + " CPUS{" + g.list() + "}"
	case 1, 2:
		return "cpu " + g.pick("==", "!=", "&") + " CPUS{" + g.list() + "}"
	case 3:
		return "CPU " + g.pick("==", "!=", "&") + " CPUS{" + g.list() + "}"
	case 4:
		return fmt.Sprintf("cpu %s %d", g.pick(order, "&"), g.IntN(g.cpus+1))
	case 5:
		return fmt.Sprintf("CPU %s %d", order, g.IntN(g.cpus+2)-1)
	case 6:
		return fmt.Sprintf("pid %s %d", g.pick(order, "&", "=="), 1+g.IntN(3))
	case 7:
		return fmt.Sprintf("tgid %s %d", g.pick(order, "=="), 1+g.IntN(2))
	case 8:
		return fmt.Sprintf(`comm %s "%s"`, g.pick(eq, "~"), g.pick("bash", "sh", "b*", "*h", "*as*", "1b*", "*", "b?sh", "[!b]*", "b*h", "1*", "", "**", "*1b"))
	case 9:
		return "func.function " + eq + " " + g.pick("f", "g")
	case 10:
		return g.pick("callback == 0", "callback != 0", "callback.function == f", "func < 0x3000")
	}
	return "kind " + eq + " " + g.pick("call", "resched")
}

func (g generator) expr(depth int) string {
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

// functions of the world: two have the name g, and the kernel finds the first.
var worldSymbols = []kernelSymbol{{"f", 0x1000, 0x2000}, {"g", 0x2000, 0x3000}, {"g", 0x4000, 0x5000}}

// world returns records of IPIs among some CPUs: to each victim of each mask, or of an event
// for one victim.
func world(cpus int, single bool) []Record {
	var list []Record
	add := func(r Record) {
		for sender := range cpus {
			for _, who := range []struct {
				pid, tgid int32
				comm      string
			}{{1, 1, "bash"}, {2, 1, "1b"}, {3, 2, "b"}} {
				for i, fn := range []kernelSymbol{worldSymbols[0], worldSymbols[1], worldSymbols[2], {"", 0x9000, 0}} {
					r := r
					r.CPU, r.PID, r.TGID, r.Comm = sender, who.pid, who.tgid, who.comm
					r.Cause, r.Func = fn.name, fn.start+4
					r.Kind, r.Callback, r.Handler = ipi.Call, 0x1004, "f"
					if i%2 == 1 {
						r.Kind, r.Callback, r.Handler = ipi.Resched, 0, ""
					}
					list = append(list, r)
				}
			}
		}
	}
	for target := range cpus {
		if single {
			add(Record{Target: target})
			continue
		}
		for bits := range uint64(1) << cpus {
			if bits>>target&1 == 1 {
				mask := ipi.CPUs{bits}
				add(Record{Target: target, Mask: mask})
			}
		}
	}
	return list
}

// kernelEventOf is the event that a record was made of.
func kernelEventOf(e Event, r *Record, cpus int) *kernelEvent {
	ev := &kernelEvent{cpu: r.CPU, pid: r.PID, comm: r.Comm, cpus: cpus, symbols: worldSymbols, fields: map[string]kernelField{}}
	put := func(f Field, field kernelField) {
		if name, ok := e.Fields[f]; ok {
			ev.fields[name] = field
		}
	}
	put(Target, kernelField{size: 4, value: uint64(r.Target)})
	put(Mask, kernelField{size: 4, mask: slices.Collect(r.Mask.All())})
	put(Func, kernelField{size: 8, value: r.Func})
	put(Callback, kernelField{size: 8, value: r.Callback})
	return ev
}

// TestSplitIsSound: for random filters and all records of a small world, a record passes the
// filter exactly if it passes what the kernel was given and the rest.
func TestSplitIsSound(t *testing.T) {
	const cpus = 3
	g := generator{rand.New(rand.NewPCG(7, 1)), cpus}
	events := []Event{withFunctions(SendCPU()), withFunctions(SendCPUMask()), withFunctions(QueueCPU())}
	exact, weak, none := 0, 0, 0
	rounds := 600
	if testing.Short() {
		rounds = 150
	}
	for range rounds {
		text := g.expr(3)
		x := mustParse(t, text, cpus)
		for _, e := range events {
			kernel, rest := x.Split(e)
			switch {
			case rest == nil:
				exact++
			case kernel != "":
				weak++
			default:
				none++
			}
			if kernel == "" {
				kernel = "CPU >= 0"
			}
			for _, r := range world(cpus, e.Single) {
				passed, err := kernelEval(kernel, kernelEventOf(e, &r, cpus))
				if err != nil {
					t.Fatalf("%s: the kernel refuses %q: %v", text, kernel, err)
				}
				if got, want := passed && rest.Match(&r), x.Match(&r); got != want {
					t.Fatalf("%s for %s\nis split into %q and %q\n%+v: got %v, want %v", text, e.Name, kernel, rest, r, got, want)
				}
			}
		}
	}
	if exact < rounds/4 || weak < rounds/4 || none < rounds/10 {
		t.Errorf("%d exact, %d in part, %d not at all: the filters are one-sided", exact, weak, none)
	}
}

func TestLower(t *testing.T) {
	for _, test := range []struct{ expr, sets, rest string }{
		{"cpu & CPUS{2-3}", "{2-3 0-3 [] [] []}", ""},
		{"cpu & CPUS{2-3} && CPU != 0 && pid == 7", "{2-3 1-3 [] [7] []}", ""},
		{"cpu & CPUS{2-3} && !(cpu == 2)", "{3 0-3 [] [] []}", ""},
		{"cpu == 1 && cpu == 2", "{ 0-3 [] [] []}", ""},
		{"cpumask & CPUS{2-3} && cpumask & CPUS{1}", "{0-3 0-3 [2-3 1] [] []}", ""},
		{"cpumask == CPUS{2-3}", "{0-3 0-3 [] [] []}", "cpumask == CPUS{2-3}"},
		{"pid == 3 || pid == 1 || pid == 3", "{0-3 0-3 [] [1 3] []}", ""},
		{"!(pid != 3 && pid != 1) && pid > 1", "{0-3 0-3 [] [1 3] []}", "pid > 1"},
		{"tgid == 3 && (pid == 1 || pid == 2)", "{0-3 0-3 [] [1 2] [3]}", ""},
		{"pid != 3", "{0-3 0-3 [] [] []}", "pid != 3"},
		{"cpu == 1 && pid == 3 || cpu == 2 && pid == 4", "{1-2 0-3 [] [3 4] []}", "cpu == 1 && pid == 3 || cpu == 2 && pid == 4"},
		{"cpu == 1 || CPU == 1", "{0-3 0-3 [] [] []}", "cpu == 1 || CPU == 1"},
		{`comm == "a" && cpu < 1`, "{0 0-3 [] [] []}", `comm == "a"`},
	} {
		s, rest := Lower(mustParse(t, test.expr, 4), 4)
		if got := fmt.Sprint(s); got != test.sets || rest.String() != test.rest {
			t.Errorf("%s: got %s, rest %q, want %s, rest %q", test.expr, got, rest, test.sets, test.rest)
		}
	}
	for _, none := range []string{"pid == 1 && pid == 2", "pid == 1 && (pid == 2 || pid == 3)", "(pid == 1 && pid == 2) || (pid == 3 && pid == 4)"} {
		if s, rest := Lower(mustParse(t, none, 4), 4); s.PIDs == nil || len(s.PIDs) > 0 || rest != nil {
			t.Errorf("%s: PIDs %#v, rest %q", none, s.PIDs, rest)
		}
	}
	if s, rest := Lower(nil, 4); !s.Match(&Record{Target: 3, CPU: 3, PID: 5}) || rest != nil {
		t.Errorf("nothing is lowered to %+v, rest %q", s, rest)
	}
}

// TestLowerIsSound is TestSplitIsSound for sets.
func TestLowerIsSound(t *testing.T) {
	const cpus = 3
	g := generator{rand.New(rand.NewPCG(7, 2)), cpus}
	records := append(world(cpus, true), world(cpus, false)...)
	whole, narrowed := 0, 0
	rounds := 1000
	if testing.Short() {
		rounds = 200
	}
	for range rounds {
		text := g.expr(3)
		x := mustParse(t, text, cpus)
		s, rest := Lower(x, cpus)
		if rest == nil {
			whole++
		}
		if s.Targets.Len() < cpus || s.Senders.Len() < cpus || s.Masks != nil || s.PIDs != nil || s.TGIDs != nil {
			narrowed++
		}
		for _, r := range records {
			if got, want := s.Match(&r) && rest.Match(&r), x.Match(&r); got != want {
				t.Fatalf("%s\nis lowered to %v and %q\n%+v: got %v, want %v", text, s, rest, r, got, want)
			}
		}
	}
	if whole < rounds/10 || narrowed < rounds/6 {
		t.Errorf("%d without a rest, %d with narrower sets: the filters are one-sided", whole, narrowed)
	}
}
