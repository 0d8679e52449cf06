package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipireport"
)

// watched starts a trace of a process that ends when the trace says that it watches, and returns what it prints.
func watched(t *testing.T, args ...string) (report ipireport.JSON, errs string, code int) {
	t.Helper()
	if usable(t) == "" {
		t.Skip("needs a backend: quietpatch trace --check says what is missing")
	}
	program := exec.Command("cat")
	in, err := program.StdinPipe()
	if err == nil {
		err = program.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer program.Wait() // nobody waits for it before: it stays there
	cmd := command(t, append([]string{"trace", "--json", "--pid", fmt.Sprint(program.Process.Pid)}, args...)...)
	var out strings.Builder
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for b := make([]byte, 1); !strings.Contains(string(text), "watching CPU"); text = append(text, b...) {
		if _, err := stderr.Read(b); err != nil {
			t.Fatalf("%v after %s", err, text)
		}
	}
	in.Close()
	rest, err := io.ReadAll(stderr)
	_ = cmd.Wait() // says no more than the exit code
	if err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
		t.Fatalf("%v in\n%s%s", err, out.String(), rest)
	}
	return report, string(rest), cmd.ProcessState.ExitCode()
}

// TestTracePIDEnds: a run without --for ends with the process; one with it goes on, and proves nothing then.
func TestTracePIDEnds(t *testing.T) {
	r, errs, code := watched(t, "--assert", "ipis <= 1000000", "--interval", "1h")
	if code != exitOK || r.EndedNS == 0 || r.Incomplete != "" {
		t.Errorf("exit code %d, ended %d, incomplete %q\n%s", code, r.EndedNS, r.Incomplete, errs)
	}
	r, errs, code = watched(t, "--assert", "ipis <= 1000000", "--for", "1s")
	if code != exitFailed || r.EndedNS == 0 || !strings.Contains(errs, "had ended after") || !strings.Contains(r.Incomplete, "of 1.0 s") || r.DurationNS < 9e8 {
		t.Errorf("exit code %d, ended %d, incomplete %q after %d ns\n%s", code, r.EndedNS, r.Incomplete, r.DurationNS, errs)
	}
}

// TestTraceOnlooker: where nobody looks on any more the trace goes on to its end, takes away what it has turned on,
// and says so.
func TestTraceOnlooker(t *testing.T) {
	for _, backend := range []string{"bpf", "tracefs"} {
		for _, where := range []string{"closed pipe", "/dev/full"} {
			t.Run(backend+" "+filepath.Base(where), func(t *testing.T) { traceOnlooker(t, backend, where) })
		}
	}
}

func traceOnlooker(t *testing.T, backend, where string) {
	needBackend(t, backend)
	full, err := os.OpenFile(where, os.O_WRONLY, 0)
	if where == "closed pipe" {
		var r *os.File
		if r, full, err = os.Pipe(); err == nil {
			err = r.Close()
		}
	}
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	before := instances(t)
	file := filepath.Join(t.TempDir(), "run.qpt")
	cmd := command(t, "trace", "--backend", backend, "--for", "300ms", "--interval", "10ms", "--record", file)
	cmd.Stdout, cmd.Stderr = full, full
	_ = cmd.Run() // says no more than the exit code
	if code := cmd.ProcessState.ExitCode(); code != exitUsage {
		t.Errorf("exit code %d (%v), want %d", code, cmd.ProcessState, exitUsage)
	}
	for _, name := range instances(t) {
		if !slices.Contains(before, name) && strings.HasSuffix(name, fmt.Sprint("-", cmd.Process.Pid)) {
			t.Errorf("left: %s", name)
		}
	}
	if out, errs, code := runCommand(t, "trace", "report", file, "--assert", "self_ipis >= 0"); code != exitOK || strings.Contains(out, "Not complete") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

const tracefs = "/sys/kernel/tracing/instances"

func instances(t *testing.T) (names []string) {
	t.Helper()
	list, err := os.ReadDir(tracefs)
	if err != nil {
		t.Log(err) // not mounted: what is left there is not seen
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// TestTraceStale: whatever watches, what a killed trace has left in tracefs is removed, and that is told.
func TestTraceStale(t *testing.T) {
	for _, backend := range []string{"bpf", "tracefs"} {
		t.Run(backend, func(t *testing.T) {
			needBackend(t, backend)
			name := fmt.Sprintf("quietpatch-%d-%s", os.Getpid(), backend)
			if err := os.Mkdir(filepath.Join(tracefs, name), 0o700); err != nil {
				t.Skip(err)
			}
			out, errs, code := runCommand(t, "trace", "--backend", backend, "--for", "20ms")
			if _, err := os.Stat(filepath.Join(tracefs, name)); err == nil || code != exitOK || !strings.Contains(out, "killed: ") || !strings.Contains(out, name) {
				t.Errorf("%s: exit code %d, %v\n%s%s", name, code, err, out, errs)
			}
		})
	}
}

// TestTraceProgramSignals: that a trace outlives pipes is not for its program.
func TestTraceProgramSignals(t *testing.T) {
	if usable(t) == "" {
		t.Skip("needs a backend: quietpatch trace --check says what is missing")
	}
	out, errs, code := runCommand(t, "trace", "--", "grep", "SigIgn", "/proc/self/status")
	var ignored uint64
	if _, err := fmt.Sscanf(out, "SigIgn: %x", &ignored); err != nil || code != exitOK || ignored>>(syscall.SIGPIPE-1)&1 != 0 {
		t.Errorf("exit code %d, %v, ignored %#x\n%s%s", code, err, ignored, out, errs)
	}
}
