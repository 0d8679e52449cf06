package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipireport"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/trace"
	"github.com/spf13/cobra"
)

const traceLong = `Shows who interrupts CPUs from other CPUs: with which function, which process in
which system call is behind it (also where a kernel thread does the work for it), what it
costs the CPU, and what can be done about it. Counts in the kernel, by eBPF.

Watched are the CPUs of --cpus; if there is none, the isolated and nohz_full ones; if there
are none, all. The trace goes on until Ctrl-C, the end of --for, or the end of the
program that is given after --, or of all processes of --pid without --for and --follow.

IPIs are interrupts that really went out. "queued" are calls that were put into a
CPU's queue, also where an interrupt was on its way already, or the CPU looked by itself.

A filter is an expression as those of the kernel's events:

  cpu & CPUS{2-3}              interrupted CPUs (cpumask: any of all that one IPI goes to)
  CPU & CPUS{0}                the CPU that sends
  pid == 1234, tgid == 1234    thread and process that are to blame
  comm != "rcu_sched"          name of the thread (process: of the process); == and != or ~ with * and ?
  cause == do_sync_core        function that the interrupted CPU has to run
  kind == tlb                  call, tlb, resched, irq_work

joined by &&, ||, ! and parentheses. An assertion is a comparison of one of ipis, queued,
rate, cost, lost and self_ipis with a number, for example

  ipis <= 0
  ipis(cpu=2-3,kind=tlb) < 10 && rate < 1/s
  cost(comm="java*|node") <= 250us

It fails also if it is not proved: if events were lost, the run or all processes of --pid
ended before its time, or it is about CPUs that were not watched. IPIs that the trace itself sends are in no row.

It needs root, or CAP_BPF, CAP_PERFMON and, for the names of functions, CAP_SYSLOG;
--check says what is there and what is not. The trace itself interrupts all CPUs when
it starts and when it stops, as the kernel changes its code for that: these IPIs are
counted apart (self_ipis).

Exit codes: 0 all is well; 1 an assertion does not hold, the program has failed, or with
--check no backend works; 2 wrong usage, or nothing can be watched here.`

// traceFlags are the flags of trace.
type traceFlags struct {
	cpus, filter, backend string
	pids                  []string
	follow                bool
	lasts, interval       time.Duration
	stacks, noCost        bool
	interrupted, check    bool
	record, serve         string
	out                   traceOutput
}

func newTraceCommand() *cobra.Command {
	var f traceFlags
	cmd := &cobra.Command{
		Use:   "trace [flags] [-- PROGRAM ARGUMENTS...]",
		Short: "Show who interrupts CPUs, from which system call, and what to do about it",
		Long:  traceLong,
		Example: `  sudo quietpatch trace --cpus 2-3
  sudo quietpatch trace --for 30s --assert 'ipis <= 0'
  sudo quietpatch trace --cpus 2-3 --filter 'kind == tlb && comm != "java"' --json --for 10s
  sudo quietpatch trace --pid 1234 --stacks --folded stacks.txt --html report.html
  sudo quietpatch trace --cpus 3 -- ./server
  sudo quietpatch trace --serve 127.0.0.1:9470
  sudo quietpatch trace --record night.qpt --for 8h; quietpatch trace report night.qpt
  quietpatch trace --check`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
				return fmt.Errorf("unexpected %q: a program to run goes behind --, CPUs behind --cpus", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.check {
				return checkTrace(cmd, &f)
			}
			if err := f.changed(cmd, args); err != nil {
				return err
			}
			return runTrace(cmd, &f, args)
		},
	}
	f.add(cmd)
	cmd.AddCommand(newTraceReportCommand())
	return cmd
}

