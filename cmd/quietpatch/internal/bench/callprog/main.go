package callprog

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/callprog/report"
)

// Main measures everything once and prints a report.Report. It returns the exit code
// of the program. Flags:
//
//	-part micro      loops of calls, or
//	-part work       real work
//	-sample TIME     length of one sample
//	-promote         measure with and without promoted calls
//	-workloads A,B   only these
func Main(args []string) int {
	var r run
	f := flag.NewFlagSet("calls", flag.ContinueOnError)
	f.DurationVar(&r.long, "sample", 20*time.Millisecond, "length of one sample")
	f.BoolVar(&r.promote, "promote", false, "measure with and without promoted calls")
	part := f.String("part", report.PartWork, "what to measure")
	only := f.String("workloads", "", "only these")
	if f.Parse(args) != nil {
		return 2
	}
	// On more CPUs the scheduler of goroutines looks for work on the others, which
	// takes time that is not the workload's.
	runtime.GOMAXPROCS(1)
	err := r.part(*part, *only)
	if errors.Is(err, errNoPromotion) {
		r.report.Reason, err = err.Error(), nil
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(&r.report)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A run is one process.
type run struct {
	long    time.Duration
	promote bool
	report  report.Report
}

// predictorWarm is how many samples a branch predictor takes to learn an order of a
// thousand calls by heart, if it can.
const predictorWarm = 12

func (r *run) part(name, only string) error {
	switch name {
	case report.PartMicro:
		return r.micro()
	case report.PartWork:
		chosen, err := chooseWorkloads(only)
		if err != nil {
			return err
		}
		return r.jobs(&r.report.Workloads, chosen, 0, r.promote)
	}
	return fmt.Errorf("part: expected %s or %s, found %q", report.PartMicro, report.PartWork, name)
}

func (r *run) micro() error {
	if err := choose(); err != nil {
		return fmt.Errorf("%w: the static call: %w", errNoPromotion, err)
	}
	l := newLists()
	warm := predictorWarm * r.long
	if err := r.jobs(&r.report.Direct, directJobs(l), warm, false); err != nil {
		return err
	}
	if err := r.jobs(&r.report.Static, staticJobs(), warm, false); err != nil {
		return err
	}
	return r.jobs(&r.report.Micro, microJobs(l), warm, r.promote)
}

// jobs measures each job.
func (r *run) jobs(to *[]report.Sample, list []job, warm time.Duration, promote bool) error {
	for _, j := range list {
		m, err := newMeter(j, warm)
		if err != nil {
			return err
		}
		s := report.Sample{Name: j.name, PromotedNS: report.NotMeasured}
		if promote {
			s, err = m.compare(r.long)
		} else {
			s.NS, err = m.sample(r.long)
		}
		if err != nil {
			return err
		}
		*to = append(*to, s)
	}
	return nil
}
