package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/calibrate"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/scale"
	"github.com/spf13/cobra"
)

// scaleFlags are the flags of the scale study.
type scaleFlags struct {
	study     bool
	calibrate bool
	cpus      string
	sites     string
	plot      string
	isolated  int
}

// add declares the flags.
func (f *scaleFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.BoolVar(&f.study, "scale", false, "model what a flip costs on larger machines")
	fs.BoolVar(&f.calibrate, "calibrate", false, "with --scale: measure the costs on this machine first, and compare the model with real flips")
	fs.StringVar(&f.cpus, "cpus", "24,256,4096", "with --scale: numbers of CPUs, at most 4096")
	fs.StringVar(&f.sites, "sites", "56,10000,100000", "with --scale: numbers of sites, at most 1000000")
	fs.StringVar(&f.plot, "plot", "", "with --scale: write an SVG to this file")
	fs.IntVar(&f.isolated, "isolated", scale.MostIsolated, "with --scale: CPUs that are deferred (0: none; -1: three in four)")
}

// wanted reports whether the study was asked for.
func (f *scaleFlags) wanted() bool { return f.study }

// stray returns an error for flags of the study that were given without it.
func (f *scaleFlags) stray(cmd *cobra.Command) error {
	for _, name := range []string{"calibrate", "cpus", "sites", "plot", "isolated"} {
		if !f.study && cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s belongs to --scale, which is missing", name)
		}
	}
	return nil
}

func (f *scaleFlags) options() (scale.Options, error) {
	cpus, err := scale.ParseList("--cpus", f.cpus, scale.MaxCPUs)
	if err != nil {
		return scale.Options{}, err
	}
	sites, err := scale.ParseList("--sites", f.sites, scale.MaxSites)
	if err != nil {
		return scale.Options{}, err
	}
	o := scale.Options{CPUs: cpus, Sites: sites, Isolated: f.isolated}
	return o, o.Validate()
}

// run models, and prints the result as a table or as JSON.
func (f *scaleFlags) run(ctx context.Context, out, progress io.Writer, asJSON bool) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	var measured *scale.Measured
	var why error
	if f.calibrate {
		measured, why = calibrate.Run(ctx, func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) })
		if why != nil && !errors.Is(why, calibrate.ErrUnsupported) {
			return why
		}
	}
	res, err := scale.Run(o, measured)
	if err != nil {
		return err
	}
	if why != nil {
		res.Reason = why.Error()
		fmt.Fprintf(progress, "%v; the built-in parameters stand\n", why)
	}
	if f.plot != "" {
		if err := writePlot(f.plot, res); err != nil {
			return err
		}
	}
	if asJSON {
		return res.WriteJSON(out)
	}
	return res.WriteTable(out)
}

// writePlot writes the plot over whatever the file held.
func writePlot(name string, res *scale.Result) error {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write the plot: %w", err)
	}
	if err := errors.Join(res.WritePlot(file), file.Close()); err != nil {
		return fmt.Errorf("write the plot: %w", err)
	}
	return nil
}
