package isolated

import (
	"errors"
	"fmt"
	"strings"
)

const (
	modeLive = "live" // as the library calls it when code is changed

	verdictOK     = "ok"
	verdictFailed = "failed"
)

// room is how many interrupts more than in the noise there may be: one for a hundred flips
// and some, or as many again, for what other programs do in one phase and not in the other.
// Without deferral each flip sends at least one.
func room(flips int, noise int64) int64 { return max(int64(flips)/100+50, noise) }

// judge settles the verdict.
func (r *Result) judge() {
	r.Failures = append(append([]string{}, r.violations()...), r.workErrors()...)
	if !r.Interrupted {
		r.Failures = append(r.Failures, r.beyondNoise()...)
	}
	r.Verdict = verdictOK
	if len(r.Failures) > 0 {
		r.Verdict = verdictFailed
	}
}

func (r *Result) violations() (out []string) {
	if r.Violations > 0 {
		out = append(out, fmt.Sprintf("the isolated thread ran %s that was changing, the last at %s", plural(int64(r.Violations), "site"), r.Violated))
	}
	if r.Strays > 0 {
		out = append(out, fmt.Sprintf("%s of the process could run on CPU %d", plural(int64(r.Strays), "other thread"), r.IsolatedCPU))
	}
	return out
}

func (r *Result) workErrors() (out []string) {
	for _, p := range r.phases() {
		if p.FirstError != "" {
			out = append(out, fmt.Sprintf("%s: after %s: %s", p.name, plural(int64(p.FlipsDone), "flip"), p.FirstError))
		}
	}
	return out
}

// wakes says how many call IPIs woke the thread: when Go stops it its CPU idles, and it takes
// one to wake it up. Where they are not counted they are the stops, at most.
func (p *Phase) wakes() int64 {
	if p.WakeIPIs >= 0 {
		return p.WakeIPIs
	}
	return int64(p.StopsByGo)
}

// beyondNoise compares the interrupts of the deferred phase with those of the noise. Those that
// woke the thread are not the flips'.
func (r *Result) beyondNoise() (out []string) {
	d, n := r.Deferred, r.Noise
	wakes := max(0, d.wakes()-n.wakes())
	why := ""
	if r.Unspared != "" {
		why = ": " + r.Unspared
	}
	if more := room(d.FlipsDone, n.CallIPIs); d.CallIPIs >= 0 && n.CallIPIs >= 0 && d.CallIPIs > n.CallIPIs+wakes+more {
		out = append(out, fmt.Sprintf("deferred: %s came to CPU %d in %s, expected %d at most:"+
			" %d in the noise, %d more than there to wake the thread that Go had stopped, and room for %d%s",
			plural(d.CallIPIs, "call IPI"), r.IsolatedCPU, plural(int64(d.FlipsDone), "flip"), n.CallIPIs+wakes+more, n.CallIPIs, wakes, more, why))
	}
	if more := room(d.FlipsDone, n.TLBIPIs); d.TLBIPIs >= 0 && n.TLBIPIs >= 0 && d.TLBIPIs > n.TLBIPIs+more {
		out = append(out, fmt.Sprintf("deferred: %s came to CPU %d in %s, expected %d at most: %d in the noise, and room for %d%s",
			plural(d.TLBIPIs, "TLB IPI"), r.IsolatedCPU, plural(int64(d.Unmaps), "unmap"), n.TLBIPIs+more, n.TLBIPIs, more, why))
	}
	if d.UnmapsForced > 0 {
		out = append(out, fmt.Sprintf("deferred: %s did not wait for the thread", plural(int64(d.UnmapsForced), "mapping")))
	}
	if d.UnmapsWaiting > 0 {
		out = append(out, fmt.Sprintf("deferred: %s not removed although the thread came back again and again", plural(int64(d.UnmapsWaiting), "mapping")))
	}
	return out
}

// Failure says what the run found wrong, or nil.
func (r *Result) Failure() error {
	if r.Verdict != verdictFailed {
		return nil
	}
	return errors.New(strings.Join(r.Failures, "; "))
}
