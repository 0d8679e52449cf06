package ipireport

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// complete is the sample without lost events: 600 calls of chronyd, half of them by each CPU
// and each system call, 36 TLB of java on CPU 2, 6 and 1 of the kernel; 30 s.
func complete() *Report {
	r := sampleCollector().Report()
	r.Lost = 0
	return r
}

func TestAssertions(t *testing.T) {
	for _, test := range []struct {
		expr  string
		holds bool
	}{
		{"ipis <= 643", true},
		{"ipis <= 642", false},
		{"ipis < 643", false},
		{"ipis < 644", true},
		{"ipis >= 643", true},
		{"ipis > 643", false},
		{"ipis == 643", true},
		{"ipis != 643", false},
		{"ipis != 1", true},
		{"ipis(cpu=2,kind=tlb) < 37", true},
		{"ipis(cpu=2,kind=tlb) < 36", false},
		{"ipis(cpu=3,kind=tlb) <= 0", true},
		{"ipis(cpu=2) == 337", true},
		{"ipis(cpu=2-3) == 643", true},
		{"ipis(cpu=2,3) == 643", true},
		{"ipis(cpu=0-1) == 1", false},
		{"ipis(comm=chrony*) == 600", true},
		{`ipis(comm="chrony*|java") == 636`, true},
		{"ipis(comm='chronyd') == 600", true},
		{"ipis(pid=900)==36", true},
		{"ipis(pid=9000) == 0", true},
		{"ipis(cause=flush_tlb_func) == 36", true},
		{"ipis(syscall=close) == 300", true},
		{"ipis(detail=SO_TIMESTAMP*) == 300", true},
		{"ipis(path=netstamp_clear) == 600", true},
		{`ipis(path="softirq NET_RX") == 7`, true},
		{"ipis(remedy=netstamp) == 600", true},
		{"ipis(remedy=netst*|vmstat) == 600", true},
		{"ipis(remedy=*) == 643", true},
		{"ipis(remedy='') == 0", true},
		{"ipis(kind=*) == 643", true},
		{"ipis(thread='GC Thread#0') == 21", true},
		{"ipis(cgroup=*docker*, kind=tlb|resched) == 36", true},
		{"ipis(kind=tlb|resched) == 42", true},
		{"queued == 638", true},
		{"queued < 638", false},
		{"rate < 21.5/s", true},
		{"rate < 21.4/s", false},
		{"rate(kind=irq_work) <= 2/min", true},
		{"rate(kind=irq_work) < 2/min", false},
		{"rate(kind=irq_work) <= 120 / h", true},
		{"cost <= 932.4us", true},
		{"cost < 932.4us", false},
		{"cost < 0.001s", true},
		{"cost(kind=tlb) == 32400 ns", true},
		{"cost >= 1ms", false},
		{"self_ipis == 126", true},
		{"self_ipis < 126", false},
		{"lost == 0", true},
		{"lost > 0", false},
		{"ipis > 0 && lost == 0 && rate < 100/s", true},
		{"ipis > 0 && lost == 1", false},
		{"\tipis\n>0 ", true},
	} {
		a, err := ParseAssertion(test.expr, 4)
		if err != nil {
			t.Errorf("%q: %v", test.expr, err)
			continue
		}
		if failures := a.Check(complete()); (len(failures) == 0) != test.holds {
			t.Errorf("%q: failures %v, want holds: %v", test.expr, failures, test.holds)
		}
	}
}

