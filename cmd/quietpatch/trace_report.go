package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipireport"
	"github.com/spf13/cobra"
)

const traceReportLong = `Makes a report of a file that trace --record has written, here or on another machine.
A file that is damaged or cut off is reported as far as it can be read.

Exit codes: 0 all is well; 1 an assertion does not hold; 2 wrong usage, or the file
cannot be read to its end.`

func newTraceReportCommand() *cobra.Command {
	var out traceOutput
	cmd := &cobra.Command{
		Use:   "report FILE",
		Short: "Make a report of a recorded trace",
		Long:  traceReportLong,
		Example: `  quietpatch trace report night.qpt
  quietpatch trace report night.qpt --html night.html --assert 'ipis(cpu=2-3) <= 0'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return reportTrace(cmd, &out, args[0]) },
	}
	out.add(cmd)
	return cmd
}

func reportTrace(cmd *cobra.Command, out *traceOutput, name string) error {
	if err := distinct(fileFlag{"the record", name}, fileFlag{"--html", out.html}, fileFlag{"--folded", out.folded}); err != nil {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	c, damage := ipireport.ReadRecord(file)
	if c == nil {
		return fmt.Errorf("%s: %w", name, damage)
	}
	r := c.Report()
	if err := out.check(r.Meta.CPUs); err != nil {
		return err
	}
	if err := out.open(); err != nil {
		return err
	}
	defer out.close()
	width, _ := terminalSize(cmd.OutOrStdout())
	err = out.write(cmd.OutOrStdout(), r, width)
	if damage != nil {
		// What could not be read may break any assertion: this is no verdict.
		return errors.Join(fmt.Errorf("%s: %w", name, damage), withoutVerdict(err))
	}
	return err
}

// withoutVerdict keeps the text of an error, and not that the run has failed.
func withoutVerdict(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(err.Error())
}
