package ipifilter

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func mustParse(t testing.TB, expr string, cpus int) *Expr {
	t.Helper()
	x, err := Parse(expr, cpus)
	if err != nil {
		t.Fatalf("%q: %v", expr, err)
	}
	return x
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"cpu & CPUS{2-3}", "cpu & CPUS{2-3}"},
		{"cpu&CPUS{3,2}", "cpu & CPUS{2-3}"},
		{" cpumask\t==\nCPUS{ all } ", "cpumask == CPUS{0-15}"},
		{"CPU != CPUS{N}", "CPU != CPUS{15}"},
		{"common_cpu & CPUS{0-15:1/4}", "CPU & CPUS{0,4,8,12}"},
		{"cpu == 010", "cpu == 8"},
		{"cpu == 0x1F", "cpu == 31"},
		{"cpu == 4294967295", "cpu == 4294967295"},
		{"CPU > -1", "CPU > -1"},
		{"common_pid <= 12", "pid <= 12"},
		{"pid & 3 && tgid != -0x10", "pid & 3 && tgid != -16"},
		{`comm == 'a"b'`, `comm == 'a"b'`},
		{`comm == 'ab'`, `comm == "ab"`},
		{`COMM ~ "k*"`, `comm ~ "k*"`},
		{`comm == ""`, `comm == ""`},
		{`comm ~ "\!x"`, `comm ~ "\!x"`},
		{"func.function == do_sync_core", `cause == "do_sync_core"`},
		{"cause != flush_tlb_func.isra.0", `cause != "flush_tlb_func.isra.0"`},
		{`cause ~ "*flush*"`, `cause ~ "*flush*"`},
		{"callback.function == generic_smp_call_function_single_interrupt", `callback.function == "generic_smp_call_function_single_interrupt"`},
		{"callback == 0", "callback == 0x0"},
		{"func >= 0xffffffff81000000", "func >= 0xffffffff81000000"},
		{"func == 18446744073709551615", "func == 0xffffffffffffffff"},
		{"kind == resched", `kind == "resched"`},
		{`kind != "irq_work"`, `kind != "irq_work"`},
		{"cpu == 1 && pid == 2 || pid == 3", "cpu == 1 && pid == 2 || pid == 3"},
		{"cpu == 1 && (pid == 2 || pid == 3)", "cpu == 1 && (pid == 2 || pid == 3)"},
		{"(cpu == 1 && pid == 2) || pid == 3", "cpu == 1 && pid == 2 || pid == 3"},
		{"pid == 1 && (pid == 2 && (pid == 3))", "pid == 1 && pid == 2 && pid == 3"},
		{"pid == 1 || (pid == 2 || pid == 3)", "pid == 1 || pid == 2 || pid == 3"},
		{"!cpu == 1 && pid == 2", "!(cpu == 1) && pid == 2"},
		{"!(cpu == 1 && pid == 2)", "!(cpu == 1 && pid == 2)"},
		{"! ! cpu == 1", "cpu == 1"},
		{"!(!(cpu == 1))", "cpu == 1"},
		{"!!!(cpu == 1 || !pid == 1)", "!(cpu == 1 || !(pid == 1))"},
		{"(((cpu == 1)))", "cpu == 1"},
		{"func.function == f&&cpu==1", `cause == "f" && cpu == 1`},
	} {
		x, err := Parse(test.in, 16)
		if err != nil || x.String() != test.want {
			t.Errorf("%q: got %q, %v, want %q", test.in, x, err, test.want)
		}
	}
	if (*Expr)(nil).String() != "" || !(*Expr)(nil).Match(&Record{}) || (*Expr)(nil).Uses(Target) {
		t.Error("a nil filter is not the one that lets everything pass")
	}
}