// TestAssertionsUnproved: what cannot be known is not called true.
func TestAssertionsUnproved(t *testing.T) {
	lost := func(r *Report) { r.Lost = 1 }
	for _, test := range []struct {
		expr   string
		change func(*Report)
		reason string // "" if it holds
	}{
		{"ipis <= 1000", lost, "1 event was lost"},
		{"rate == 0/s", func(r *Report) { r.Rows = nil; r.Lost = 2 }, "2 events were lost"},
		{"ipis >= 600", lost, ""},
		{"lost <= 1", lost, ""},
		{"ipis <= 1000", func(r *Report) { r.Incomplete = "cut" }, "not complete: cut"},
		{"ipis >= 600", func(r *Report) { r.Incomplete = "cut" }, "not complete: cut"},
		{"rate < 1/s", func(r *Report) { r.Duration = 0 }, "no time has passed"},
		{"ipis <= 1000", func(r *Report) { r.Duration = 0 }, "no time has passed"},
		{"lost == 0", func(r *Report) { r.Duration = 0 }, "no time has passed"},
		{"lost == 0", func(r *Report) { r.Duration = 1 }, ""},
		{"ipis < 1000", func(r *Report) { r.Duration = time.Millisecond - 1 }, "only 999.999µs were watched"},
		{"rate > 1/s", func(r *Report) { r.Duration = time.Millisecond - 1 }, "only 999.999µs were watched"},
		{"ipis < 1000", func(r *Report) { r.Duration = time.Millisecond }, ""},
		{"ipis >= 600", func(r *Report) { r.Duration = 0 }, ""},
		{"cost < 1us", func(r *Report) {
			for i := range r.Rows {
				r.Rows[i].CostNS = 0
			}
		}, "not measured"},
		{"ipis(comm=x) == 0", func(r *Report) { r.Folded = 1 }, "too many rows"},
		{"ipis == 643", func(r *Report) { r.Folded = 1 }, ""},
	} {
		a, err := ParseAssertion(test.expr, 4)
		if err != nil {
			t.Fatal(err)
		}
		r := complete()
		test.change(r)
		failures := a.Check(r)
		if test.reason == "" {
			if len(failures) > 0 {
				t.Errorf("%s: %v", test.expr, failures)
			}
			continue
		}
		if len(failures) != 1 || !strings.Contains(failures[0].Reason, test.reason) || !strings.Contains(failures[0].String(), test.reason) {
			t.Errorf("%s: got %v, want %q", test.expr, failures, test.reason)
		}
	}
}

// TestAssertionsOfCPUs: CPUs that were not watched had no IPIs that anybody knows of.
func TestAssertionsOfCPUs(t *testing.T) {
	const unknown = "which CPUs were watched is not known"
	for _, test := range []struct {
		expr, victims string
		cpus          int
		reason        string // "" if it holds
	}{
		{"ipis(cpu=2) <= 1000", "2-3", 4, ""},
		{"ipis(cpu=2-3) <= 1000", "2-3", 4, ""},
		{"ipis(cpu=0) == 0", "2-3", 4, "CPU 0 was not watched"},
		{"ipis(cpu=0-2) <= 1000", "2-3", 4, "CPUs 0-1 were not watched"},
		{"ipis(cpu=1-2) >= 0", "2-3", 4, "CPU 1 was not watched"},
		{"rate(cpu=0) == 0/s", "2-3", 4, "CPU 0 was not watched"},
		{"ipis(cpu=2) <= 1000", "", 4, unknown},
		{"ipis(cpu=2) >= 0", "", 4, unknown},
		{"ipis(cpu=2) <= 1000", "2-", 4, unknown},
		{"ipis(cpu=2) <= 1000", "2-9", 4, unknown},
		{"ipis(cpu=2) <= 1000", "2", 0, unknown},
		{"ipis(cpu=2) <= 1000", "2", 1 << 30, unknown},
		{"ipis <= 1000", "", 4, unknown},
		{"cost <= 1s", "x", 4, unknown},
		{"ipis >= 600", "x", 4, ""},
		{"lost == 0", "x", 4, ""},
	} {
		a, err := ParseAssertion(test.expr, 4)
		if err != nil {
			t.Fatal(err)
		}
		r := complete()
		r.Meta.Victims, r.Meta.CPUs = test.victims, test.cpus
		f := a.Check(r)
		if test.reason == "" && len(f) > 0 || test.reason != "" && (len(f) != 1 || f[0].Reason != test.reason) {
			t.Errorf("%s of %q: got %v, want %q", test.expr, test.victims, f, test.reason)
		}
	}
}

