package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/demo"
)

// TestMain lets the test binary be the command. The demo changes the code of
// the process that it runs in, so the tests run it in a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("QUIETPATCH_TEST_COMMAND") == "1" {
		main()
	}
	os.Exit(m.Run())
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), "QUIETPATCH_TEST_COMMAND=1")
	return cmd
}

// runCommand returns what the command printed, and its exit code.
func runCommand(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := command(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// result holds the fields of the demo's JSON that the tests look at.
type result struct {
	Mode            string `json:"mode"`
	Reason          string `json:"reason"`
	SyncNs          int64  `json:"sync_ns"`
	Requests        uint64 `json:"requests"`
	CheckedRequests uint64 `json:"checked_requests"`
	FailedRequests  uint64 `json:"failed_requests"`
	FirstFailure    string `json:"first_failure"`
	Errors          int    `json:"errors"`
	Interrupted     bool   `json:"interrupted"`
	Rows            []struct {
		Strategy     string  `json:"strategy"`
		Backend      string  `json:"backend"`
		Sites        int     `json:"sites"`
		Flips        int     `json:"flips"`
		SyncsPerFlip float64 `json:"syncs_per_flip"`
		Requests     uint64  `json:"requests"`
	} `json:"rows"`
}

func demoJSON(t *testing.T, args ...string) result {
	t.Helper()
	out, errs, code := runCommand(t, append([]string{"demo", "--json", "--duration", "200ms"}, args...)...)
	if code != exitOK {
		t.Fatalf("exit code %d, want %d\n%s%s", code, exitOK, out, errs)
	}
	var r result
	d := json.NewDecoder(strings.NewReader(out))
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if d.More() {
		t.Errorf("more than one JSON value in\n%s", out)
	}
	if r.FailedRequests != 0 || r.Errors != 0 || r.Requests == 0 {
		t.Errorf("%d requests, %d failed (%s), %d errors; want some, 0, 0", r.Requests, r.FailedRequests, r.FirstFailure, r.Errors)
	}
	return r
}

func TestDemo(t *testing.T) {
	r := demoJSON(t)
	if len(r.Rows) == 0 {
		t.Fatal("no rows")
	}
	if r.CheckedRequests == 0 {
		t.Error("no request was checked")
	}
	for _, row := range r.Rows {
		if row.Flips == 0 || row.Requests == 0 {
			t.Errorf("%s on %s: %d flips, %d requests, want some", row.Strategy, row.Backend, row.Flips, row.Requests)
		}
	}
	if r.Mode == "memory" {
		if r.Reason == "" {
			t.Error("mode memory without a reason")
		}
		if row := r.Rows[0]; len(r.Rows) != 1 || row.Strategy != "memory" || row.Backend != "none" {
			t.Errorf("rows %+v: want one, memory on none", r.Rows)
		}
		return
	}
	checkLive(t, r)
}

func checkLive(t *testing.T, r result) {
	t.Helper()
	syncs := map[string]float64{"store": 1, "int3": 3, "one-at-a-time": 168}
	for _, row := range r.Rows {
		if row.Sites != 56 {
			t.Errorf("%s on %s: %d sites are armed, want 56", row.Strategy, row.Backend, row.Sites)
		}
		if row.SyncsPerFlip != syncs[row.Strategy] {
			t.Errorf("%s on %s: %v syncs per flip, want %v", row.Strategy, row.Backend, row.SyncsPerFlip, syncs[row.Strategy])
		}
	}
	if r.SyncNs <= 0 {
		t.Errorf("a bare sync takes %d ns", r.SyncNs)
	}
}

func TestDemoMemory(t *testing.T) {
	r := demoJSON(t, "--backend", "none")
	if r.Mode != "memory" || len(r.Rows) != 1 {
		t.Errorf("mode %s, %d rows; want memory, 1", r.Mode, len(r.Rows))
	}
}

func TestDemoTable(t *testing.T) {
	out, errs, code := runCommand(t, "demo", "--duration", "100ms", "--backend", "none")
	if code != exitOK || !strings.Contains(out, "strategy") || !strings.Contains(out, " 0 failed.") {
		t.Errorf("exit code %d, want 0 and a table\n%s%s", code, out, errs)
	}
	if !strings.Contains(errs, "[1/1]") || strings.Contains(errs, "\x1b") {
		t.Errorf("progress %q: want plain lines, one for the row", errs)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"demo", "--strategy", "stopworld"},
		{"demo", "--backend", "mprotect"},
		{"demo", "--duration", "1ms"},
		{"demo", "--cpu", "100000"},
		{"demo", "--no-such-flag"},
		{"demo", "extra"},
		{"vet", "--no-such-flag"},
		{"no-such-command"},
	} {
		out, errs, code := runCommand(t, args...)
		if code != exitUsage || out != "" || !strings.HasPrefix(errs, "quietpatch: ") {
			t.Errorf("%v: exit code %d, want %d and one error\n%s%s", args, code, exitUsage, out, errs)
		}
	}
}

func TestVerdict(t *testing.T) {
	for name, tc := range map[string]struct {
		res  demo.Result
		want int
	}{
		"good":                   {demo.Result{Requests: 5}, exitOK},
		"failed request":         {demo.Result{Requests: 5, FailedRequests: 1}, exitFailed},
		"error of a flip":        {demo.Result{Rows: []demo.Row{{Errors: 1}}}, exitFailed},
		"interrupted":            {demo.Result{Interrupted: true}, exitUsage},
		"interrupted and failed": {demo.Result{Interrupted: true, FailedRequests: 1}, exitFailed},
	} {
		if got := exitCode(verdict(&tc.res)); got != tc.want {
			t.Errorf("%s: exit code %d, want %d", name, got, tc.want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"demo", "--help"}, {"sites", "--help"}, {"vet", "--help"}} {
		out, errs, code := runCommand(t, args...)
		if code != exitOK || !strings.Contains(out, "Exit codes: 0") || !strings.Contains(out, "Examples:") {
			t.Errorf("%v: exit code %d, want 0, the exit codes and examples\n%s%s", args, code, out, errs)
		}
	}
}

func TestInterrupt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("windows cannot send an interrupt to one process")
	}
	cmd := command(t, "demo", "--json", "--duration", "20s", "--backend", "none")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	start := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code is looked at below
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the demo ended %v after the interrupt", took)
	}
	var r result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || !r.Interrupted {
		t.Errorf("error %v, interrupted %v: want an object that says interrupted\n%s", err, r.Interrupted, &out)
	}
	if code := cmd.ProcessState.ExitCode(); code != exitUsage || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit code %d, want %d and a word about it\n%s", code, exitUsage, &errs)
	}
}
