package ipifilter

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

const worldCPUs = 6

// masks returns all sets of worldCPUs CPUs. The empty one is not nil: that would be a
// record without a mask.
func masks() []ipi.CPUs {
	var sets []ipi.CPUs
	for bits := range uint64(1) << worldCPUs {
		set := ipi.CPUs{}
		for cpu := range worldCPUs {
			if bits>>cpu&1 == 1 {
				set = set.With(cpu)
			}
		}
		sets = append(sets, set)
	}
	return sets
}

var setOps = []Op{EQ, NE, And}

// definition is what the operators mean, in the words of the documentation, on lists.
func definition(op Op, field, set []int) bool {
	common := slices.ContainsFunc(field, func(cpu int) bool { return slices.Contains(set, cpu) })
	switch op {
	case EQ:
		return slices.Equal(field, set)
	case NE:
		return !slices.Equal(field, set)
	}
	return common
}

func cpuList(c ipi.CPUs) []int { return slices.Collect(c.All()) }

// TestSetOperators compares cpumask, cpu and CPU with every set of 6 CPUs, by every operator,
// in a parsed and compiled filter: for CPUs that exist, all mean what is defined.
func TestSetOperators(t *testing.T) {
	n := 0
	check := func(x *Expr, r *Record, want bool) {
		t.Helper()
		if got := x.Match(r); got != want {
			t.Fatalf("%s of %+v: got %v, want %v", x, *r, got, want)
		}
		n++
	}
	for _, set := range masks()[1:] {
		for _, op := range setOps {
			text := func(field string) *Expr {
				return mustParse(t, fmt.Sprintf("%s %s CPUS{%s}", field, op, set), worldCPUs)
			}
			mask, target, sender := text("cpumask"), text("cpu"), text("CPU")
			for _, m := range masks() {
				check(mask, &Record{Mask: m}, definition(op, cpuList(m), cpuList(set)))
			}
			for cpu := range worldCPUs {
				want := definition(op, []int{cpu}, cpuList(set))
				check(mask, &Record{Target: cpu}, want) // without a mask
				check(target, &Record{Target: cpu, CPU: -1}, want)
				check(sender, &Record{CPU: cpu, Target: -1}, want)
			}
		}
	}
	if n != 63*3*(64+3*6) {
		t.Errorf("%d comparisons", n)
	}
}

// TestFastPaths proves the paths for one CPU equal to the general one, over all masks and
// sets of 6 CPUs.
func TestFastPaths(t *testing.T) {
	for _, op := range setOps {
		for _, set := range masks()[1:] {
			for cpu := range worldCPUs {
				one := ipi.MakeCPUs(cpu)
				if set.Len() > 1 && oneWithSet(op, cpu, set) != maskWithSet(op, one, set) {
					t.Errorf("%d %s {%s}: the path for one CPU differs", cpu, op, set)
				}
				if set.Len() == 1 && oneWithOne(op, cpu, set.First()) != maskWithSet(op, one, set) {
					t.Errorf("%d %s {%s}: the path for one CPU and one CPU differs", cpu, op, set)
				}
			}
			for cpu := range worldCPUs {
				// the set as the mask of the record, against a single CPU of the user
				if maskWithOne(op, set, cpu) != maskWithSet(op, set, ipi.MakeCPUs(cpu)) {
					t.Errorf("{%s} %s %d: the path for a single CPU differs", set, op, cpu)
				}
			}
		}
		for cpu := range worldCPUs {
			if maskWithOne(op, ipi.CPUs{}, cpu) != maskWithSet(op, nil, ipi.MakeCPUs(cpu)) {
				t.Errorf("{} %s %d: the path for a single CPU differs", op, cpu)
			}
		}
	}
}

