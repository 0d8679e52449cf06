package main

import (
	"fmt"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/forwardcheck"
	"github.com/spf13/cobra"
	"golang.org/x/tools/go/analysis/unitchecker"
)

const vetLong = `Checks the source of packages and their tests (default: the one in the working
directory) for static calls and keys that cannot be patched:

- The method Func of a static call belongs into a forwarder: a function with
  //go:noinline whose one statement calls x.Func() with the function's own
  parameters, a receiver first, and returns the results. x is a package-level
  variable of type staticcall.Call, or a field of one. All arguments and results
  have to fit into registers.
- Static calls and keys are not declared in functions, copied or overwritten.

Such code works, but what it calls is not called directly, or reads memory. Each
line says where that is, what is wrong and what to write.

The packages must compile. The same check runs by
go vet -vettool=$(which quietpatch) ./...

Exit codes: 0 nothing was found; 1 something was; 2 wrong usage, or packages
that could not be loaded.`

func newVetCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "vet [PACKAGES]",
		Short: "Check source code for static calls and keys that cannot be patched",
		Long:  vetLong,
		Example: `  quietpatch vet ./...
  quietpatch vet --json ./... | jq -r '.findings[].message'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := forwardcheck.Check(cmd.Context(), "", args)
			if err != nil {
				return err
			}
			write := r.WriteText
			if asJSON {
				write = r.WriteJSON
			}
			if err := write(cmd.OutOrStdout()); err != nil {
				return err
			}
			if n := len(r.Findings); n > 0 {
				return failedError{fmt.Errorf("%d findings in %d packages", n, r.Packages)}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// asVettool reports whether `go vet -vettool` runs the command: it asks for a version
// and flags, and then hands over a file that describes one package
// (golang.org/x/tools/go/analysis/unitchecker).
func asVettool(args []string) bool {
	return len(args) > 0 && (args[0] == "-V=full" || args[0] == "-flags" || strings.HasSuffix(args[len(args)-1], ".cfg") && args[0] != "vet")
}

// vettool is the command as go vet runs it. It does not return.
func vettool() { unitchecker.Main(forwardcheck.Analyzer) }
