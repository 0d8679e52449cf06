package main

import (
	"fmt"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/demo"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/isolated"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/progress"
	"github.com/spf13/cobra"
)

const demoIsolatedLong = `

With --isolated it shows something else: how little of that an isolated thread
notices (package isolate). One thread has a CPU for itself, the last one or
--cpu, and measures the gaps between its own readings of the time-stamp counter.
The rest of the process flips the key, retargets a call, unmaps memory, collects
garbage and runs short processes one after the other: first with the thread
isolated, so that what would interrupt it is deferred; then, for as long, nothing,
to see the noise; then the same again with the thread not isolated. In the end
the way out of isolation and back is measured. That takes some ten seconds. Other
programs that run on that CPU spoil it: run it on a quiet machine, or with
--realtime, which takes the CPU away from them for the time of the run. It fails
if the thread ran code that was changing, if a flip failed, or if with deferral
clearly more interrupts came than in the noise: one for 100 flips and 50 more,
or twice the noise, and those that wake the thread after Go has stopped it.

IPIs are those that this process sends, counted as by quietpatch trace; that needs
root, or CAP_BPF and CAP_PERFMON. Without, they are read from /proc/interrupts, where
those of other programs are counted, too.`

// isolatedFlags are the flags of demo that go with --isolated.
type isolatedFlags struct {
	on       bool
	flips    int
	realTime bool
}

func (i *isolatedFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&i.on, "isolated", false, "show what an isolated thread notices of the flips")
	f.IntVar(&i.flips, "flips", isolated.DefaultFlips, "with --isolated: flips in each phase")
	f.BoolVar(&i.realTime, "realtime", false, "with --isolated: give the thread priority over other programs")
	cmd.MarkFlagsMutuallyExclusive("isolated", "duration")
	cmd.AddCommand(newProcessCommand())
}

// options checks the flags, those that are shared with the other demo included.
func (i *isolatedFlags) options(cmd *cobra.Command, shared demo.Options) (isolated.Options, error) {
	if !i.on {
		for _, name := range []string{"flips", "realtime"} {
			if cmd.Flags().Changed(name) {
				return isolated.Options{}, fmt.Errorf("--%s goes with --isolated", name)
			}
		}
		return isolated.Options{}, nil
	}
	o := isolated.Options{CPU: shared.BusyCPU, Flips: i.flips, RealTime: i.realTime, Process: []string{"demo", processName}}
	for name, choice := range map[string]struct {
		from []string
		to   *string
	}{"strategy": {shared.Strategies, &o.Strategy}, "backend": {shared.Backends, &o.Backend}} {
		switch len(choice.from) {
		case 0:
		case 1:
			*choice.to = choice.from[0]
		default:
			return o, fmt.Errorf("--%s: with --isolated there is one, found %d", name, len(choice.from))
		}
	}
	return o, nil
}

func runDemoIsolated(cmd *cobra.Command, o isolated.Options, asJSON bool) error {
	stderr := cmd.ErrOrStderr()
	res, err := isolated.Run(cmd.Context(), o, progress.Writer{W: stderr, Terminal: isTerminal(stderr)})
	if err != nil {
		return err
	}
	if err := show(cmd, res, asJSON); err != nil {
		return err
	}
	return isolatedVerdict(res)
}

// isolatedVerdict is verdict for this demo.
func isolatedVerdict(res *isolated.Result) error {
	return exitError(res.Failure(), res.Interrupted, "phases")
}

const processName = "process"

// newProcessCommand makes the command that the demo runs beside its flips.
func newProcessCommand() *cobra.Command {
	return &cobra.Command{
		Use: processName, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return isolated.ProcessMain() },
	}
}