// TestWhichPath: compile takes the path for one CPU exactly where the set is one CPU. A
// CPU that does not exist tells them apart, as it does in the kernel: != is true of it
// against one CPU (filter_pred_32) and false against two (filter_pred_32_cpumask), except of
// CPU, where the kernel does not look (filter_pred_cpu_cpumask).
func TestWhichPath(t *testing.T) {
	for _, test := range []struct {
		expr string
		want bool
	}{
		{"cpu != CPUS{1}", true},
		{"cpu == CPUS{1}", false},
		{"cpu & CPUS{1}", false},
		{"cpu != CPUS{1-2}", false},
		{"cpu == CPUS{1-2}", false},
		{"cpu & CPUS{1-2}", false},
		{"!(cpu == CPUS{1-2})", true},
		{"CPU != CPUS{1}", true},
		{"CPU != CPUS{1-2}", true},
		{"CPU & CPUS{1-2}", false},
	} {
		for _, cpu := range []int{-1, worldCPUs, worldCPUs + 1, 63, 64, 1 << 20} {
			if got := mustParse(t, test.expr, worldCPUs).Match(&Record{Target: cpu, CPU: cpu}); got != test.want {
				t.Errorf("%s of CPU %d of %d: got %v", test.expr, cpu, worldCPUs, got)
			}
		}
	}
}

// TestManyCPUs: sets of more than one word.
func TestManyCPUs(t *testing.T) {
	for _, test := range []struct {
		expr string
		mask []int
		want bool
	}{
		{"cpumask & CPUS{64-127}", []int{1, 63}, false},
		{"cpumask & CPUS{64-127}", []int{1, 64}, true},
		{"cpumask == CPUS{1,64}", []int{1, 64}, true},
		{"cpumask == CPUS{1}", []int{1, 129}, false},
		{"cpumask == CPUS{129}", []int{129}, true},
		{"cpumask == CPUS{129}", []int{1, 129}, false},
		{"cpumask != CPUS{129}", []int{129}, false},
		{"cpumask & CPUS{129}", []int{0, 129}, true},
		{"cpumask == CPUS{1-129}", []int{1, 129}, false},
	} {
		r := &Record{Mask: ipi.MakeCPUs(test.mask...)}
		if got := mustParse(t, test.expr, 130).Match(r); got != test.want {
			t.Errorf("%s of %v: got %v", test.expr, test.mask, got)
		}
	}
}

// TestNumberOperators: each operator around each value, at the ends of each field, too.
func TestNumberOperators(t *testing.T) {
	means := func(op Op, v, with int64) bool {
		switch op {
		case EQ:
			return v == with
		case NE:
			return v != with
		case LT:
			return v < with
		case LE:
			return v <= with
		case GT:
			return v > with
		case GE:
			return v >= with
		}
		return v&with != 0
	}
	values := []int64{math.MinInt32, -2, -1, 0, 1, 2, 3, 8, math.MaxInt32}
	set := map[Field]func(*Record, int64){
		Target: func(r *Record, v int64) { r.Target = int(v) },
		CPU:    func(r *Record, v int64) { r.CPU = int(v) },
		PID:    func(r *Record, v int64) { r.PID = int32(v) },
		TGID:   func(r *Record, v int64) { r.TGID = int32(v) },
	}
	n := 0
	for field, put := range set {
		for op := range opCount {
			if !fieldTypes[field].numbers.has(op) {
				continue
			}
			for _, with := range values {
				if with < fieldTypes[field].min {
					continue
				}
				x := mustParse(t, fmt.Sprintf("%s %s %d", field, op, with), worldCPUs)
				for _, v := range values {
					r := &Record{Target: 77, CPU: 77, PID: 77, TGID: 77}
					put(r, v)
					if got := x.Match(r); got != means(op, v, with) {
						t.Errorf("%s of %d: got %v", x, v, got)
					}
					n++
				}
			}
		}
	}
	if n != 9*(7*6+6*9+2*7*9) {
		t.Errorf("%d comparisons", n)
	}
}

