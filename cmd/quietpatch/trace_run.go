package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipireport"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/trace"
	"github.com/spf13/cobra"
)

// runTrace watches, shows what happens meanwhile, and reports in the end.
func runTrace(cmd *cobra.Command, f *traceFlags, program []string) (err error) {
	o, err := f.options()
	if err != nil {
		return err
	}
	if err := f.out.check(trace.Possible()); err != nil {
		return err
	}
	for _, a := range f.out.assertions {
		if err := trace.CheckFunctions(a.Functions()); err != nil {
			return fmt.Errorf("--assert: %w", err)
		}
	}
	outlivePipes()
	r := tracing{cmd: cmd, flags: f, options: o}
	defer func() { err = errors.Join(err, r.cleanUp()) }()
	if err := r.prepare(program); err != nil {
		return err
	}
	report, endChild, err := r.run()
	if report == nil {
		return err
	}
	width, _ := terminalSize(cmd.OutOrStdout())
	verdict := f.out.write(cmd.OutOrStdout(), report, width)
	endChild() // which may take long: the report is out
	verdict = errors.Join(verdict, r.childFailed)
	if err != nil { // what was seen is reported all the same, but is not all
		return errors.Join(err, withoutVerdict(verdict))
	}
	return verdict
}

// tracing is a run of the command.
type tracing struct {
	cmd         *cobra.Command
	flags       *traceFlags
	options     trace.Options
	child       *trace.Child
	childFailed error // how the program ended
	listener    net.Listener
	closers     []func() error
}

// prepare opens the file, the address and the program before anything is watched: what is wrong
// with them is told at once.
func (r *tracing) prepare(program []string) error {
	if err := r.flags.out.open(); err != nil {
		return err
	}
	if r.flags.record != "" {
		file, err := os.OpenFile(r.flags.record, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return fmt.Errorf("--record: %w", err)
		}
		r.closers = append(r.closers, file.Close)
		r.options.Record = &recordFile{File: file}
	}
	if r.flags.serve != "" {
		l, err := ipireport.Listen(r.flags.serve)
		if err != nil {
			return fmt.Errorf("--serve: %w", err)
		}
		r.listener = l
		r.closers = append(r.closers, func() error { l.Close(); return nil }) // the server may have done so
	}
	if len(program) == 0 {
		return nil
	}
	return r.load(program)
}

// load loads the program, which does not run yet. Its output does not mix with JSON.
func (r *tracing) load(program []string) error {
	c := exec.Command(program[0], program[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, r.cmd.OutOrStdout(), r.cmd.ErrOrStderr()
	if r.flags.out.asJSON {
		c.Stdout = c.Stderr
	}
	var err error
	if r.child, err = trace.StartChild(c); err != nil {
		return err
	}
	r.options.Watch.TGIDs = append(r.options.Watch.TGIDs, int32(r.child.PID))
	r.options.Watch.Follow = true
	r.options.Notes = append(r.options.Notes, fmt.Sprintf("the program is %q, process %d; watched is what it sends and all that it starts", program, r.child.PID))
	return nil
}

// run watches until it is time to end.
func (r *tracing) run() (report *ipireport.Report, endChild func(), err error) {
	session, err := trace.Start(r.options)
	if err != nil {
		return nil, nil, errors.Join(err, r.killChild())
	}
	ctx, end := context.WithCancel(r.cmd.Context())
	defer end()
	if r.flags.lasts > 0 {
		defer time.AfterFunc(r.flags.lasts, end).Stop()
	}
	endServer := r.serve(session, end)
	r.sayWatching(session)
	endChild = r.letGo(end)
	live := r.live()
	var shown error // what is watched does not end with who looks on
	err = session.Run(ctx, r.flags.interval, func(step ipireport.Step, report *ipireport.Report) error {
		if shown == nil {
			shown = live.Show(step, report)
		}
		return nil
	})
	report, stopped := session.Stop()
	if shown == nil {
		shown = live.Clear()
	}
	return report, endChild, errors.Join(err, shown, stopped, endServer())
}

// outlivePipes lets writes to a pipe that nobody reads fail, also on standard output and error,
// which otherwise ends the process (os/signal, "SIGPIPE") and leaves what it has turned on. It is
// Notify and not Ignore, which the program that is watched would inherit.
func outlivePipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// sayWatching tells scripts, too, that what happens from now on is counted.
func (r *tracing) sayWatching(s *trace.Session) {
	what := "CPUs"
	if s.Victims().Len() == 1 {
		what = "CPU"
	}
	fmt.Fprintf(r.cmd.ErrOrStderr(), "quietpatch: watching %s %s\n", what, s.Victims())
}

// letGo lets the program run, if there is one; its end is that of the trace. If the trace
// ends before it, the function that is returned ends the program.
func (r *tracing) letGo(end context.CancelFunc) (endChild func()) {
	if r.child == nil {
		return func() {}
	}
	ended := make(chan error, 1)
	go func() {
		ended <- <-r.child.Go()
		end()
	}()
	return func() {
		select {
		case err := <-ended:
			if err != nil && r.cmd.Context().Err() == nil { // else the terminal's Ctrl-C was for it, too
				r.childFailed = failedError{fmt.Errorf("the program that was watched: %w", err)}
			}
		default:
			terminate(r.child.PID)
			<-ended
		}
	}
}

// killChild is for a program that has not run.
func (r *tracing) killChild() error {
	if r.child == nil {
		return nil
	}
	return r.child.Kill()
}

// serve answers requests, if that was asked for, until the function that it returns is called.
func (r *tracing) serve(session *trace.Session, end context.CancelFunc) (stop func() error) {
	if r.listener == nil {
		return func() error { return nil }
	}
	server := &http.Server{
		Handler:           ipireport.Handler(session.Collector(), r.flags.out.options(0), 0),
		ReadHeaderTimeout: 10 * time.Second,
	}
	failed := make(chan error, 1)
	go func() {
		err := server.Serve(r.listener)
		end()
		failed <- err
	}()
	fmt.Fprintf(r.cmd.ErrOrStderr(), "quietpatch: http://%s/ has a page, /metrics, /json and /folded\n", r.listener.Addr())
	return func() error {
		err := server.Close()
		if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, fmt.Errorf("--serve: %w", served))
		}
		return err
	}
}

// cleanUp closes what was opened.
func (r *tracing) cleanUp() error {
	var errs []error
	r.flags.out.close()
	for _, c := range r.closers {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// live shows on standard error what happens. Where that is no terminal it says something
// every 10 seconds only, and nothing beside a program with output of its own.
func (r *tracing) live() *ipireport.Live {
	w := r.cmd.ErrOrStderr()
	if r.child != nil {
		w = io.Discard
	}
	o := r.flags.out.options(0)
	if isTerminal(w) {
		return ipireport.NewLive(w, o, func() (int, int) { return terminalSize(w) })
	}
	live := ipireport.NewLive(w, o, nil)
	live.Every = 10 * time.Second
	return live
}
