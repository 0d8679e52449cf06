package main

import (
	"errors"
	"fmt"
	"io"
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
program that is given after --.

IPIs are interrupts that really went out. "queued" are calls that were put into a
CPU's queue, also where an interrupt was on its way already, or the CPU looked by itself.

A filter is an expression as those of the kernel's events:

  cpu & CPUS{2-3}              interrupted CPUs (cpumask: any of all that one IPI goes to)
  CPU & CPUS{0}                the CPU that sends
  pid == 1234, tgid == 1234    thread and process that are to blame
  comm != "rcu_sched"          name of the thread (process: of the process); == and != or ~ with * and ?
  cause == do_sync_core        function that the interrupted CPU has to run
  kind == tlb                  call, tlb, resched, irq_work, other

joined by &&, ||, ! and parentheses. An assertion is a comparison of one of ipis, queued,
rate, cost, lost and self_ipis with a number, for example

  ipis <= 0
  ipis(cpu=2-3,kind=tlb) < 10 && rate < 1/s
  cost(comm="java*|node") <= 250us

It needs root, or CAP_BPF and CAP_PERFMON; --check says what is there and what is not. The
trace itself interrupts all CPUs when it starts and when it stops, as the kernel
changes its code for that: these IPIs are counted apart (self_ipis) and are in no row.

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

// options turns the flags into what a session takes.
func (f *traceFlags) options() (trace.Options, error) {
	o := trace.Options{Backend: f.backend, Filter: f.filter}
	if !slices.Contains(trace.Backends(), f.backend) {
		return o, fmt.Errorf("--backend: expected one of %s, found %q", strings.Join(trace.Backends(), ", "), f.backend)
	}
	if f.interval < minInterval {
		return o, fmt.Errorf("--interval: expected %v or more, found %v", minInterval, f.interval)
	}
	if f.lasts < 0 {
		return o, fmt.Errorf("--for: expected a time of 0 or more, found %v", f.lasts)
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
	errs = append(errs,
		writeFile(o.html, func(w io.Writer) error { return r.WriteHTML(w, o.options(0)) }),
		writeFile(o.folded, r.WriteFolded))
	if err := errors.Join(errs...); err != nil {
		return err
	}
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
