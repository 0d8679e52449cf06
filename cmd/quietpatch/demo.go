package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/demo"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/progress"
	"github.com/spf13/cobra"
)

const demoLong = `Runs an HTTP server and its clients in this process, so that all CPUs are busy,
and flips one key with 56 checks in the path of every request, by each strategy
on each backend that works here. Prints what a flip took, what it sent to
another CPU, and whether any request saw anything in between.

Interrupts are read from /proc/interrupts for one CPU, the busy CPU; the flips
are made on another. The load itself causes interrupts, so they are counted for
a while without flips first, and that noise is subtracted. The garbage collector
is set to 400 percent for the run, because the runtime's calls for memory cause
interrupts too.

A client knows for most of its requests what the key was from beginning to end.
Then the response must report no stage (off) or all stages (on), or it counts as
a failed request.

Where code cannot be changed (another OS or CPU, no permission, a debugger) the
demo runs with keys that are read from memory, and says why.` + demoIsolatedLong + `

With --json, a number that this machine does not offer is -1.

Exit codes: 0 all is well; 1 a request or a flip failed, or the isolated thread
was interrupted; 2 wrong usage, no second CPU for --isolated, or the demo could
not run to its end.`

func newDemoCommand() *cobra.Command {
	var o demo.Options
	var asJSON bool
	var i isolatedFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Flip 56 branches of a busy server and show what it cost",
		Long:  demoLong,
		Example: `  quietpatch demo
  quietpatch demo --strategy store,int3 --backend procmem
  quietpatch demo --json --duration 500ms
  quietpatch demo --isolated
  quietpatch demo --isolated --realtime --strategy int3 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			oi, err := i.options(cmd, o)
			if err != nil {
				return err
			}
			if i.on {
				return runDemoIsolated(cmd, oi, asJSON)
			}
			return runDemo(cmd, o, asJSON)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.RowDuration, "duration", demo.DefaultDuration, "length of one row")
	f.IntVar(&o.BusyCPU, "cpu", -1, "the busy CPU, or that of the isolated thread, whose interrupts are counted (-1: the last one)")
	f.StringSliceVar(&o.Strategies, "strategy", nil, "only these strategies: "+strings.Join(demo.Strategies(), ", "))
	f.StringSliceVar(&o.Backends, "backend", nil, "only these backends: "+strings.Join(demo.Backends(), ", "))
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	i.add(cmd)
	return cmd
}

func runDemo(cmd *cobra.Command, o demo.Options, asJSON bool) error {
	stderr := cmd.ErrOrStderr()
	res, err := demo.Run(cmd.Context(), o, progress.Writer{W: stderr, Terminal: isTerminal(stderr)})
	if err != nil {
		return err
	}
	if err := show(cmd, res, asJSON); err != nil {
		return err
	}
	return verdict(res)
}

// show writes a result as a table or as JSON.
func show(cmd *cobra.Command, res interface {
	WriteTable(io.Writer) error
	WriteJSON(io.Writer) error
}, asJSON bool,
) error {
	if asJSON {
		return res.WriteJSON(cmd.OutOrStdout())
	}
	return res.WriteTable(cmd.OutOrStdout())
}

// verdict turns a result into the error that makes the exit code.
func verdict(res *demo.Result) error {
	return exitError(res.Failure(), res.Interrupted, "rows")
}

// exitError is the error for a run that failed, or whose parts are not complete.
func exitError(failure error, interrupted bool, parts string) error {
	if failure != nil {
		return failedError{failure}
	}
	if interrupted {
		return errors.New("interrupted: the " + parts + " are not complete")
	}
	return nil
}

// isTerminal takes any character device for a terminal. The worst that comes
// of the mistake is a line that is written over on /dev/null.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
