package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/callprog/report"
)

func TestCallOptions(t *testing.T) {
	for _, c := range []struct {
		o    CallOptions
		want string
	}{
		{CallOptions{Time: -time.Second}, "-1s"},
		{CallOptions{Time: 2 * time.Hour}, "2h0m0s"},
		{CallOptions{Time: time.Second, Workloads: []string{"sort", "nonsense"}}, `"nonsense"`},
	} {
		if err := c.o.validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error that names %s", c.o, err, c.want)
		}
	}
}

// TestCopyCalls: the copy imports nothing of the command's module.
func TestCopyCalls(t *testing.T) {
	dir := t.TempDir()
	if err := copyCalls(dir); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "callprog", "*.go"))
	more, _ := filepath.Glob(filepath.Join(dir, "callprog", "report", "*.go"))
	if len(files) < 10 || len(more) == 0 {
		t.Fatalf("copied %q and %q", files, more)
	}
	for _, f := range append(files, more...) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, "_test.go") || bytes.Contains(text, []byte("/cmd/quietpatch")) {
			t.Errorf("%s does not belong into the program", f)
		}
		if bytes.Contains(text, []byte("build ignore")) {
			t.Errorf("%s would not be built", f)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(protobufFile))); err != nil {
		t.Error(err)
	}
}

// madeUp has three processes of each build.
func madeUp() callReports {
	sample := func(name string, ns, promoted float64) report.Sample {
		return report.Sample{Name: name, NS: ns, PromotedNS: promoted, Promoted: 7, LearnNS: 5e8}
	}
	var all callReports
	for i := range 3 {
		x := float64(i)
		all.plain = append(all.plain, &report.Report{
			Direct:    []report.Sample{sample("one-target", 1000+x, -1), sample("two-random", 1200, -1)},
			Micro:     []report.Sample{sample("one-target", 1100+100*x*x, -1), sample("two-random", 4000, -1)},
			Static:    []report.Sample{sample("direct", 990, -1)},
			Workloads: []report.Sample{sample("fast", 80, -1), sample("same", 99, -1), sample("slow", 60, -1), sample("x", 8, -1)},
		})
		all.retpoline = append(all.retpoline, &report.Report{
			Micro:     []report.Sample{sample("one-target", 9000, 1300), sample("two-random", 8000, 4100)},
			Static:    []report.Sample{sample("direct", 991, -1)},
			Workloads: []report.Sample{sample("fast", 100+x, 80+x), sample("same", 100+x, 100+x), sample("slow", 50+x, 56+x), sample("x", 9, 8)},
		})
	}
	all.retpoline = append(all.retpoline, &report.Report{Workloads: []report.Sample{sample("once", 1, 1)}})
	return all
}

func TestCallSums(t *testing.T) {
	all := madeUp()
	micro := all.micro()
	if want := (MicroCase{"one-target", 1001, 1200, 9000, 1300, 3}); len(micro) != 2 || micro[0] != want {
		t.Errorf("%+v, want first %+v", micro, want)
	}
	static := all.static()
	if want := (StaticCase{"direct", 990, 991, 3}); len(static) != 1 || static[0] != want {
		t.Errorf("%+v, want %+v", static, want)
	}
	work, err := all.workloads()
	if err != nil || len(work) != 4 {
		t.Fatalf("%+v, %v; want 4, without the one that was measured once", work, err)
	}
	w := work[0]
	if w.PlainNS != 80 || w.RetpolineNS != 101 || w.PromotedNS != 81 || w.N != 3 || w.PromotedCalls != 7 || w.LearnNS != 5e8 {
		t.Errorf("%+v", w)
	}
	// -20/101, t = 20/sqrt(2/3), 4 degrees of freedom, where 2.776445 is the 97.5% point.
	wide := 100 * 2.776445 * math.Sqrt(2.0/3) / 101
	if w.ChangePercent != -19.8 || math.Abs(w.CIPercent[0]-(-19.802-wide)) > 0.01 || math.Abs(w.CIPercent[1]-(-19.802+wide)) > 0.01 {
		t.Errorf("change %v, interval %v", w.ChangePercent, w.CIPercent)
	}
	if w.P > 1e-4 || w.P < 1e-6 || work[1].P != 1 || work[2].ChangePercent != 11.76 {
		t.Errorf("p %v, %v; change %v", w.P, work[1].P, work[2].ChangePercent)
	}
}

func TestCallGoals(t *testing.T) {
	all := madeUp()
	r := &CallResult{Micro: all.micro()}
	r.Workloads, _ = all.workloads()
	goals := r.goals()
	want := []Goal{
		{"one-target: promoted at most 1.4 times direct", "1.30", true},
		{"one-target: promoted at least 5 times faster than the retpoline", "6.92", true},
		{"two-random: promoted at least 4 times faster than the retpoline", "1.95", false},
		{"3 or more workloads gain with p < 0.01", "2 of 4", false},
		{"no workload loses more than 1%", "slow +11.76% (p 0.0018)", false},
	}
	if len(goals) != len(want) {
		t.Fatalf("%+v", goals)
	}
	for i := range want {
		if goals[i] != want[i] {
			t.Errorf("%+v, want %+v", goals[i], want[i])
		}
	}
	r.Workloads = r.Workloads[:1]
	if goals = r.goals(); len(goals) != 4 || !goals[3].Holds {
		t.Errorf("one workload: %+v", goals)
	}
	r.Workloads, r.Micro = nil, []MicroCase{{Case: "one-target", DirectNS: report.NotMeasured, RetpolineNS: 1, PromotedNS: 1}}
	if goals = r.goals(); len(goals) != 0 {
		t.Errorf("nothing measured: %+v", goals)
	}
}

