package ipireport

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// bigReport has rows whose sum does not fit: 2^64-5 and 5 would make 0.
func bigReport() *Report {
	row := func(i int, n uint64) ipi.Row {
		r := chrony(2, "close", "", 0)
		r.Sender.PID, r.Sender.TID = 100+i, 100+i
		r.IPIs, r.Queued, r.CostNS = n, n, n
		return r
	}
	c := NewCollector(Meta{CPUs: 4, Victims: "2"})
	x := interrupted(2, ipi.Call, "f", 5, 1)
	x.Runs = saturated
	for i, n := range []uint64{saturated - 4, 5} {
		x.Cause = strings.Repeat(".cold", i)
		x.Cause = "f" + x.Cause
		c.addStep(Step{
			From: c.now, To: time.Duration(i+1) * time.Second, Rows: []ipi.Row{row(i, n), row(2, n)}, Lost: n, SelfIPIs: n,
			Interrupted: []ipi.Interrupted{x},
		})
	}
	return c.Report()
}

// TestSaturated: no sum wraps around, in no form.
func TestSaturated(t *testing.T) {
	r := bigReport()
	if s := r.sum(); s != (sum{saturated, saturated, saturated, saturated}) || r.Lost != saturated || r.SelfIPIs != saturated {
		t.Errorf("sum %+v, lost %d, self %d", s, r.Lost, r.SelfIPIs)
	}
	if lines := r.lines(Options{Top: 1}); len(lines) != 1 || lines[0].IPIs != saturated || lines[0].Queued != saturated || lines[0].timed != saturated {
		t.Errorf("lines %+v", lines)
	}
	if m := r.matrix(); m.total.ipis != saturated || m.total.kinds[ipi.Call] != saturated {
		t.Errorf("matrix %+v", m.total)
	}
	if strips, _ := r.strips(); len(strips) != 1 || strips[0].ipis != saturated {
		t.Errorf("strips %+v", strips)
	}
	if v := r.verdicts(); len(v) != 1 || v[0].ipis != saturated || !strings.Contains(v[0].text, "100 % from") {
		t.Errorf("verdicts %+v", v)
	}
	if x := r.interrupted(); len(x) != 1 || x[0].Runs != saturated {
		t.Errorf("interrupted %+v", x)
	}
	if n := r.events()["netstamp"]; n != saturated/3 {
		t.Errorf("%d flips", n)
	}
	most := fmt.Sprint(uint64(saturated))
	for name, form := range forms() {
		if text := write(t, form, r); !strings.Contains(text, most) {
			t.Errorf("%s does not have %s:\n%s", name, most, text)
		}
	}
}

// TestSaturatedRecord: a record with such numbers is read the same way, within a snapshot and over all.
func TestSaturatedRecord(t *testing.T) {
	row := `{"at_ns":%d,"lost":%d,"self_ipis":%[2]d,"more":%v,"rows":[{"cpu":2,"kind":"call","pid":%d,"ipis":%[2]d,"queued":%[2]d,"cost_ns":%[2]d}]}`
	n := uint64(saturated)
	file := zipped(`{"format":"quietpatch-trace","version":1,"meta":{"cpus":4,"victims":"2"}}`,
		fmt.Sprintf(row, 1000000000, n-4, true, 1), fmt.Sprintf(row, 1000000000, 5, false, 1), fmt.Sprintf(row, 2000000000, 5, false, 2), `{"at_ns":2000000000,"end":true}`)
	c, err := ReadRecord(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	r := c.Report()
	if s := r.sum(); s != (sum{n, n, n, n}) || r.Lost != n || r.SelfIPIs != n {
		t.Errorf("sum %+v, lost %d, self %d", s, r.Lost, r.SelfIPIs)
	}
	var b bytes.Buffer
	if err := NewLive(&b, Options{}, nil).Show(Step{From: 0, To: 1, Rows: r.Rows}, r); err != nil || !strings.Contains(b.String(), fmt.Sprint(n)) {
		t.Errorf("live: %v, %s", err, b.String())
	}
}

// TestSaturatedAssertions: such a sum is a lower bound only.
func TestSaturatedAssertions(t *testing.T) {
	r := bigReport()
	for expr, reason := range map[string]string{
		"ipis <= 18446744073709551615":      "too large",
		"ipis == 18446744073709551615":      "too large",
		"ipis != 5":                         "too large",
		"queued <= 18446744073709551615":    "too large",
		"lost <= 18446744073709551615":      "too large",
		"self_ipis <= 18446744073709551615": "too large",
		"rate < 99999999999999999999999/s":  "too large",
		"cost < 99999999999999999999s":      "too large",
		"ipis >= 18446744073709551615":      "",
		"ipis > 5":                          "",
	} {
		a, err := ParseAssertion(expr, 4)
		if err != nil {
			t.Fatal(err)
		}
		r.Lost = saturated
		if !strings.HasPrefix(expr, "lost") {
			r.Lost = 0
		}
		f := a.Check(r)
		if reason == "" && len(f) > 0 || reason != "" && (len(f) != 1 || !strings.Contains(f[0].Reason, reason)) {
			t.Errorf("%s: got %v, want %q", expr, f, reason)
		}
	}
}