// TestErrors: what is expected, what is found, and a caret. The second line of each
// case is under the character at fault.
func TestErrors(t *testing.T) {
	for _, test := range []struct{ expr, caret, expected, found string }{
		// lists of CPUs
		{"cpu & CPUS{}", "           ^", "a CPU number from 0 to 15", `"}"`},
		{"cpu & CPUS{ , }", "              ^", "a CPU number from 0 to 15", `"}"`},
		{"cpu & CPUS{3-1}", "             ^", "the end of the range to be at least 3", `"1"`},
		{"cpu & CPUS{1,16}", "             ^", "a CPU number from 0 to 15", `"16"`},
		{"cpu & CPUS{0-16}", "             ^", "a CPU number from 0 to 15", `"16"`},
		{"cpu & CPUS{2-}", "             ^", "a CPU number from 0 to 15", `"}"`},
		{"cpu & CPUS{1,x3}", "             ^", "a CPU number from 0 to 15", `"x3"`},
		{"cpu & CPUS{1;3}", "            ^", `"-", a comma or the end`, `";3"`},
		{"cpu & CPUS{0-7:0/2}", "               ^", "at least 1", `"0/2"`},
		{"cpu & CPUS{0-7:3/2}", "                 ^", "the size of the groups, at least 3", `"2"`},
		{"cpu & CPUS{1", "            ^", "the } of the { at character 11", "the end"},
		{"cpu & CPUS", "          ^", "{ right behind CPUS", "the end"},
		{"cpu & CPUS {1}", "          ^", "{ right behind CPUS", `" "`},
		{"cpu & CPUS(1)", "          ^", "{ right behind CPUS", `"("`},
		// fields and operators
		{"", "^", "a field: cpu, cpumask, CPU, pid, tgid, comm, process, cause, func, callback.function, callback or kind", "the end"},
		{"  ", "  ^", "a field", "the end"},
		{"cup == 1", "^", "a field", `"cup"`},
		{"cpu.function == f", "^", "a field", `"cpu.function"`},
		{"cpu = 1", "    ^", "an operator of cpu: !=, ==, <=, <, >=, >, &", `"="`},
		{"cpu", "   ^", "an operator of cpu", "the end"},
		{"cpu && pid == 1", "    ^", "an operator of cpu", `"&&"`},
		{"cpumask < CPUS{1}", "        ^", "an operator of cpumask: !=, ==, &", `"<"`},
		{"comm & 1", "     ^", "an operator of comm: !=, ==, ~", `"&"`},
		{`kind ~ "c*"`, "     ^", "an operator of kind: !=, ==", `"~"`},
		// values
		{"cpu == ", "       ^", "a number or CPUS{list} behind cpu ==", "the end"},
		{"cpu < CPUS{1}", "      ^", "a number behind cpu <", `"CPUS"`},
		{"CPU & 1", "      ^", "CPUS{list} behind CPU &", `"1"`},
		{"cpumask == 3", "           ^", "CPUS{list} behind cpumask ==", `"3"`},
		{"pid & CPUS{1}", "      ^", "a number behind pid &", `"CPUS"`},
		{"cpu == x", "       ^", "a number or CPUS{list}", `"x"`},
		{"cpu == 08", "       ^", "a number, such as", `"08"`},
		{"cpu == 1x", "       ^", "a number, such as", `"1x"`},
		{"cpu == 0x", "       ^", "a number, such as", `"0x"`},
		{"cpu == 0b1", "       ^", "a number, such as", `"0b1"`},
		{"cpu == 1_0", "       ^", "a number, such as", `"1_0"`},
		{"cpu == -", "       ^", "a number, such as", `"-"`},
		{"cpu == -1", "       ^", "a number from 0 to 4294967295, as cpu can hold", `"-1"`},
		{"cpu == 4294967296", "       ^", "a number from 0 to 4294967295", `"4294967296"`},
		{"pid == 2147483648", "       ^", "a number from -2147483648 to 2147483647", `"2147483648"`},
		{"pid == -99999999999999999999", "       ^", "fits into 64 bits", `"-99999999999999999999"`},
		{"callback == -1", "            ^", "a number from 0: callback has no sign", `"-1"`},
		{"comm == bash", "        ^", `a string in quotes, such as "chronyd"`, `"bash"`},
		{`comm == "bash`, "             ^", `a printable character or the " that ends the string at character 9`, "the end"},
		{"comm == \"a\nb\"", "          ^", "a printable character", `"\n"`},
		{`comm ~ "!x"`, "        ^", "a pattern without ! in front", `"!x\""`},
		{"cause ~ f", "        ^", "a string in quotes", `"f"`},
		{"cause ==", "        ^", "a name", "the end"},
		{"kind == softirq", "        ^", "one of call, tlb, resched, irq_work, other", `"softirq"`},
		// what joins comparisons
		{"cpu == 1 pid == 2", "         ^", "&&, || or the end", `"pid"`},
		{"cpu == 1 & pid == 2", "         ^", "&&, || or the end", `"&"`},
		{"cpu == 1 &&", "           ^", "a field", "the end"},
		{"cpu == 1 || || pid == 2", "            ^", "a field", `"||"`},
		{"cpu == 1)", "        ^", "&&, || or the end", `")"`},
		{"(cpu == 1", "         ^", "&&, || or the ) of the ( at character 1", "the end"},
		{"()", " ^", "a field", `")"`},
		{"!", " ^", "a field", "the end"},
		{"cpu != 1 && (pid == 1 || (tgid == 2 && pid == 3)", strings.Repeat(" ", 48) + "^", "the ) of the ( at character 13", "the end"},
	} {
		_, err := Parse(test.expr, 16)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: got %v", test.expr, err)
			continue
		}
		if e.Pos != len(test.caret)-1 || !strings.Contains(e.Expected, test.expected) || e.Found != test.found {
			t.Errorf("%s\n%s\ngot  position %d, expected %s, found %s\nwant expected %s, found %s",
				test.expr, test.caret, e.Pos, e.Expected, e.Found, test.expected, test.found)
		}
		if test.expr == "" {
			continue
		}
		lines := strings.Split(e.Error(), "\n")
		if len(lines) != 3 || lines[2] != "  "+test.caret {
			t.Errorf("%q: the caret is wrong:\n%v", test.expr, e)
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, test := range []struct{ expr, want string }{
		{"cpu & CPUS{2-x}", `filter: expected a CPU number from 0 to 3, found "x"
  cpu & CPUS{2-x}
               ^`},
		{"comm == \"\u00e4\u00f6\" &\tpid\u0000", `filter: expected &&, || or the end, found "&"
  comm == "äö" & pid?
               ^`},
		{strings.Repeat("cpu == 1 && ", 10) + "cup == 1 && " + strings.Repeat("cpu == 1 && ", 10), `filter: expected a field: cpu, cpumask, CPU, pid, tgid, comm, process, cause, func, callback.function, callback or kind, found "cup"
  ...cpu == 1 && cpu == 1 && cpu == 1 && cpu == 1 && cpu == 1 && cup == 1 && cpu == 1 && cpu ==...
                                                                 ^`},
		{"", "filter: expected a field: cpu, cpumask, CPU, pid, tgid, comm, process, cause, func, callback.function, callback or kind, found the end"},
	} {
		_, err := Parse(test.expr, 4)
		if err == nil || err.Error() != test.want {
			t.Errorf("got\n%v\nwant\n%s", err, test.want)
		}
	}
}

func TestNesting(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("(", n) + "cpu == 1" + strings.Repeat(")", n) }
	mustParse(t, nested(nestingMax), 4)
	mustParse(t, strings.Repeat(nested(3)+" || ", 1000)+"pid == 1", 4)
	mustParse(t, strings.Repeat("!", 100_001)+"cpu == 1", 4)
	var e *Error
	if _, err := Parse(nested(nestingMax+1), 4); !errors.As(err, &e) || e.Pos != nestingMax {
		t.Errorf("got %v", err)
	}
}

