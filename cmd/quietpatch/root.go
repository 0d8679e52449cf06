package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, as --help promises them.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// A failedError is an error with which a subcommand says: it ran, and what it
// measured or checked has failed. Every other error means that it did not run.
type failedError struct{ err error }

func (e failedError) Error() string { return e.err.Error() }
func (e failedError) Unwrap() error { return e.err }

// run is the whole command, and returns its exit code.
func run(args []string, stdout, stderr io.Writer) int {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup(1)
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	// After the first signal the next one ends the process as usual.
	context.AfterFunc(ctx, stop)

	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintf(stderr, "quietpatch: %v\n", err)
	}
	return exitCode(err)
}

func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, new(failedError)):
		return exitFailed
	}
	return exitUsage
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "quietpatch",
		Short: "Static keys for Go: change the code of a running program quietly",
		Long: `quietpatch changes the machine code of a running Go program while its threads
go on running it. This command shows what that costs, and what it would change
in a binary, and finds source code that it could not.

Exit codes: 0 all is well; 1 the command ran, and what it measured or checked
has failed; 2 wrong usage, or the command could not run.`,
		Example: `  quietpatch demo
  quietpatch demo --json
  quietpatch sites ./server
  quietpatch vet ./...
  quietpatch sim --exhaustive
  sudo quietpatch trace --cpus 2-3`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newDemoCommand(), newSitesCommand(), newVetCommand(), newSimCommand(), newBenchCommand(), newTraceCommand())
	return root
}
