package guest

import (
	"context"
	"encoding/json"
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
)

const internal = "github.com/quietpatch/quietpatch/cmd/quietpatch/internal/"

// victim is an isolated CPU.
const victim = 2

// build makes a static program, or the test program of a package.
func build(t *testing.T, dir, pkg string, test bool) string {
	t.Helper()
	out := filepath.Join(dir, filepath.Base(pkg))
	args := []string{"build", "-o", out, internal + pkg}
	if test {
		out += ".test"
		args = []string{"test", "-c", "-o", out, internal + pkg}
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", args, err, text)
	}
	return out
}

// boot runs the guest and fails the test if that did not go well.
func boot(t *testing.T, g *Guest) *Output {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
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
	t.Logf("%d steps in %v", len(g.Steps), time.Since(start))
	return out
}

// run is what the program probe says of a scenario.
type run struct {
	Result   ipidrive.Result
	Snapshot ipi.Snapshot
	Mode     string
	Missing  []string
}

// TestScenarios: what comes to an isolated CPU is what the scenario is to send, and the
// tracer says just that.
func TestScenarios(t *testing.T) {
	for _, test := range []struct {
		version  string
		options  []string
		netstamp bool // it can be turned off: with nohz_full= the kernel holds it since 6.12 (net/core/dev.c, net_dev_init)
	}{
		{"6.12", Isolate(), false},
		{"6.12", []string{"isolcpus=managed_irq,domain," + Isolated}, true},
	} {
		t.Run(test.version+" "+test.options[len(test.options)-1], func(t *testing.T) {
			g := &Guest{Kernel: Need(t, test.version), Options: test.options}
			var scenarios []ipidrive.Scenario
			for _, s := range ipidrive.Scenarios() {
				if s.Name == "timestamp" && !test.netstamp {
					s.PerTurn = ipidrive.Received{}
				}
				scenarios = append(scenarios, s)
			}
			testScenarios(t, g, scenarios)
		})
	}
}

func testScenarios(t *testing.T, g *Guest, scenarios []ipidrive.Scenario) {
	g.Files = map[string]string{"bin/probe": build(t, t.TempDir(), "guest/probe", false)}
	g.Steps = []Step{{"isolated", "cat /sys/devices/system/cpu/isolated"}}
	for _, s := range scenarios {
		turns := 50
		if !s.Exact {
			turns = 200
		}
		g.Steps = append(g.Steps, Step{s.Name, fmt.Sprintf("probe -scenario %s -turns %d -victim %d", s.Name, turns, victim)})
	}
	out := boot(t, g)
	if got := strings.TrimSpace(out.Steps["isolated"].Text); got != "2-3" {
		t.Errorf("isolated are %q, expected 2-3", got)
	}
	for _, s := range scenarios {
		t.Run(s.Name, func(t *testing.T) {
			step := out.Steps[s.Name]
			var r run
			if err := json.Unmarshal([]byte(step.Text), &r); err != nil || step.Code != 0 {
				t.Fatalf("code %d, %v: %s", step.Code, err, step.Text)
			}
			if r.Result.Missing != "" {
				t.Skip(r.Result.Missing)
			}
			compare(t, &s, &r)
		})
	}
}

// TestTracer: the tests of the eBPF tracer pass on an isolated CPU, and none is skipped but the
// one that compiles.
func TestTracer(t *testing.T) {
	g := &Guest{Kernel: Need(t, "6.12"), Options: []string{"isolcpus=managed_irq,domain," + Isolated}}
	const program = "bin/ipibpf.test"
	g.Files = map[string]string{program: build(t, t.TempDir(), "ipibpf", true)}
	g.Steps = []Step{{"tests", fmt.Sprintf("IPIBPF_VICTIM=%d %s -test.v -test.timeout 100s", victim, program)}}
	out := boot(t, g).Steps["tests"]
	skipped := strings.Count(out.Text, "--- SKIP") - strings.Count(out.Text, "--- SKIP: TestObject")
	if out.Code != 0 || skipped > 0 || !strings.Contains(out.Text, "--- PASS: TestMembarrier") {
		t.Errorf("code %d, %d skipped", out.Code, skipped)
	}
	t.Log(out.Text)
}

// compare holds what was traced against what was received and what was to be sent. A few IPIs of
// others come, too, and one that goes out just then is enough for two calls.
func compare(t *testing.T, s *ipidrive.Scenario, r *run) {
	got, all := r.count(t, s)
	received := r.Result.Received
	t.Logf("received %+v, traced %+v, of them the scenario's %+v; lost %d, %s", received, all, got, r.Snapshot.Lost, r.Mode)
	if received.Calls > all.Calls || received.Rescheds > all.Rescheds {
		t.Errorf("received %+v, but only %+v were traced", received, all)
	}
	if !s.Exact {
		if got.Calls+got.Rescheds == 0 {
			t.Errorf("%s was not traced", s.Cause)
		}
		return
	}
	want := s.PerTurn.Times(r.Result.Turns)
	const others = 10
	if s.Name == "timer" && got.Rescheds <= want.Rescheds+others {
		got.Rescheds = min(got.Rescheds, want.Rescheds) // other timers wake threads there, too
	}
	if got.Calls != want.Calls || got.Rescheds != want.Rescheds {
		t.Errorf("traced %+v, want %+v", got, want)
	}
	if received.Calls < want.Calls || received.Calls > want.Calls+others || received.Rescheds < want.Rescheds || received.Rescheds > want.Rescheds+others {
		t.Errorf("received %+v, want %+v", received, want)
	}
}

// count adds up what was traced: of the scenario, and all.
func (r *run) count(t *testing.T, s *ipidrive.Scenario) (got, all ipidrive.Received) {
	for _, row := range r.Snapshot.Rows {
		t.Logf("%+v", row)
		ours := row.Kind == s.Kind && row.Cause == s.Cause && origin(s, &row, &r.Result)
		switch row.Kind {
		case ipi.Call, ipi.TLB:
			all.Calls += row.IPIs
			if ours {
				got.Calls += row.IPIs
			}
		case ipi.Resched:
			all.Rescheds += row.IPIs
			if ours {
				got.Rescheds += row.IPIs
			}
		}
	}
	return got, all
}

// origin reports whether the row comes from where the scenario sends from.
func origin(s *ipidrive.Scenario, row *ipi.Row, r *ipidrive.Result) bool {
	switch {
	case s.Name == "timer":
		return row.Origin.Path == "timer" && row.Sender.PID == 0
	case s.Name == "datagram":
		return row.Origin.Path == "softirq NET_RX" && row.Sender.PID == 0
	case len(s.Syscalls) == 0:
		return true
	case s.Name == "timestamp":
		// A kworker sends for the thread.
	case row.Sender.TID != r.TID:
		return false // the Go runtime wakes threads, too
	}
	return row.Sender.PID == r.PID && slices.Contains(s.Syscalls, row.Origin.Syscall)
}