// TestAddresses have no sign.
func TestAddresses(t *testing.T) {
	const low, high = 0x1000, 0xffffffff81000000
	for _, test := range []struct {
		expr           string
		func_, handler uint64
		want           bool
	}{
		{"func > 0x1000", high, 0, true},
		{"func < 0x1000", high, 0, false},
		{"func >= 0xffffffff81000000", high, 0, true},
		{"func <= 0xffffffff81000000", low, 0, true},
		{"func & 0x8000000000000000", high, 0, true},
		{"callback == 0", high, 0, true},
		{"callback != 0", high, 0, false},
		{"callback == 0xffffffff81000000", low, high, true},
	} {
		if got := mustParse(t, test.expr, 2).Match(&Record{Func: test.func_, Callback: test.handler}); got != test.want {
			t.Errorf("%s: got %v", test.expr, got)
		}
	}
}

func TestStrings(t *testing.T) {
	r := &Record{Comm: "kworker/0:1", Process: "kthreadd", Cause: "do_sync_core", Handler: "handler", Kind: ipi.TLB}
	for _, test := range []struct {
		expr string
		want bool
	}{
		{`comm == "kworker/0:1"`, true},
		{`comm == "kworker"`, false},
		{`process == "kthreadd" && process ~ "k*" && process != "kworker/0:1"`, true},
		{`comm != "kworker"`, true},
		{`comm == "k*"`, false}, // only ~ knows *
		{`comm ~ "k*"`, true},
		{`comm ~ "*1"`, true},
		{`comm ~ "kworker"`, false},
		{`cause == "do_sync_core"`, true},
		{`func.function != do_sync_core`, false},
		{`cause ~ "*sync*"`, true},
		{`callback.function == handler`, true},
		{`callback.function == do_sync_core`, false},
		{`kind == tlb`, true},
		{`kind != tlb`, false},
		{`kind == call`, false},
	} {
		if got := mustParse(t, test.expr, 2).Match(r); got != test.want {
			t.Errorf("%s: got %v", test.expr, got)
		}
	}
}

// TestLogic evaluates trees of three comparisons for all values of them.
func TestLogic(t *testing.T) {
	for _, test := range []struct {
		expr string
		want func(a, b, c bool) bool
	}{
		{"a && b && c", func(a, b, c bool) bool { return a && b && c }},
		{"a || b || c", func(a, b, c bool) bool { return a || b || c }},
		{"a || b && c", func(a, b, c bool) bool { return a || b && c }},
		{"a && b || c", func(a, b, c bool) bool { return a && b || c }},
		{"(a || b) && c", func(a, b, c bool) bool { return (a || b) && c }},
		{"!a && b || c", func(a, b, c bool) bool { return !a && b || c }},
		{"!(a && b) || c", func(a, b, c bool) bool { return !(a && b) || c }},
		{"!(a || !b && c)", func(a, b, c bool) bool { return !(a || !b && c) }},
		{"!!(a || b) && !(!c)", func(a, b, c bool) bool { return (a || b) && c }},
		{"a && !(!b || (c && a))", func(a, b, c bool) bool { return a && !(!b || (c && a)) }},
	} {
		text := ""
		for _, r := range test.expr {
			switch r {
			case 'a':
				text += "cpu == 1"
			case 'b':
				text += "pid == 1"
			case 'c':
				text += "tgid == 1"
			default:
				text += string(r)
			}
		}
		x := mustParse(t, text, 4)
		for v := range 8 {
			r := &Record{Target: v & 1, PID: int32(v >> 1 & 1), TGID: int32(v >> 2)}
			if got, want := x.Match(r), test.want(v&1 == 1, v>>1&1 == 1, v>>2 == 1); got != want {
				t.Errorf("%s of %+v: got %v", test.expr, r, got)
			}
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	r := &Record{CPU: 1, Target: 2, Mask: ipi.MakeCPUs(2, 3), PID: 1234, TGID: 1234, Comm: "chronyd", Cause: "do_sync_core"}
	for _, expr := range []string{"cpu & CPUS{2}", "cpu & CPUS{2-3}", "cpumask & CPUS{2}", "cpumask & CPUS{2-3}", `cpu & CPUS{2-3} && comm != "swapper/1" && !(pid == 1 || cause ~ "*tlb*")`} {
		b.Run(expr, func(b *testing.B) {
			x := mustParse(b, expr, 64)
			for b.Loop() {
				if !x.Match(r) {
					b.Fatal("no match")
				}
			}
		})
	}
}