// TestEveryFieldIsWhole: the table has a row for each field, and each row an operator.
func TestEveryFieldIsWhole(t *testing.T) {
	for f := range fieldCount {
		row := fieldTypes[f]
		if row.name == "" || row.numbers|row.sets|row.strings == 0 {
			t.Errorf("field %d has the row %+v", f, row)
		}
		if got, ok := lookupField(row.name); !ok || got != f {
			t.Errorf("%s is looked up as %v, %v", row.name, got, ok)
		}
	}
}

// FuzzParse: no panic; errors point into the expression; what is printed reads back as the
// same filter, and prints alike.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "cpu & CPUS{2-3,8} && comm != \"migration/2\"", "cpumask & CPUS{all:1/2} && !(CPU & CPUS{0} || pid == 1234)",
		"func.function == do_sync_core && comm ~ \"chron*\"", "!(!(kind == tlb)) || callback == 0", "cpu == 0x1 && (tgid < -3",
		"cpu & CPUS{3-1}", "comm == 'a\"b'", "func >= 0xffffffff81000000", "cause ~ '[a-",
	} {
		f.Add(s, 16)
	}
	f.Fuzz(func(t *testing.T, s string, cpus int) {
		x, err := Parse(s, cpus)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Pos < 0 || e.Pos > len(s) || e.Found == "" || e.Expected == "" || e.Error() == "" {
				t.Fatalf("%q: %#v", s, err)
			}
			return
		}
		again, err := Parse(x.String(), cpus)
		if err != nil {
			t.Fatalf("%q is printed %q: %v", s, x, err)
		}
		if !reflect.DeepEqual(x.root, again.root) || x.String() != again.String() {
			t.Fatalf("%q: %q reads back as %q", s, x, again)
		}
		r := &Record{CPU: 1, Target: 2, PID: 3, TGID: 4, Comm: "comm", Cause: "cause"}
		if x.Match(r) != again.Match(r) {
			t.Fatalf("%q and %q differ", s, x)
		}
		for _, e := range []Event{SendCPU(), SendCPUMask(), QueueCPU()} {
			kernel, rest := x.Split(e)
			if kernel == "" && rest == nil {
				t.Fatalf("%q is lost for %s", s, e.Name)
			}
		}
		Lower(x, x.cpus)
	})
}
