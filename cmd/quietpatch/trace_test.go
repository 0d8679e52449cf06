package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipireport"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/trace"
)

func TestTraceUsage(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--cpus", "1-"}, "--cpus 1-: CPU list, character 3"},
		{[]string{"--cpus", "99999"}, "--cpus 99999"},
		{[]string{"--filter", "cpu & CPUS{x}"}, "cpu & CPUS{x}\n             ^"},
		{[]string{"--filter", "color == 1"}, "filter: "},
		{[]string{"--assert", "ipis <"}, "assertion: "},
		{[]string{"--pid", "x"}, "expected the number of a process"},
		{[]string{"--pid", "0"}, "expected the number of a process"},
		{[]string{"--pid", "1,2147483647"}, "--pid"},
		{[]string{"--follow"}, "--follow goes with --pid"},
		{[]string{"--interval", "1ns"}, "--interval"},
		{[]string{"--for", "-1s"}, "--for"},
		{[]string{"--for", "0s"}, "--for: expected a time above 0"},
		{[]string{"--pid", ""}, "--pid: expected the number"},
		{[]string{"--cpus", " "}, "--cpus: expected a list"},
		{[]string{"--filter", ""}, "--filter: expected an expression"},
		{[]string{"--html", "/nonexistent/file"}, "--html"},
		{[]string{"--folded", "/nonexistent/file"}, "--folded"},
		{[]string{"--top", "0"}, "--top"},
		{[]string{"--backend", "magic"}, "expected one of auto, bpf, tracefs"},
		{[]string{"--interrupted", "--no-cost"}, "--interrupted"},
		{[]string{"sleep", "1"}, "a program to run goes behind --"},
		{[]string{"--for", "1s", "--", "true"}, "--for"},
		{[]string{"--serve", "0.0.0.0:1"}, "loopback"},
		{[]string{"--record", "/nonexistent/file"}, "--record"},
		{[]string{"--", "/nonexistent/program"}, "/nonexistent/program"},
		{[]string{"report"}, "accepts 1 arg"},
		{[]string{"report", "/nonexistent/file"}, "/nonexistent/file"},
		{[]string{"report", "trace_test.go"}, "trace_test.go"},
	} {
		out, errs, code := runCommand(t, append([]string{"trace"}, tc.args...)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, tc.want) {
			t.Errorf("trace %q: exit code %d, want %d; stdout %q, stderr without %q:\n%s", tc.args, code, exitUsage, out, tc.want, errs)
		}
	}
}

// usable is the backend that a trace would take here.
func usable(t *testing.T) string {
	t.Helper()
	c, err := trace.NewCheck(trace.Auto)
	if err != nil {
		t.Fatal(err)
	}
	return c.Usable
}

func TestTraceCheck(t *testing.T) {
	out, errs, code := runCommand(t, "trace", "--check", "--json")
	var c trace.Check
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatalf("%v in\n%s%s", err, out, errs)
	}
	if want := map[bool]int{true: exitOK, false: exitFailed}[usable(t) != ""]; code != want || c.Usable != usable(t) {
		t.Errorf("exit code %d, want %d; usable %q, want %q", code, want, c.Usable, usable(t))
	}
	if len(c.Backends) != 2 || c.Backends[0].Name != "bpf" || len(c.Backends[0].Findings) == 0 {
		t.Errorf("backends: %+v", c.Backends)
	}
	text, _, again := runCommand(t, "trace", "--check")
	if again != code || !strings.Contains(text, "bpf: ") || !strings.Contains(text, "tracefs: ") {
		t.Errorf("exit code %d, want %d:\n%s", again, code, text)
	}
}

// watch is a trace that goes on until end is called. What is seen is in its JSON.
func watch(t *testing.T, args ...string) (end func(code int) ipireport.JSON) {
	t.Helper()
	if usable(t) == "" {
		t.Skip("needs a backend: quietpatch trace --check says what is missing")
	}
	cmd := command(t, append([]string{"trace", "--json"}, args...)...)
	var out strings.Builder
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "quietpatch: watching CPU") {
		t.Log(lines.Text())
	}
	return func(code int) (j ipireport.JSON) {
		t.Helper()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			t.Log(lines.Text())
		}
		_ = cmd.Wait() // says no more than the exit code
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("exit code %d, want %d", got, code)
		}
		if err := json.Unmarshal([]byte(out.String()), &j); err != nil {
			t.Fatalf("%v in\n%s", err, out.String())
		}
		return j
	}
}

// TestTraceRecord: a file says the same as the report of the run that wrote it, is judged by
// the same assertions, and one that is cut off is told, with what it has.
func TestTraceRecord(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.qpt")
	end := watch(t, "--record", file, "--interval", "50ms")
	ran := end(exitOK)
	var read ipireport.JSON
	page := filepath.Join(t.TempDir(), "page.html")
	out, errs, code := runCommand(t, "trace", "report", file, "--json", "--html", page, "--assert", "lost == 0")
	if err := json.Unmarshal([]byte(out), &read); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	if read.IPIs != ran.IPIs || read.SelfIPIs != ran.SelfIPIs || len(read.Rows) != len(ran.Rows) || read.Victims != ran.Victims || read.Incomplete != "" {
		t.Errorf("read %+v\nwrote %+v", read, ran)
	}
	if b, err := os.ReadFile(page); err != nil || !strings.Contains(string(b), "</html>") {
		t.Errorf("page of %d bytes, %v", len(b), err)
	}
	if _, errs, code := runCommand(t, "trace", "report", file, "--assert", "self_ipis < 0"); code == exitOK {
		t.Errorf("exit code %d, an assertion that cannot hold held\n%s", code, errs)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, whole[:len(whole)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code = runCommand(t, "trace", "report", file, "--json")
	if err := json.Unmarshal([]byte(out), &read); err != nil || code != exitUsage || read.Incomplete == "" || !strings.Contains(errs, "ends before the record does") {
		t.Errorf("cut off: exit code %d, %v\n%s%s", code, err, out, errs)
	}
}
