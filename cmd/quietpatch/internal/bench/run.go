package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/prog"
)

// Defaults and limits of the options.
const (
	DefaultTime = 500 * time.Millisecond
	timeMin     = time.Millisecond
	timeMax     = time.Minute

	discoveries = 5
)

// Backends are those that are measured, in this order.
func Backends() []string { return []string{"alias", "procmem"} }

// Options of a run.
type Options struct {
	Sites    int // of the program, one of SiteCounts; 0 measures the checks only
	Time     time.Duration
	Backends []string // all if empty
}

func (o Options) validate() error {
	if o.Time < timeMin || o.Time > timeMax {
		return fmt.Errorf("time of one row: expected %v to %v, found %v", timeMin, timeMax, o.Time)
	}
	for _, b := range o.Backends {
		if !slices.Contains(Backends(), b) {
			return fmt.Errorf("backend: expected %s, found %q", strings.Join(Backends(), " or "), b)
		}
	}
	if o.Sites != 0 && !slices.Contains(SiteCounts(), o.Sites) {
		return fmt.Errorf("sites: expected one of %v, found %d", SiteCounts(), o.Sites)
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return fmt.Errorf("the benchmark measures live text, which linux/amd64 has; this is %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	return nil
}

// Run builds the program and measures. What it has to say meanwhile goes to
// progress, line by line. A context that is done ends the run with what was
// measured until then.
func Run(ctx context.Context, o Options, progress io.Writer) (res *Result, err error) {
	if o.Time == 0 {
		o.Time = DefaultTime
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	if len(o.Backends) == 0 {
		o.Backends = Backends()
	}
	r := &runner{ctx: ctx, progress: progress}
	r.result = Result{
		LoadBefore: loadAverage(), Flips: []prog.Flip{}, Checks: []prog.Check{}, Notes: []string{}, SyncNS: prog.NotMeasured,
	}
	r.say("building the program")
	if r.program, err = build(ctx, o.Sites); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.program.remove()) }()
	r.say("built in %.1f s, with the library from %s", float64(r.program.buildNS)/1e9, r.program.source)
	r.result.BuildNS, r.result.Library = r.program.buildNS, r.program.source
	if err := r.all(o); err != nil {
		return nil, err
	}
	return &r.result, nil
}

// A runner is one run.
type runner struct {
	ctx      context.Context
	progress io.Writer
	program  *program
	result   Result
	reasons  []string
}

func (r *runner) say(format string, args ...any) { fmt.Fprintf(r.progress, format+"\n", args...) }

func (r *runner) note(format string, args ...any) {
	r.result.Notes = append(r.result.Notes, fmt.Sprintf(format, args...))
}

// all starts the processes, one after the other.
func (r *runner) all(o Options) error {
	steps := []func() error{func() error { return r.checks(o.Time) }}
	if o.Sites > 0 {
		steps = []func() error{r.discover}
		for _, b := range o.Backends {
			steps = append(steps, func() error { return r.flips(b, o.Time) })
		}
		steps = append(steps, func() error { return r.checks(o.Time) })
	}
	for _, step := range steps {
		if err := step(); r.ctx.Err() != nil {
			r.result.Interrupted = true
			break
		} else if err != nil {
			return err
		}
	}
	if len(r.result.Flips) == 0 && len(r.result.Checks) == 0 && r.result.Discovery == nil && len(r.reasons) > 0 {
		return fmt.Errorf("text cannot be patched here: %s", strings.Join(r.reasons, "; "))
	}
	r.noteBusy()
	return nil
}

// run starts the program once. A report with a reason is returned as nil: the
// reason is noted.
func (r *runner) run(args ...string) (*prog.Report, error) {
	out, err := output(r.ctx, r.progress, r.program.binary, args...)
	if err != nil {
		return nil, err
	}
	var rep prog.Report
	if err := json.Unmarshal(out, &rep); err != nil {
		return nil, &RunError{Args: args, Last: "its report cannot be read", Err: err}
	}
	r.result.Notes = append(r.result.Notes, rep.Notes...)
	if rep.Reason != "" {
		text := strings.Join(args, " ") + ": " + rep.Reason
		r.reasons = append(r.reasons, text)
		r.note("not measured: %s", text)
		return nil, nil
	}
	return &rep, nil
}

// output starts a program and returns what it prints.
func output(ctx context.Context, progress io.Writer, binary string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = cleanEnv(os.Environ())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(&errs, progress)
	if err := cmd.Run(); err != nil {
		return nil, &RunError{Args: args, Last: lastLine(errs.String()), Err: err}
	}
	return out.Bytes(), nil
}

// A RunError says that the program was built but failed: a site showed a wrong
// value, or it crashed.
type RunError struct {
	Args []string
	Last string // that it said
	Err  error
}

func (e *RunError) Error() string {
	return fmt.Sprintf("the benchmark's program (%s): %v: %s", strings.Join(e.Args, " "), e.Err, e.Last)
}

func (e *RunError) Unwrap() error { return e.Err }

// cleanEnv leaves out what would set keys or choose strategies in the program.
func cleanEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(s string) bool {
		name, _, _ := strings.Cut(s, "=")
		return name == "QUIETPATCH" || strings.HasPrefix(name, "QUIETPATCH_")
	})
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// discover measures the first use in several processes, since each has only one.
func (r *runner) discover() error {
	var all []*prog.Discovery
	for i := range discoveries {
		rep, err := r.run(prog.ModeDiscovery)
		if err != nil || rep == nil {
			return err
		}
		all = append(all, rep.Discovery)
		r.say("discovery %d of %d: %d sites in %.1f ms", i+1, discoveries, rep.Discovery.Sites, float64(rep.Discovery.NS)/1e6)
	}
	slices.SortFunc(all, func(a, b *prog.Discovery) int { return int(a.NS - b.NS) })
	r.result.Discovery = all[len(all)/2]
	return nil
}

func (r *runner) flips(backend string, rowTime time.Duration) error {
	rep, err := r.run(prog.ModeFlips, backend, rowTime.String())
	if err != nil || rep == nil {
		return err
	}
	r.result.Flips = append(r.result.Flips, rep.Flips...)
	r.result.NoiseIPIs = max(r.result.NoiseIPIs, rep.NoiseIPIs)
	var syncs []int64
	for _, f := range r.result.Flips {
		if f.SyncNS > 0 {
			syncs = append(syncs, f.SyncNS)
		}
	}
	if slices.Sort(syncs); len(syncs) > 0 {
		r.result.SyncNS = syncs[len(syncs)/2]
	}
	return nil
}

func (r *runner) checks(rowTime time.Duration) error {
	rep, err := r.run(prog.ModeChecks, rowTime.String())
	if err == nil && rep != nil {
		r.result.Checks = rep.Checks
	}
	return err
}

// noteBusy names rows that other programs have spoilt.
func (r *runner) noteBusy() {
	var rows []string
	for _, f := range r.result.Flips {
		if !f.Quiet {
			rows = append(rows, fmt.Sprintf("%s %s %d", f.Backend, f.Strategy, f.Sites))
		}
	}
	if len(rows) > 0 {
		r.note("other programs took the CPUs in most flips of these rows, so their times are too high; run again on a quiet machine: %s",
			strings.Join(rows, ", "))
	}
}

// loadAverage is that of the last minute, or NotMeasured.
func loadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return prog.NotMeasured
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return prog.NotMeasured
	}
	return load
}
