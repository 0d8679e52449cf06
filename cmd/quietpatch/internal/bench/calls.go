package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/callprog/report"
)

// Defaults and limits for calls.
const (
	DefaultCallTime = 150 * time.Second
	callTimeMax     = time.Hour

	sampleTime  = 25 * time.Millisecond
	microRounds = 2 * layouts
	roundsMin   = 3 // of workloads, however little time there is
)

// Workloads are those that are measured, in this order.
func Workloads() []string { return report.Workloads() }

// CallOptions of a run.
type CallOptions struct {
	Time      time.Duration // of measuring, without building
	Workloads []string      // all if empty
}

func (o CallOptions) validate() error {
	if o.Time < timeMin || o.Time > callTimeMax {
		return fmt.Errorf("time of the measurements: expected %v to %v, found %v", timeMin, callTimeMax, o.Time)
	}
	for _, w := range o.Workloads {
		if !slices.Contains(Workloads(), w) {
			return fmt.Errorf("workload: expected one of %s; found %q", strings.Join(Workloads(), ", "), w)
		}
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return fmt.Errorf("the benchmark measures live text, which linux/amd64 has; this is %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	return nil
}

// RunCalls builds the program plain and with retpolines, and measures. What it has to
// say meanwhile goes to progress, line by line. A context that is done ends the run with
// what was measured until then.
func RunCalls(ctx context.Context, o CallOptions, progress io.Writer) (res *CallResult, err error) {
	if o.Time == 0 {
		o.Time = DefaultCallTime
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &callRunner{ctx: ctx, progress: progress, options: o}
	r.result = CallResult{LoadBefore: loadAverage(), MicroCalls: report.MicroCalls, Notes: []string{}}
	p, err := buildCalls(ctx, r.say)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	r.program = p
	r.say("built in %.1f s, with the library from %s", float64(p.buildNS)/1e9, p.source)
	r.result.BuildNS, r.result.Library = p.buildNS, p.source
	if p.note != "" {
		r.result.Notes = append(r.result.Notes, p.note)
	}
	if err := r.measure(); err != nil {
		return nil, err
	}
	return &r.result, r.sum()
}

// A callRunner is one run.
type callRunner struct {
	ctx      context.Context
	progress io.Writer
	options  CallOptions
	program  *callProgram
	reports  callReports
	result   CallResult
}

func (r *callRunner) say(format string, args ...any) { fmt.Fprintf(r.progress, format+"\n", args...) }

// measure starts pairs of processes, one of each build. A process measures each thing
// once, so all that differs from process to process (where code and data lie) and from
// minute to minute (what else the machine does) is in the scatter of the samples, which
// is what the t-test goes by. Within a process samples with and without promotion are
// interleaved, see callprog. More and shorter processes say more than few long ones.
func (r *callRunner) measure() error {
	start := time.Now()
	for i := range microRounds {
		if i > 0 && time.Since(start) > r.options.Time/3 {
			break
		}
		if err := r.round(i, report.PartMicro); err != nil || r.result.Interrupted {
			return err
		}
		r.say("calls: round %d of %d", i+1, microRounds)
	}
	for i := 0; i < roundsMin || time.Since(start) < r.options.Time; i++ {
		if err := r.round(i, report.PartWork); err != nil || r.result.Interrupted {
			return err
		}
		r.say("workloads: round %d, after %.0f of %.0f s", i+1, time.Since(start).Seconds(), r.options.Time.Seconds())
	}
	return nil
}

// round runs both builds in one layout, the other one first when all layouts have had
// their turn. A round that was interrupted does not count.
func (r *callRunner) round(nth int, part string) error {
	var plain, retpoline *report.Report
	steps := []func() error{
		func() (err error) { plain, err = r.run(r.program.plain[nth%layouts], part); return err },
		func() (err error) {
			retpoline, err = r.run(r.program.retpoline[nth%layouts], part, "-promote")
			return err
		},
	}
	for i := range steps {
		err := steps[(i+nth/layouts)%len(steps)]()
		if r.ctx.Err() != nil {
			r.result.Interrupted = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	r.reports.plain = append(r.reports.plain, plain)
	r.reports.retpoline = append(r.reports.retpoline, retpoline)
	return nil
}

func (r *callRunner) run(binary, part string, flags ...string) (*report.Report, error) {
	args := []string{"-part", part, "-sample", sampleTime.String(), "-workloads", strings.Join(r.options.Workloads, ",")}
	args = append(args, flags...)
	out, err := output(r.ctx, r.progress, binary, args...)
	if err != nil {
		return nil, err
	}
	var rep report.Report
	if err := json.Unmarshal(out, &rep); err != nil {
		return nil, &RunError{Args: args, Last: "its report cannot be read", Err: err}
	}
	if rep.Reason != "" {
		return nil, fmt.Errorf("text cannot be patched here: %s", rep.Reason)
	}
	return &rep, nil
}

// sum fills in the result from the reports.
func (r *callRunner) sum() (err error) {
	r.result.Micro, r.result.StaticCalls = r.reports.micro(), r.reports.static()
	if r.result.Workloads, err = r.reports.workloads(); err != nil {
		return err
	}
	r.result.Goals = r.result.goals()
	r.noteUnsettled()
	return nil
}

// noteUnsettled names what was measured while it was still being learned.
func (r *callRunner) noteUnsettled() {
	var late []string
	for _, of := range []part{microPart, workPart} {
		for _, name := range names(r.reports.retpoline, of) {
			n := len(collect(r.reports.retpoline, of, name, func(s report.Sample) float64 {
				if s.Unsettled {
					return 1
				}
				return report.NotMeasured
			}))
			if n > 0 {
				late = append(late, fmt.Sprintf("%s (%d times)", name, n))
			}
		}
	}
	if len(late) > 0 {
		r.result.Notes = append(r.result.Notes, "measured before all calls were learned, because time ran out: "+strings.Join(late, ", "))
	}
}
