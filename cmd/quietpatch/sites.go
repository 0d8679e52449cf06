package main

import (
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/sitelist"
	"github.com/spf13/cobra"
)

const sitesLong = `Lists the static keys of a Go binary and the instructions that read them, which
a running program patches when the key is set. The binary is not run. It may be
stripped, position independent, built by another Go version (1.25 to 1.27) or
on another machine.

Each line shows the address in the file, the form of the instruction, whether it
can be patched, the function and the source position. An instruction that cannot
be patched reads the key from memory: slower, never wrong.

Keys are found by their calls of statickey.Register with constant arguments, and,
where the binary has DWARF, by type.

Exit codes: 0 the binary was read, whether it has keys or not; 2 wrong usage, or
not a Go program for linux/amd64.`

func newSitesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sites BINARY",
		Short: "List the keys of a Go binary and the instructions that read them",
		Long:  sitesLong,
		Example: `  quietpatch sites ./server
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
			return list.WriteText(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
