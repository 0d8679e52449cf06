package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipidrive"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipireport"
)

const module = "github.com/quietpatch/quietpatch/"

// victim is an isolated CPU.
const victim = 2

// built are programs that were built for an earlier test.
var built struct {
	dir   string
	paths map[string]string
}

func TestMain(m *testing.M) {
	var err error
	if built.dir, err = os.MkdirTemp("", "guest"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built.paths = make(map[string]string)
	code := m.Run()
	os.RemoveAll(built.dir)
	os.Exit(code)
}

// build makes a static program, or the test program of a package.
func build(t *testing.T, pkg string, test bool) string {
	t.Helper()
	if path, ok := built.paths[pkg]; ok {
		return path
	}
	path := filepath.Join(built.dir, filepath.Base(pkg))
	args := []string{"build", "-o", path, module + pkg}
	if test {
		args = []string{"test", "-c", "-o", path, module + pkg}
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", args, err, text)
	}
	built.paths[pkg] = path
	return path
}

// boot runs the guest and fails the test if that did not go well.
func boot(t *testing.T, g *Guest) *Output {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	start := time.Now()
	out, err := g.Run(ctx)
	if out.Retried != "" {
		t.Logf("tried again: %s", out.Retried)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range g.Steps {
		if _, ok := out.Steps[s.Name]; !ok {
			t.Fatalf("step %s is missing", s.Name)
		}
	}
	for _, s := range g.Steps {
		t.Logf("%s took %v", s.Name, out.Steps[s.Name].Took)
	}
	t.Logf("%d steps in %v", len(g.Steps), time.Since(start))
	return out
}

// TestTrace: what comes to an isolated CPU is what the scenario is to send, and quietpatch
// trace says just that.
func TestTrace(t *testing.T) {
	onlyDomain := []string{"isolcpus=managed_irq,domain," + Isolated}
	for _, test := range []struct {
		version  string
		options  []string
		backends []string
		netstamp bool // it can be turned off: with nohz_full= the kernel holds it since 6.12 (net/core/dev.c, net_dev_init)
	}{
		{"6.12", Isolate(), []string{"bpf"}, false},
		{"6.12", onlyDomain, []string{"bpf", "tracefs"}, true},
		{"6.1", Isolate(), []string{"auto"}, true},
	} {
		t.Run(test.version+" "+test.options[len(test.options)-1], func(t *testing.T) {
			g := &Guest{Kernel: Need(t, test.version), Options: test.options}
			g.Files = map[string]string{
				"bin/drive":      build(t, "cmd/quietpatch/internal/ipidrive/drive", false),
				"bin/quietpatch": build(t, "cmd/quietpatch", false),
			}
			scenarios := ipidrive.Scenarios()
			for i := range scenarios {
				if scenarios[i].Name == "timestamp" && !test.netstamp {
					scenarios[i].PerTurn = ipidrive.Received{}
				}
			}
			testTrace(t, g, test.backends, scenarios)
		})
	}
}

// traced is the command that prints what the scenario says and what the tracer says.
func traced(backend, scenario string, turns int) string {
	return fmt.Sprintf(`: >/tmp/said
quietpatch trace --cpus %[1]d --backend %[2]s --stacks=%[5]t --json >/tmp/report 2>>/tmp/said &
p=$!
until grep -q watching /tmp/said; do kill -0 $p || { cat /tmp/said; exit 3; }; sleep 0.1; done
drive -scenario %[3]s -turns %[4]d -victim %[1]d
kill -INT $p
wait $p
code=$?
cat /tmp/report
[ $code = 0 ] || cat /tmp/said
exit $code`, victim, backend, scenario, turns, backend == "tracefs")
}

func testTrace(t *testing.T, g *Guest, backends []string, scenarios []ipidrive.Scenario) {
	g.Steps = []Step{{"isolated", "cat /sys/devices/system/cpu/isolated"}}
	for _, backend := range backends {
		for _, s := range scenarios {
			turns := 50
			if !s.Exact {
				turns = 200
			}
			g.Steps = append(g.Steps, Step{backend + "/" + s.Name, traced(backend, s.Name, turns)})
		}
	}
	out := boot(t, g)
	if got := strings.TrimSpace(out.Steps["isolated"].Text); got != "2-3" {
		t.Errorf("isolated are %q, expected 2-3", got)
	}
	for _, backend := range backends {
		for _, s := range scenarios {
			name := backend + "/" + s.Name
			t.Run(name, func(t *testing.T) {
				step := out.Steps[name]
				var r run
				in := json.NewDecoder(strings.NewReader(step.Text))
				if err := errors.Join(in.Decode(&r.result), in.Decode(&r.report)); err != nil || step.Code != 0 {
					t.Fatalf("code %d, %v: %s", step.Code, err, step.Text)
				}
				if r.result.Missing != "" {
					t.Skip(r.result.Missing)
				}
				compare(t, &s, &r)
			})
		}
	}
}

// run is a scenario that was traced.
type run struct {
	result ipidrive.Result
	report ipireport.JSON
}

// compare holds what was traced against what was received and what was to be sent.
func compare(t *testing.T, s *ipidrive.Scenario, r *run) {
	got, all, queued := r.count(t, s)
	received := r.result.Received
	t.Logf("received %+v, traced %+v, of them the scenario's %+v, %d queued; lost %d, self %d, %s, %q",
		received, all, got, queued, r.report.Lost, r.report.SelfIPIs, r.report.Mode, r.report.Notes)
	if received.Calls > all.Calls || received.Rescheds > all.Rescheds {
		t.Errorf("received %+v, but only %+v were traced", received, all)
	}
	if !s.Exact {
		if got.Calls+got.Rescheds == 0 {
			t.Errorf("%s was not traced", s.Cause)
		}
		return
	}
	want := s.PerTurn.Times(r.result.Turns)
	const few = 10 // IPIs of others in the meantime
	if s.Name == "timer" && got.Rescheds <= want.Rescheds+few {
		got.Rescheds = min(got.Rescheds, want.Rescheds) // other timers wake threads there, too
	}
	// Where another call was queued just before, one IPI is enough for both.
	shared := int(want.Calls) - int(got.Calls)
	others := int(received.Calls) - int(got.Calls)
	if shared < 0 || shared > others || others > few || got.Rescheds != want.Rescheds {
		t.Errorf("traced %+v, received %+v, want %+v", got, received, want)
	}
	if queued != want.Calls && r.report.Mode != "eBPF, kprobes" { // these do not see calls that need no IPI
		t.Errorf("%d were queued, want %d", queued, want.Calls)
	}
	if received.Rescheds < want.Rescheds || received.Rescheds > want.Rescheds+few {
		t.Errorf("received %+v, want %+v", received, want)
	}
}

// count adds up what was traced: of the scenario, all, and what the scenario has queued.
func (r *run) count(t *testing.T, s *ipidrive.Scenario) (got, all ipidrive.Received, queued uint64) {
	for _, row := range r.report.Rows {
		t.Logf("%s %s: %d IPIs, %d queued, by %s %d/%d, %s", row.Kind, row.Cause, row.IPIs, row.Queued, row.Comm, row.PID, row.TID, row.Origin)
		ours := row.Kind == s.Kind && row.Cause == s.Cause && from(s, &row, &r.result, strings.HasPrefix(r.report.Mode, "tracefs"))
		switch row.Kind {
		case ipi.Call, ipi.TLB:
			all.Calls += row.IPIs
			if ours {
				got.Calls += row.IPIs
				queued += row.Queued
			}
		case ipi.Resched:
			all.Rescheds += row.IPIs
			if ours {
				got.Rescheds += row.IPIs
			}
		}
	}
	return got, all, queued
}

// from reports whether the row comes from where the scenario sends from.
func from(s *ipidrive.Scenario, row *ipireport.JSONRow, r *ipidrive.Result, stacks bool) bool {
	switch {
	case s.Name == "timer":
		return row.Path == "timer" && row.PID == 0
	case s.Name == "datagram":
		return row.Path == "softirq NET_RX" && row.PID == 0
	case len(s.Syscalls) == 0:
		return true
	case s.Name == "timestamp":
		// A kworker sends for the thread.
	case row.TID != r.TID:
		return false // the Go runtime wakes threads, too
	}
	// The tracefs backend takes system calls from stacks, and does not know write by them.
	unknown := stacks && row.Syscall == "" && row.Path == "" && s.Kind == ipi.Call
	return row.PID == r.PID && (unknown || slices.Contains(s.Syscalls, row.Syscall))
}

// TestAssert: the exit code says whether isolated CPUs were left alone.
func TestAssert(t *testing.T) {
	g := &Guest{Kernel: Need(t, "6.12"), Options: Isolate()}
	g.Files = map[string]string{
		"bin/drive":      build(t, "cmd/quietpatch/internal/ipidrive/drive", false),
		"bin/quietpatch": build(t, "cmd/quietpatch", false),
	}
	const assert = ": >/tmp/said; quietpatch trace --for 3s --json --assert '%s' >/tmp/report 2>>/tmp/said"
	g.Steps = []Step{
		{"alone", fmt.Sprintf(assert, "queued <= 0 && ipis(kind=tlb) <= 0 && ipis(kind=resched) <= 0") + "; code=$?; cat /tmp/report; exit $code"},
		{"interrupted", fmt.Sprintf(assert, "ipis(cause=ipi_sync_core) <= 0") + ` &
p=$!
until grep -q watching /tmp/said; do kill -0 $p || break; sleep 0.1; done
drive -scenario membarrier -turns 10 -victim 2 >/dev/null
wait $p
code=$?
cat /tmp/report
exit $code`},
		{"offline", fmt.Sprintf(assert, "ipis(cpu=3,cause=ipi_sync_core) <= 0") + ` &
p=$!
until grep -q watching /tmp/said; do kill -0 $p || break; sleep 0.1; done
echo 0 >/sys/devices/system/cpu/cpu3/online
wait $p
code=$?
echo 1 >/sys/devices/system/cpu/cpu3/online
cat /tmp/report
exit $code`},
	}
	out := boot(t, g)
	for _, want := range []struct {
		step    string
		code    int
		offline string
	}{{"alone", 0, ""}, {"interrupted", 1, ""}, {"offline", 1, "3"}} {
		var report ipireport.JSON
		step := out.Steps[want.step]
		if err := json.Unmarshal([]byte(step.Text), &report); err != nil || step.Code != want.code || report.Victims != "2-3" || report.Offline != want.offline {
			t.Errorf("%s: code %d, want %d, victims %s, offline %s, %v: %s", want.step, step.Code, want.code, report.Victims, report.Offline, err, step.Text)
		}
	}
}

// TestTracer: the tests of the eBPF tracer pass on an isolated CPU, and none is skipped but the
// one that compiles and the one that another runs.
func TestTracer(t *testing.T) {
	g := &Guest{Kernel: Need(t, "6.12"), Options: []string{"isolcpus=managed_irq,domain," + Isolated}}
	const program = "bin/ipibpf.test"
	g.Files = map[string]string{program: build(t, "cmd/quietpatch/internal/ipibpf", true)}
	g.Steps = []Step{{"tests", fmt.Sprintf("IPIBPF_VICTIM=%d %s -test.v -test.timeout 220s", victim, program)}}
	out := boot(t, g).Steps["tests"]
	skipped := strings.Count(out.Text, "--- SKIP")
	for _, test := range []string{"TestObject", "TestInside"} {
		skipped -= strings.Count(out.Text, "--- SKIP: "+test+" ")
	}
	if out.Code != 0 || skipped > 0 || !strings.Contains(out.Text, "--- PASS: TestMembarrier") {
		t.Errorf("code %d, %d skipped", out.Code, skipped)
	}
	t.Log(out.Text)
}
