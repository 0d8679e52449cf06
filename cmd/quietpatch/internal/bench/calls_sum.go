package bench

import (
	"errors"
	"math"
	"slices"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/callprog/report"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/welch"
)

// confidence of the intervals.
const confidence = 0.95

// callReports are what the processes have measured, by the build that they ran.
type callReports struct{ plain, retpoline []*report.Report }

// A part picks one list of a report.
type part func(*report.Report) []report.Sample

func directPart(r *report.Report) []report.Sample { return r.Direct }
func microPart(r *report.Report) []report.Sample  { return r.Micro }
func staticPart(r *report.Report) []report.Sample { return r.Static }
func workPart(r *report.Report) []report.Sample   { return r.Workloads }

// names of the samples, in the order of the first report that has any.
func names(list []*report.Report, of part) []string {
	var out []string
	for _, r := range list {
		for _, s := range of(r) {
			if !slices.Contains(out, s.Name) {
				out = append(out, s.Name)
			}
		}
	}
	return out
}

// collect returns a number of each sample with the name.
func collect(list []*report.Report, of part, name string, number func(report.Sample) float64) []float64 {
	var out []float64
	for _, r := range list {
		for _, s := range of(r) {
			if x := number(s); s.Name == name && x != report.NotMeasured {
				out = append(out, x)
			}
		}
	}
	return out
}

func ns(s report.Sample) float64         { return s.NS }
func promotedNS(s report.Sample) float64 { return s.PromotedNS }
func promoted(s report.Sample) float64   { return float64(s.Promoted) }
func learnNS(s report.Sample) float64    { return float64(s.LearnNS) }

// median is report.NotMeasured for nothing.
func median(s []float64) float64 {
	if len(s) == 0 {
		return report.NotMeasured
	}
	slices.Sort(s)
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func mean(s []float64) float64 {
	if len(s) == 0 {
		return report.NotMeasured
	}
	sum := 0.0
	for _, x := range s {
		sum += x
	}
	return sum / float64(len(s))
}

func (all *callReports) micro() []MicroCase {
	out := []MicroCase{}
	for _, name := range names(all.retpoline, microPart) {
		kept := collect(all.retpoline, microPart, name, promotedNS)
		out = append(out, MicroCase{
			Case:        name,
			DirectNS:    tenth(median(collect(all.plain, directPart, name, ns))),
			PlainNS:     tenth(median(collect(all.plain, microPart, name, ns))),
			RetpolineNS: tenth(median(collect(all.retpoline, microPart, name, ns))),
			PromotedNS:  tenth(median(kept)),
			N:           len(kept),
		})
	}
	return out
}

func (all *callReports) static() []StaticCase {
	out := []StaticCase{}
	for _, name := range names(all.retpoline, staticPart) {
		kept := collect(all.retpoline, staticPart, name, ns)
		out = append(out, StaticCase{
			Case: name, PlainNS: tenth(median(collect(all.plain, staticPart, name, ns))), RetpolineNS: tenth(median(kept)), N: len(kept),
		})
	}
	return out
}

// workloads leaves out what was measured less than twice: nothing can be said of it.
func (all *callReports) workloads() ([]Workload, error) {
	out := []Workload{}
	for _, name := range names(all.retpoline, workPart) {
		without := collect(all.retpoline, workPart, name, ns)
		with := collect(all.retpoline, workPart, name, promotedNS)
		c, err := welch.Compare(without, with, confidence)
		if errors.Is(err, welch.ErrSamples) {
			continue
		}
		if err != nil {
			return nil, err
		}
		percent := func(x float64) float64 { return 100 * x / c.MeanA }
		out = append(out, Workload{
			Name:          name,
			PlainNS:       tenth(mean(collect(all.plain, workPart, name, ns))),
			RetpolineNS:   tenth(c.MeanA),
			PromotedNS:    tenth(c.MeanB),
			ChangePercent: hundredth(percent(c.Diff)),
			P:             c.P,
			N:             len(with),
			CIPercent:     [2]float64{hundredth(percent(c.Low)), hundredth(percent(c.High))},
			PromotedCalls: int(median(collect(all.retpoline, workPart, name, promoted))),
			LearnNS:       int64(median(collect(all.retpoline, workPart, name, learnNS))),
		})
	}
	return out, nil
}

// More digits would be noise.
func tenth(x float64) float64     { return math.Round(x*10) / 10 }
func hundredth(x float64) float64 { return math.Round(x*100) / 100 }