func (f *traceFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.cpus, "cpus", "", "list of the CPUs to watch, such as 2-3,8 (default: isolated and nohz_full ones, else all)")
	fs.DurationVar(&f.lasts, "for", 0, "how long to watch (default: until Ctrl-C)")
	fs.StringVar(&f.filter, "filter", "", "count only IPIs for which this expression is true")
	fs.StringSliceVar(&f.pids, "pid", nil, "count only what these processes send")
	fs.BoolVar(&f.follow, "follow", false, "with --pid: also what processes send that these start from now on")
	fs.StringVar(&f.record, "record", "", "write all that happens to this file, for trace report")
	fs.StringVar(&f.serve, "serve", "", "serve /metrics for Prometheus, /json and a page on this loopback address")
	fs.BoolVar(&f.stacks, "stacks", false, "walk the kernel's stack where an IPI is sent (2 us each)")
	fs.BoolVar(&f.interrupted, "interrupted", false, "show which threads were interrupted, too")
	fs.BoolVar(&f.noCost, "no-cost", false, "do not measure what interrupts cost: a smaller start and stop")
	fs.DurationVar(&f.interval, "interval", time.Second, "time between two updates")
	fs.StringVar(&f.backend, "backend", trace.Auto, "how to watch: "+strings.Join(trace.Backends(), ", "))
	fs.BoolVar(&f.check, "check", false, "say which means are there, and what is lost without the others")
	f.out.add(cmd)
}

// changed refuses values that are given and mean nothing, or not together: what a script has computed
// wrongly must not change what is watched.
func (f *traceFlags) changed(cmd *cobra.Command, program []string) error {
	if err := distinct(fileFlag{"--record", f.record}, fileFlag{"--html", f.out.html}, fileFlag{"--folded", f.out.folded}); err != nil {
		return err
	}
	fs := cmd.Flags()
	switch {
	case fs.Changed("for") && f.lasts <= 0:
		return fmt.Errorf("--for: expected a time above 0, found %v", f.lasts)
	case f.lasts > 0 && len(program) > 0:
		return errors.New("--for: a trace of a program ends when the program does")
	case fs.Changed("pid") && len(f.pids) == 0:
		return errors.New("--pid: expected the number of a process, found nothing")
	case fs.Changed("cpus") && strings.TrimSpace(f.cpus) == "":
		return errors.New("--cpus: expected a list of CPUs such as 2-3,8, found nothing")
	case fs.Changed("filter") && strings.TrimSpace(f.filter) == "":
		return errors.New("--filter: expected an expression such as cpu & CPUS{2-3}, found nothing")
	}
	return nil
}

// options turns the flags into what a session takes.
func (f *traceFlags) options() (trace.Options, error) {
	o := trace.Options{Backend: f.backend, Filter: f.filter, Planned: f.lasts}
	if !slices.Contains(trace.Backends(), f.backend) {
		return o, fmt.Errorf("--backend: expected one of %s, found %q", strings.Join(trace.Backends(), ", "), f.backend)
	}
	if f.interval < minInterval {
		return o, fmt.Errorf("--interval: expected %v or more, found %v", minInterval, f.interval)
	}
	n, err := trace.Possible(), error(nil)
	if f.cpus != "" {
		if o.Watch.Victims, err = ipi.ParseCPUs(f.cpus, n); err != nil {
			return o, fmt.Errorf("--cpus %s: %w", f.cpus, err)
		}
	}
	if f.filter != "" {
		if o.Watch.Filter, err = ipifilter.Parse(f.filter, n); err != nil {
			return o, err // it says that it is about a filter
		}
	}
	if o.Watch.TGIDs, err = numbers(f.pids); err != nil {
		return o, fmt.Errorf("--pid: %w", err)
	}
	if err := trace.CheckProcesses(o.Watch.TGIDs); err != nil {
		return o, fmt.Errorf("--pid: %w", err)
	}
	if o.Watch.Follow = f.follow; f.follow && o.Watch.TGIDs == nil {
		return o, errors.New("--follow goes with --pid")
	}
	o.Watch.Stacks = f.stacks || f.out.folded != ""
	o.Watch.NoCost, o.Watch.Interrupted = f.noCost, f.interrupted
	if f.noCost && f.interrupted {
		return o, errors.New("--interrupted: who is interrupted is seen by the events that --no-cost leaves out")
	}
	return o, nil
}

// minInterval is the shortest time between two readings of the table.
const minInterval = 10 * time.Millisecond

