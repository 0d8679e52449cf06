package main

import (
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench"
	"github.com/spf13/cobra"
)

const benchCallsLong = `Measures what calls cost, in a Go program that it writes, builds with the Go
toolchain in PATH, plain and with retpolines (-gcflags=all=-spectre=ret), runs and
removes. Inside of the repository the library is the copy there, elsewhere the
version that this command was built from.

micro: a thousand calls of interface methods: of one type, of two and of sixteen in
random order. The order is the same in each turn of the loop, which a branch
predictor can learn in time; "new-order" is another one in each turn. "direct" is
what a programmer would write instead, "promoted" the retpoline build with dyncall.

staticcall: the same function called directly, through a variable, an interface and
a static call.

workloads: real work of the standard library, and of protobuf if it can be downloaded.
Many processes measure it, in each of which samples with and without promotion are
interleaved. The change, its 95% interval and p are those of Welch's t-test.

All times are times on the CPU, in the faster moments of a sample: without garbage
collection, and without most of what other programs disturb. Each process has the
functions in another of four orders, since where a loop lies counts, too. The busier
the machine, the longer a --time is needed.

The first build with retpolines builds the standard library, too: about a minute of
two CPUs.

Exit codes: 0 all was measured, whether or not the goals hold; 1 the program failed;
2 wrong usage, no Go toolchain, or text cannot be patched here.`

func newBenchCallsCommand() *cobra.Command {
	var o bench.CallOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use: "calls", Short: "Measure direct, indirect, promoted and static calls, and real work", Long: benchCallsLong,
		Example: "  quietpatch bench calls\n  quietpatch bench calls --json\n  quietpatch bench calls --time 20s --workload sort --workload sql",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			res, err := bench.RunCalls(cmd.Context(), o, cmd.ErrOrStderr())
			if err != nil {
				return benchError(err)
			}
			return printBench(cmd, res, asJSON, res.Interrupted)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.Time, "time", bench.DefaultCallTime, "how long to measure, without building")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.StringSliceVar(&o.Workloads, "workload", nil, "only these workloads: "+strings.Join(bench.Workloads(), ", "))
	return cmd
}