func callSample(t *testing.T) *CallResult {
	t.Helper()
	r := &callRunner{ctx: t.Context(), progress: io.Discard, reports: madeUp()}
	r.result = CallResult{Library: "v1.0.0", MicroCalls: 1000, Notes: []string{"a note"}}
	r.reports.retpoline[0].Workloads[0].Unsettled = true
	if err := r.sum(); err != nil {
		t.Fatal(err)
	}
	return &r.result
}

func TestCallTable(t *testing.T) {
	r := callSample(t)
	r.Micro[1].DirectNS = report.NotMeasured
	var b bytes.Buffer
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  1001 ", "6.92", " - ", "-19.8%", "+11.8%", "holds ", "missed", "note: a note", "fast (1 times)",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := (&CallResult{}).WriteTable(&b); err != nil || strings.Contains(b.String(), "case") {
		t.Errorf("nothing measured: %v\n%s", err, b.String())
	}
}

// TestCallJSON: the names that others read.
func TestCallJSON(t *testing.T) {
	var b bytes.Buffer
	if err := callSample(t).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	for list, names := range map[string][]string{
		"micro":      {"case", "direct_ns", "plain_ns", "retpoline_ns", "promoted_ns"},
		"staticcall": {"case", "plain_ns", "retpoline_ns"},
		"workloads":  {"name", "plain_ns", "retpoline_ns", "promoted_ns", "change_percent", "p", "n", "ci_percent"},
		"goals":      {"goal", "found", "holds"},
	} {
		var rows []map[string]any
		if err := json.Unmarshal(got[list], &rows); err != nil || len(rows) == 0 {
			t.Errorf("%s: %v in %s", list, err, got[list])
			continue
		}
		for _, n := range names {
			if _, ok := rows[0][n]; !ok {
				t.Errorf("a row of %s has no %q: %v", list, n, rows[0])
			}
		}
	}
}

// TestCallsInterrupted: what was measured until then is there, and no error.
func TestCallsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := &callRunner{ctx: ctx, progress: io.Discard, reports: madeUp(), options: CallOptions{Time: time.Hour}}
	r.program = &callProgram{plain: make([]string, layouts), retpoline: make([]string, layouts)}
	if err := r.measure(); err != nil || !r.result.Interrupted || len(r.reports.plain) != 3 {
		t.Errorf("%v, interrupted %v, %d reports", err, r.result.Interrupted, len(r.reports.plain))
	}
}

// TestCallReport: what a process says when it cannot promote calls, or fails.
func TestCallReport(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell script")
	}
	for script, want := range map[string]string{
		`echo '{"reason":"no permission"}'`:        "text cannot be patched here: no permission",
		`echo nonsense`:                            "its report cannot be read",
		`echo the sum is wrong >&2; exit 1`:        "the sum is wrong",
		`echo "$@" >&2; exit 1`:                    "-part work -sample 25ms -workloads sort,sql -promote",
		`echo QUIETPATCH=$QUIETPATCH. >&2; exit 1`: "QUIETPATCH=.",
	} {
		binary := filepath.Join(t.TempDir(), "fake")
		if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("QUIETPATCH", "x=on")
		r := &callRunner{ctx: t.Context(), progress: io.Discard, options: CallOptions{Workloads: []string{"sort", "sql"}}}
		if _, err := r.run(binary, report.PartWork, "-promote"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that says %s", script, err, want)
		}
	}
}

// TestCalls builds the program and measures a little.
func TestCalls(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the standard library with retpolines")
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("needs live text")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var said bytes.Buffer
	r, err := RunCalls(t.Context(), CallOptions{Time: time.Millisecond, Workloads: []string{"sort", "protobuf"}}, &said)
	if err != nil && strings.Contains(err.Error(), "text cannot be patched here") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	// What is promoted is far from what is not, on any machine.
	if len(r.Micro) != 4 || r.Micro[0].PromotedNS <= 0 || r.Micro[0].RetpolineNS < 2*r.Micro[0].PromotedNS {
		t.Errorf("micro: %+v", r.Micro)
	}
	if len(r.StaticCalls) != 4 || r.StaticCalls[3].Case != "static-call" || r.StaticCalls[3].RetpolineNS > r.StaticCalls[1].RetpolineNS {
		t.Errorf("static calls: %+v", r.StaticCalls)
	}
	if len(r.Workloads) == 0 || r.Workloads[0].Name != "sort" || r.Workloads[0].N < roundsMin || r.Workloads[0].PromotedCalls < 3 ||
		r.Workloads[0].ChangePercent > -20 || r.Workloads[0].PlainNS <= 0 {
		t.Errorf("workloads: %+v", r.Workloads)
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "quietpatch-bench-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