// numbers reads process numbers.
func numbers(list []string) (out []int32, err error) {
	for _, s := range list {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("expected the number of a process, found %q", s)
		}
		out = append(out, int32(n))
	}
	return out, nil
}

// checkTrace says which means are there.
func checkTrace(cmd *cobra.Command, f *traceFlags) error {
	c, err := trace.NewCheck(f.backend)
	if err != nil {
		return err
	}
	write := c.WriteText
	if f.out.asJSON {
		write = c.WriteJSON
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if c.Usable == "" {
		return failedError{errors.New("no backend works here")}
	}
	return nil
}

// traceOutput is what becomes of a report: the same for a trace and for a file.
type traceOutput struct {
	asJSON          bool
	html, folded    string
	assert          []string
	top             int
	perCPU, threads bool

	assertions []*ipireport.Assertion
	files      []outputFile
}

// outputFile is opened before a run and written after it.
type outputFile struct {
	*os.File
	write func(io.Writer, *ipireport.Report) error
}

func (o *traceOutput) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	fs.StringVar(&o.html, "html", "", "write the report as a page to this file, with a timeline")
	fs.StringVar(&o.folded, "folded", "", "write folded stacks for flame graphs to this file")
	fs.StringArrayVar(&o.assert, "assert", nil, "exit with 1 unless this is true of the whole run")
	fs.IntVar(&o.top, "top", 20, "rows of a table")
	fs.BoolVar(&o.perCPU, "per-cpu", false, "a row for each CPU, also for what several got alike")
	fs.BoolVar(&o.threads, "threads", false, "a row for each thread of a process")
}

// check reads the assertions, for a machine with so many CPUs.
func (o *traceOutput) check(cpus int) error {
	if o.top < 1 {
		return fmt.Errorf("--top: expected 1 or more, found %d", o.top)
	}
	for _, text := range o.assert {
		a, err := ipireport.ParseAssertion(text, cpus)
		if err != nil {
			return err
		}
		o.assertions = append(o.assertions, a)
	}
	return nil
}

// open opens the files: what is wrong with them is told before a run, not after a night.
func (o *traceOutput) open() error {
	page := func(w io.Writer, r *ipireport.Report) error { return r.WriteHTML(w, o.options(0)) }
	folded := func(w io.Writer, r *ipireport.Report) error { return r.WriteFolded(w) }
	for _, f := range []struct {
		flag, name string
		write      func(io.Writer, *ipireport.Report) error
	}{{"--html", o.html, page}, {"--folded", o.folded, folded}} {
		if f.name == "" {
			continue
		}
		file, err := os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			o.close()
			return fmt.Errorf("%s: %w", f.flag, err)
		}
		o.files = append(o.files, outputFile{file, f.write})
	}
	return nil
}

func (o *traceOutput) close() {
	for _, f := range o.files {
		f.Close() // a file that was written is closed already
	}
}

// save replaces what was in the file.
func (f *outputFile) save(r *ipireport.Report) error {
	b := bufio.NewWriter(f)
	return errors.Join(empty(f.File), f.write(b, r), b.Flush(), f.Close())
}

func (o *traceOutput) options(width int) ipireport.Options {
	return ipireport.Options{Top: o.top, PerCPU: o.perCPU, Threads: o.threads, Width: width}
}

// write writes the report in all forms that were asked for, and then judges it.
func (o *traceOutput) write(w io.Writer, r *ipireport.Report, width int) error {
	var errs []error
	if o.asJSON {
		errs = append(errs, r.WriteJSON(w))
	} else {
		errs = append(errs, r.WriteText(w, o.options(width)))
	}
	for i := range o.files {
		errs = append(errs, o.files[i].save(r))
	}
	verdict := o.judge(r)
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, withoutVerdict(verdict))
	}
	return verdict
}

// judge returns what does not hold.
func (o *traceOutput) judge(r *ipireport.Report) error {
	var errs []error
	for _, a := range o.assertions {
		for _, f := range a.Check(r) {
			errs = append(errs, errors.New(f.String()))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return failedError{err}
	}
	return nil
}
