package main

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

func TestBenchUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"bench"}, "scale, checks or calls"},
		{[]string{"bench", "nonsense"}, "nonsense"},
		{[]string{"bench", "scale", "--backend", "nonsense"}, `"nonsense"`},
		{[]string{"bench", "scale", "--sites", "12"}, "12"},
		{[]string{"bench", "scale", "--sites", "0"}, "found 0"},
		{[]string{"bench", "checks", "--time", "-1s"}, "-1s"},
		{[]string{"bench", "checks", "--sites", "1000"}, "--sites"},
		{[]string{"bench", "calls", "--time", "-1s"}, "-1s"},
		{[]string{"bench", "calls", "nonsense"}, "nonsense"},
		{[]string{"bench", "calls", "--workload", "nonsense"}, `"nonsense"`},
	} {
		out, errs, code := runCommand(t, c.args...)
		if code != exitUsage || !strings.Contains(errs, c.want) || out != "" {
			t.Errorf("%q: exit code %d, printed %q, said %q; want %d, nothing, %s", c.args, code, out, errs, exitUsage, c.want)
		}
	}
}

func TestBenchHelp(t *testing.T) {
	out, _, code := runCommand(t, "bench", "scale", "--help")
	for _, want := range []string{"Examples:", "quietpatch bench scale --json", "Exit codes:", "--sites"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q in\n%s", code, want, out)
		}
	}
}

// TestBenchChecks runs the whole way, with the small program.
func TestBenchChecks(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" || runtime.NumCPU() < 2 {
		t.Skip("needs live text and two CPUs")
	}
	out, errs, code := runCommand(t, "bench", "checks", "--json", "--time", "1ms")
	if code == exitUsage && strings.Contains(errs, "text cannot be patched here") {
		t.Skip(errs)
	}
	var r struct {
		Checks []struct {
			Case string `json:"case"`
		} `json:"checks"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK || len(r.Checks) == 0 {
		t.Errorf("exit code %d, %v, %d checks\n%s%s", code, err, len(r.Checks), out, errs)
	}
	if !strings.Contains(errs, "building the program") {
		t.Errorf("no progress on stderr: %q", errs)
	}
}
