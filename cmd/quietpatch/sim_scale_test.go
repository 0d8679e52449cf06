package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// scaleCommand is the study as a command of its own.
func scaleCommand(args ...string) (out, progress bytes.Buffer, err error) {
	var f scaleFlags
	cmd := &cobra.Command{
		Use: "scale", Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.stray(cmd); err != nil {
				return err
			}
			if !f.wanted() {
				return nil
			}
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), true)
		},
	}
	f.add(cmd)
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	err = cmd.Execute()
	return out, progress, err
}

func TestScale(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "plot.svg")
	if err := os.WriteFile(plot, bytes.Repeat([]byte("old "), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	out, progress, err := scaleCommand("--scale", "--cpus", "2,24", "--sites", "56", "--isolated", "1", "--plot", plot)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Parameters []any
		Calibrated bool
		Rows       []struct {
			CPUs     int
			Strategy string
			Syncs    int
			FlipNs   float64 `json:"flip_ns"`
		}
		LeavesOut []string `json:"leaves_out"`
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in\n%s", err, &out)
	}
	if len(r.Rows) != 2*2*5 || len(r.Parameters) == 0 || len(r.LeavesOut) == 0 || r.Calibrated || progress.Len() != 0 {
		t.Errorf("%+v, progress %q", r, &progress)
	}
	for _, row := range r.Rows {
		if row.FlipNs <= 0 || row.Syncs == 0 {
			t.Errorf("%+v", row)
		}
	}
	svg, err := os.ReadFile(plot)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(svg, []byte("<svg ")) || !bytes.HasSuffix(svg, []byte("</svg>\n")) {
		t.Errorf("the plot is not an SVG that replaced what was there: %.40s ... %s", svg, svg[max(0, len(svg)-40):])
	}
}

func TestScaleErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--scale", "--cpus", "0"}, []string{"--cpus", `"0"`}},
		{[]string{"--scale", "--cpus", "24,4097"}, []string{"--cpus", `"4097"`, "4096"}},
		{[]string{"--scale", "--cpus", "24,,256"}, []string{"--cpus", `"24,,256"`}},
		{[]string{"--scale", "--sites", "-1"}, []string{"--sites", `"-1"`}},
		{[]string{"--scale", "--sites", "1000001"}, []string{"--sites", `"1000001"`, "1000000"}},
		{[]string{"--scale", "--sites", "many"}, []string{"--sites", `"many"`}},
		{[]string{"--scale", "--isolated", "-2"}, []string{"isolated", "-2"}},
		{[]string{"--scale", "--cpus", "2", "--sites", "1", "--plot", filepath.Join(t.TempDir(), "no", "such.svg")}, []string{"write the plot", "such.svg"}},
		{[]string{"--calibrate"}, []string{"--calibrate", "--scale"}},
		{[]string{"--cpus", "24"}, []string{"--cpus", "--scale"}},
	} {
		out, _, err := scaleCommand(c.args...)
		if err == nil || out.Len() != 0 {
			t.Errorf("%v: no error, or output %q", c.args, &out)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%v: error %q does not name %s", c.args, err, w)
			}
		}
		if exitCode(err) != exitUsage {
			t.Errorf("%v: exit code %d, want %d", c.args, exitCode(err), exitUsage)
		}
	}
	if _, _, err := scaleCommand(); err != nil {
		t.Errorf("without flags: %v", err)
	}
}