// TestStoppedEarly: a run that was stopped early proves what it has seen, and not what it has not; a
// record says so as well.
func TestStoppedEarly(t *testing.T) {
	for _, test := range []struct {
		planned time.Duration
		short   string
	}{
		{0, ""},
		{-1, ""},
		{30 * time.Second, ""},
		{20 * time.Second, ""},
		{30050 * time.Millisecond, ""},
		{30100 * time.Millisecond, ""},
		{30200 * time.Millisecond, "stopped after 30.0 s of 30.2 s"}, // less than a hundredth is missing
		{30400 * time.Millisecond, "stopped after 30.0 s of 30.4 s"},
		{time.Minute, "stopped after 30.0 s of 60.0 s"},
	} {
		m := sampleMeta()
		m.Planned = test.planned
		snapshots := sampleSnapshots()
		for i := range snapshots {
			snapshots[i].Lost = 0
		}
		file := record(t, m, snapshots, true)
		c, err := ReadRecord(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		r := c.Report()
		if r.Incomplete != test.short || r.Meta.Planned != test.planned || r.JSON().Incomplete != test.short {
			t.Errorf("%v: incomplete %q, planned %v", test.planned, r.Incomplete, r.Meta.Planned)
		}
		for expr, needs := range map[string]bool{"ipis <= 1000": true, "lost == 0": true, "rate > 1/s": true, "self_ipis < 1000": true, "ipis >= 600": false, "cost > 1us": false} {
			a, err := ParseAssertion(expr, 4)
			if err != nil {
				t.Fatal(err)
			}
			f := a.Check(r)
			if !needs || test.short == "" {
				if len(f) > 0 {
					t.Errorf("%v: %s: %v", test.planned, expr, f)
				}
			} else if len(f) != 1 || f[0].Reason != "the run is not complete: "+test.short {
				t.Errorf("%v: %s: %v", test.planned, expr, f)
			}
		}
		if cut, err := ReadRecord(bytes.NewReader(record(t, m, snapshots, false))); err == nil || !strings.Contains(cut.Report().Incomplete, "ends before the record does") {
			t.Errorf("%v: cut off: %v", test.planned, err)
		}
		if r := soFar(c); test.short != "" && !strings.HasPrefix(r.Incomplete, "the run goes on: 30.0 s of ") || test.short == "" && r.Incomplete != "" {
			t.Errorf("%v: served: %q", test.planned, r.Incomplete)
		}
	}
}

// TestBlind: a backend that does not see a kind proves nothing about rows that can be of it.
func TestBlind(t *testing.T) {
	m := sampleMeta()
	m.Blind = []ipi.Blind{{Kinds: []ipi.Kind{ipi.TLB}, Why: "names are hidden"}, {Kinds: []ipi.Kind{ipi.IRQWork}, Why: "not counted"}}
	c, err := ReadRecord(bytes.NewReader(record(t, m, sampleSnapshots()[:1], true)))
	if err != nil {
		t.Fatal(err)
	}
	for expr, reason := range map[string]string{
		"ipis <= 1000": "names are hidden", "ipis(kind=tlb) <= 1000": "names are hidden", "ipis(kind=call|t*) <= 1000": "names are hidden",
		"ipis(kind=irq_work) == 0": "not counted", "rate(kind=irq*) < 1/s": "not counted", "ipis(comm=java) < 1000": "names are hidden",
		"queued(cpu=2,kind=call|resched) < 1000": "", "ipis(kind=call) < 1000": "", "ipis > 1": "", "ipis(kind=tlb) > 1": "", "lost == 0": "",
	} {
		a, err := ParseAssertion(expr, 4)
		if err != nil {
			t.Fatal(err)
		}
		f := a.Check(c.Report())
		if reason == "" && len(f) > 0 || reason != "" && (len(f) != 1 || f[0].Reason != reason) {
			t.Errorf("%s: got %v, want %q", expr, f, reason)
		}
	}
	m.Blind = []ipi.Blind{{Kinds: []ipi.Kind{ipi.TLB}, Mixed: true, Why: "names are hidden"}}
	mixed := NewCollector(m)
	mixed.Add(sampleSnapshots()[0])
	for expr, reason := range map[string]string{
		"ipis <= 1000": "", "ipis(cpu=2) <= 1000": "", "ipis(kind=call) <= 1000": "", "ipis(kind=tlb) <= 1000": "names are hidden",
		"ipis(cause=f) <= 1000": "names are hidden", "ipis(kind=resched,remedy=netstamp) <= 1000": "names are hidden",
	} {
		a, err := ParseAssertion(expr, 4)
		if err != nil {
			t.Fatal(err)
		}
		r := mixed.Report()
		r.Lost = 0
		f := a.Check(r)
		if reason == "" && len(f) > 0 || reason != "" && (len(f) != 1 || f[0].Reason != reason) {
			t.Errorf("mixed, %s: got %v, want %q", expr, f, reason)
		}
	}
	r := c.Report()
	if j := r.JSON(); len(j.Blind) != 2 || j.Blind[1].Why != "not counted" || !slices.Equal(j.Blind[1].Kinds, []ipi.Kind{ipi.IRQWork}) {
		t.Errorf("got %+v", j.Blind)
	}
	r.Meta.Blind = append(r.Meta.Blind, ipi.Blind{Kinds: nil, Why: "no cost of reschedules"})
	if head := strings.Join(r.head(), "|"); !strings.HasSuffix(head, "|note: no cost of reschedules|note: names are hidden|note: not counted") {
		t.Errorf("head %q", head)
	}
	r.Meta.Blind = []ipi.Blind{{Kinds: nil, Why: "all of it"}}
	a, err := ParseAssertion("ipis(kind=call) < 1000", 4)
	if err != nil {
		t.Fatal(err)
	}
	if f := a.Check(r); len(f) != 1 || f[0].Reason != "all of it" {
		t.Errorf("got %v", f)
	}
}

func TestFailureText(t *testing.T) {
	a, err := ParseAssertion("ipis(cpu=2) <= 0 && lost == 0 &&  rate<1/s", 4)
	if err != nil {
		t.Fatal(err)
	}
	r := complete()
	for i := range 20 {
		row := kernelRow(2, ipi.Other, 1)
		row.Sender = ipi.Sender{PID: 100 + i, Comm: "x"}
		r.Rows = append(r.Rows, row)
	}
	failures := a.Check(r)
	if len(failures) != 2 || failures[1].Text != "rate<1/s" || failures[1].Found != "22.1/s (663 IPIs in 30.0 s)" {
		t.Fatalf("got %+v", failures)
	}
	golden(t, "failure.text", []byte(failures[0].String()))
}

func TestAssertionErrors(t *testing.T) {
	for _, test := range []struct {
		expr     string
		at       int
		expected string // a part of it
		found    string
	}{
		{"", 0, "a quantity: ipis, queued, rate, cost, self_ipis or lost", "the end"},
		{"ipi <= 0", 0, "a quantity", `"ipi"`},
		{"ipis", 4, "an operator: <=, >=, ==, !=, < or >, or conditions", "the end"},
		{"ipis = 0", 5, "an operator", `"="`},
		{"ipis(cpu=2) = 0", 12, "an operator: <=, >=, ==, !=, < or >", `"="`},
		{"ipis <= ", 8, "a whole number", "the end"},
		{"ipis <= -1", 8, "a whole number", `"-1"`},
		{"ipis <= 1.5", 8, "a whole number", `"1.5"`},
		{"ipis <= 99999999999999999999", 8, "fits into 64 bits", `"99999999999999999999"`},
		{"ipis <= 1/s", 9, "it is rate that is per time", `"/s"`},
		{"ipis <= 1 2", 10, "&& or the end", `"2"`},
		{"ipis <= 1 || lost == 0", 10, "&& or the end", `"||"`},
		{"ipis <= 1 &&", 12, "a quantity", "the end"},
		{"ipis(", 5, "a field of rows: cpu, pid, kind", "the end"},
		{"ipis()", 5, "a field of rows", `")"`},
		{"ipis(node=1)", 5, "a field of rows", `"node=1"`},
		{"ipis(cpu 2)", 9, "= behind cpu", `"2"`},
		{"ipis(cpu=)", 9, "a CPU number from 0 to 3", `")"`},
		{"ipis(cpu=2-9) < 1", 11, "a CPU number from 0 to 3", `"9"`},
		{"ipis(cpu=3-2) < 1", 11, "at least 3", `"2"`},
		{"ipis(cpu=2 3) < 1", 11, "a comma or the ) of the ( at character 5", `"3"`},
		{"ipis(cpu=2,cpu=3) < 1", 4, "one condition on cpu", `"("`},
		{"ipis(pid=x) < 1", 9, "the number of a process", `"x"`},
		{"ipis(pid=99999999999999999999) < 1", 9, "the number of a process", `"99999999999999999999"`},
		{"ipis(kind=tbl) < 1", 10, "call, tlb, resched or irq_work (nothing", `"tbl"`},
		{`ipis(kind="tlb|x") < 1`, 15, "call, tlb, resched or irq_work (nothing", `"x\""`},
		{"ipis(kind=other) < 1", 10, "nothing is counted as other", `"other"`},
		{"ipis(kind=tlb|o*) < 1", 14, "nothing is counted as other", `"o*"`},
		{"ipis(remedy=netstmp) < 1", 12, "the name of a known remedy, such as netstamp, ", `"netstmp"`},
		{"ipis(cpu=2,remedy='tlb-*|kvm-kik') < 1", 25, "such as kvm-kick", `"kvm-kik'"`},
		{"ipis(remedy=nestamp*) < 1", 12, "the name of a known remedy", `"nestamp*"`},
		{"ipis(comm=) < 1", 10, "a pattern such as chrony*", `")"`},
		{`ipis(comm="x) < 1`, 17, `the " that ends the pattern at character 11`, "the end"},
		{"ipis(comm=x < 1", 12, "a comma or the )", `"<"`},
		{"lost(cpu=2) == 0", 4, "an operator", `"("`},
		{"rate < 1", 8, "/s, /min or /h", "the end"},
		{"rate < 1/d", 9, "a unit: s, min or h", `"d"`},
		{"rate < ./s", 7, "a number such as", `"./s"`},
		{"rate < 1.2.3/s", 7, "a number such as", `"1.2.3/s"`},
		{"cost < 5", 8, "a unit: ns, us, ms or s", "the end"},
		{"cost < us", 7, "a time such as", `"us"`},
		{"\x1b[2J", 0, "a quantity", `"\x1b[2J"`},
	} {
		_, err := ParseAssertion(test.expr, 4)
		var e *AssertError
		if !errors.As(err, &e) {
			t.Errorf("%q: error %v", test.expr, err)
			continue
		}
		if e.Pos != test.at || !strings.Contains(e.Expected, test.expected) || e.Found != test.found {
			t.Errorf("%q: got %+v, want at %d %q, found %s", test.expr, e, test.at, test.expected, test.found)
		}
		if strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %q", test.expr, err)
		}
	}
	_, err := ParseAssertion("ipis(cpu=2-9) < 1", 4)
	want := "assertion: expected a CPU number from 0 to 3, found \"9\"\n  ipis(cpu=2-9) < 1\n             ^"
	if err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// FuzzParseAssertion: no panic, positions inside the expression, and the text of the terms is
// an assertion that says the same.
func FuzzParseAssertion(f *testing.F) {
	for _, s := range []string{
		"ipis <= 0", "ipis(cpu=2,kind=tlb) < 10", "rate < 1/s", `cost(comm="java*|node") <= 250us && lost == 0`,
		"ipis(cpu=2-", "rate(cpu=0,1,pid=3)!=.5/min", "ipis(cpu=all:1/2) > 1", "(((", "ipis(comm='", "cost>1e9s",
	} {
		f.Add(s)
	}
	r := complete()
	f.Fuzz(func(t *testing.T, expr string) {
		a, err := ParseAssertion(expr, 4)
		if err != nil {
			var e *AssertError
			if !errors.As(err, &e) || e.Pos < 0 || e.Pos > len(expr) || e.Expected == "" || e.Found == "" || err.Error() == "" {
				t.Fatalf("%q: %+v", expr, err)
			}
			return
		}
		var texts []string
		for _, x := range a.terms {
			texts = append(texts, x.text)
		}
		again, err := ParseAssertion(strings.Join(texts, " && "), 4)
		if err != nil {
			t.Fatalf("%q: %v", expr, err)
		}
		first, second := a.Check(r), again.Check(r)
		if len(first) != len(second) {
			t.Fatalf("%q: %v and %v", expr, first, second)
		}
		for i := range first {
			if first[i].String() != second[i].String() {
				t.Fatalf("%q: %v and %v", expr, first[i], second[i])
			}
		}
	})
}

// TestAssertBig: of many rows that break an assertion, ten are named.
func TestAssertBig(t *testing.T) {
	r := &Report{Rows: many(20_000), Duration: time.Second}
	a, err := ParseAssertion("ipis(comm=worker[ab],cpu=0-31) <= 0", 64)
	if err != nil {
		t.Fatal(err)
	}
	failures := a.Check(r)
	if len(failures) != 1 || len(strings.Split(failures[0].String(), "\n")) != 13 || !strings.Contains(failures[0].String(), "rows more") {
		t.Errorf("got %v", failures)
	}
}

func TestAssertionFunctions(t *testing.T) {
	a, err := ParseAssertion(`ipis(cause="do_sync_core|flush*",kind=call) < 1 && queued(cause=f) < 2 && rate(comm=x) < 1/s && lost == 0`, 4)
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Functions(); !slices.Equal(got, []string{"do_sync_core", "f"}) {
		t.Errorf("%q", got)
	}
}
