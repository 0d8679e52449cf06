//go:build linux && amd64

package calibrate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/scale"
)

// TestMain lets the test binary calibrate in a process of its own, because
// that changes the process.
func TestMain(m *testing.M) {
	if os.Getenv("QUIETPATCH_TEST_CALIBRATE") == "1" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

const exitUnsupported = 3

// child calibrates and prints what a test can check without a quiet machine.
func child() int {
	for _, b := range quietpatch.Backends() {
		fmt.Println("works", b)
	}
	m, err := Run(context.Background(), func(format string, args ...any) { fmt.Printf("progress "+format+"\n", args...) })
	if errors.Is(err, ErrUnsupported) {
		fmt.Println(err)
		return exitUnsupported
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, p := range m.Params {
		fmt.Println("param", p.Name, p.Source, p.Value > 0, p.Rounds > 0 && p.P10 <= p.Value && p.Value <= p.P90)
	}
	for _, v := range m.Validation {
		fmt.Println("flips", v.Sites, v.Strategy, v.Backend, v.Syncs, v.Made > 0 && v.MeasuredNs > 0)
	}
	for _, n := range m.Notes {
		fmt.Println("note", n)
	}
	return 0
}

// TestRun: whatever the load, everything is either measured or explained, and
// the flips make the syncs that the protocol says.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("short: a calibration takes some seconds")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "QUIETPATCH_TEST_CALIBRATE=1")
	b, err := cmd.CombinedOutput()
	out := string(b)
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == exitUnsupported {
		t.Skip(out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The only good reasons for a step to fail: load, and a backend that does not work here.
	explained := func(step string) bool {
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "note "+step+": not measured") {
				_, backend, _ := strings.Cut(step, ", ")
				return strings.Contains(line, "other programs") || strings.Contains(line, "too busy") || !strings.Contains(out, "works "+backend+"\n")
			}
		}
		return false
	}
	for _, p := range scale.Builtin() {
		if p.Source == scale.SourceAssumed || p.Name == scale.Engine {
			continue // nobody measures the one, and scale.Run fits the other
		}
		if !strings.Contains(out, "param "+p.Name+" measured true true\n") && !explained(stepOf(p.Name)) {
			t.Errorf("%s is neither measured nor explained", p.Name)
		}
	}
	for _, backend := range scale.Backends() {
		for _, want := range []string{"56 store B 1", "56 int3 B 3", "56 one-at-a-time B 168", "1000 store B 1", "1000 int3 B 3", "1000 one-at-a-time B 3000"} {
			want = "flips " + strings.Replace(want, "B", backend, 1) + " true\n"
			if !strings.Contains(out, want) && !explained("flips, "+backend) {
				t.Errorf("no row %q", want)
			}
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// stepOf names the step of a run that measures a parameter.
func stepOf(param string) string {
	switch param {
	case scale.SyncBase, scale.IPISend, scale.IPILatency, scale.IPIPause, scale.Serialize:
		return "syncs"
	case scale.Ready, scale.Publish, scale.Trap:
		return "the trap handler"
	case scale.Defer:
		return "the deferral word"
	case scale.PokeAlias, scale.TailAlias:
		return "pokes, alias"
	}
	return "pokes, procmem"
}

// TestBusy: the busy thread runs, its clocks say so, and it ends.
func TestBusy(t *testing.T) {
	cpus, err := affinity.Allowed()
	if err != nil || len(cpus) == 0 {
		t.Fatal(cpus, err)
	}
	b, err := startBusy(cpus[len(cpus)-1], func() { spin(10 * time.Microsecond) })
	if err != nil {
		t.Fatal(err)
	}
	from, err := b.mark()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	to, err := b.mark()
	if err != nil {
		t.Fatal(err)
	}
	share, rate := to.since(from)
	if share <= 0 || share > 1.05 || rate <= 0 || rate > 1e5 {
		t.Errorf("share %v, %v passes per second", share, rate)
	}
	b.end()
	if _, err := startBusy(1<<10-1, func() {}); err == nil {
		t.Error("a thread was pinned to CPU 1023; is it there?")
	}
}
