package main

import (
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/sitelist"
	"github.com/spf13/cobra"
)

const sitesLong = `Lists the static keys of a Go binary and the instructions that read them, and its
static calls and the instructions that call them, which a running program
patches when the key is set or the call updated. The binary is not run. It may
be stripped, position independent, built by another Go version (1.25 to 1.27) or
on another machine.

Each line shows the address in the file, the form of the instruction, whether it
can be patched, the function and the source position. An instruction that cannot
be patched reads the key from memory, or calls the forwarder: slower, never
wrong. For a static call the forwarders are shown, too, and the functions that
read the variable and are none, with the place where they differ.

Keys and static calls are found by their calls of Register with constant
arguments, and, where the binary has DWARF, by type.

In a binary built with -gcflags=all=-spectre=ret indirect calls are counted, and
those that dyncall may promote; --indirect lists them by function (--json always
does).

Exit codes: 0 the binary was read, whether it has keys or not; 2 wrong usage, or
not a Go program for linux/amd64.`

func newSitesCommand() *cobra.Command {
	var asJSON, indirect bool
	cmd := &cobra.Command{
		Use:   "sites BINARY",
		Short: "List the keys and calls of a Go binary and the instructions that use them",
		Long:  sitesLong,
		Example: `  quietpatch sites ./server
  quietpatch sites --indirect ./server
  quietpatch sites --json ./server | jq '.keys[].sites[] | select(.patchable|not)'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := sitelist.Read(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return list.WriteJSON(cmd.OutOrStdout())
			}
			return list.WriteText(cmd.OutOrStdout(), indirect)
		},
	}
	cmd.Flags().BoolVar(&indirect, "indirect", false, "list the functions with indirect calls")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
