package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench"
	"github.com/spf13/cobra"
)

const benchLong = `Measures what keys cost (scale, checks) and what calls cost (calls; see its --help),
in a Go program that it writes, builds with the Go toolchain in PATH, runs and
removes. Inside of the repository the library is the copy there, elsewhere the
version that this command was built from.

scale: flips of 1 to all (100,000) sites by each strategy on each backend, one process
per backend, with a busy thread on another CPU that runs some of the sites. A bare
sync is measured between the flips, and interrupts are counted at the busy CPU.
After each row all sites are run and must show the right value. Then: the time to
find all sites of 10,000 keys, and the memory they take; and the checks.

checks: what a check costs beside a bool, an atomic.Bool, an atomic.Pointer to a
config and slog.Enabled, for 1 and 32 checks in a loop. The same loop without
checks is subtracted. "hot": all in the nearest cache. "evicted": the switch is in
no cache, its code is. "cold": neither is. "bounced": another CPU writes to a word
in the switch's cache line.

Building takes about half a minute of two CPUs for scale. Other programs disturb
the times; rows that they have spoilt are marked.

Exit codes: 0 all is well; 1 a site showed a wrong value, or the program failed;
2 wrong usage, no Go toolchain, or text cannot be patched here.`

const benchScale = "scale"

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure flips of 100,000 sites, finding them, single checks, and calls",
		Long:  benchLong,
		Example: `  quietpatch bench scale
  quietpatch bench scale --json --backend alias
  quietpatch bench checks
  quietpatch bench calls --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("bench: expected what to measure: scale, checks or calls (see quietpatch bench --help)")
		},
	}
	cmd.AddCommand(newBenchPart(benchScale, "Measure flips, discovery and checks"),
		newBenchPart("checks", "Measure single checks only"), newBenchCallsCommand())
	return cmd
}

func newBenchPart(name, short string) *cobra.Command {
	var o bench.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use: name, Short: short, Long: benchLong,
		Example: "  quietpatch bench " + name + "\n  quietpatch bench " + name + " --json --time 200ms",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == benchScale && o.Sites == 0 {
				return fmt.Errorf("sites: expected one of %v, found 0", bench.SiteCounts())
			}
			return runBench(cmd, o, asJSON)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.Time, "time", bench.DefaultTime, "length of one row")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	if name == benchScale {
		counts := bench.SiteCounts()
		f.IntVar(&o.Sites, "sites", counts[len(counts)-1], fmt.Sprintf("sites of the program, one of %v", counts))
		f.StringSliceVar(&o.Backends, "backend", nil, "only these backends: "+strings.Join(bench.Backends(), ", "))
	}
	return cmd
}

func runBench(cmd *cobra.Command, o bench.Options, asJSON bool) error {
	res, err := bench.Run(cmd.Context(), o, cmd.ErrOrStderr())
	if err != nil {
		return benchError(err)
	}
	return printBench(cmd, res, asJSON, res.Interrupted)
}

// benchError tells a program that failed from one that did not run.
func benchError(err error) error {
	if errors.As(err, new(*bench.RunError)) {
		return failedError{err}
	}
	return err
}

type benchResult interface {
	WriteJSON(w io.Writer) error
	WriteTable(w io.Writer) error
}

func printBench(cmd *cobra.Command, res benchResult, asJSON, interrupted bool) error {
	write := res.WriteTable
	if asJSON {
		write = res.WriteJSON
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if interrupted {
		return errors.New("interrupted: the rows are not complete")
	}
	return nil
}
