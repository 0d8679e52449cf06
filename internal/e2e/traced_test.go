//go:build linux && amd64

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A traceReport is what quietpatch trace --json prints, as far as tests look at it.
type traceReport struct {
	Rows []struct {
		CPU   int
		Kind  string
		Cause string
		IPIs  int
	}
	Lost int
}

// to sums up the IPIs to a CPU that had it run a function.
func (r *traceReport) to(cpu int, cause string) (sum int) {
	for _, row := range r.Rows {
		if row.CPU == cpu && row.Cause == cause {
			sum += row.IPIs
		}
	}
	return sum
}

// traced is run under quietpatch trace: it returns what the program sent to all CPUs.
func traced(t *testing.T, result any, bin string, args ...string) (r traceReport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	tracer := buildPackage(t, "../../cmd/quietpatch", nil)
	if out, err := exec.CommandContext(ctx, tracer, "trace", "--check").CombinedOutput(); err != nil {
		t.Skipf("needs quietpatch trace (root, or CAP_BPF and CAP_PERFMON): %v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "result")
	// The program's output goes to a file, and its process stays the one that is watched.
	shell := append([]string{"trace", "--json", "--cpus", "all", "--", "sh", "-c", `exec "$@" >"$0"`, file, bin}, args...)
	cmd := exec.CommandContext(ctx, tracer, shell...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(shell, " "), err, tail(errs.String()), tail(out.String()))
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for what, part := range map[string]struct {
		text []byte
		into any
	}{"prog " + strings.Join(args, " "): {b, result}, "quietpatch trace": {out.Bytes(), &r}} {
		if err := json.Unmarshal(part.text, part.into); err != nil {
			t.Fatalf("%s printed no JSON: %v\n%s", what, err, tail(string(part.text)))
		}
	}
	return r
}
