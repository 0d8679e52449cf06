package isolated

import (
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(r *Result)
		want   string // in the failure; "" for none
	}{
		"good":                      {func(*Result) {}, ""},
		"not deferred at all":       {func(r *Result) { r.Deferred.CallIPIs = 10_800 }, "10800 call IPIs"},
		"at the limit":              {func(r *Result) { r.Deferred.CallIPIs = 100 + 50 + 150 }, ""},
		"beyond the limit":          {func(r *Result) { r.Deferred.CallIPIs = 100 + 50 + 151 }, "expected 300 at most"},
		"fewer wakes than in noise": {func(r *Result) { r.Deferred.CallIPIs, r.Deferred.WakeIPIs = 251, 0 }, "expected 250 at most"},
		"wakes not known, at limit": {func(r *Result) {
			r.Deferred.CallIPIs, r.Deferred.WakeIPIs, r.Noise.WakeIPIs = 300, notMeasured, notMeasured
		}, ""},
		"wakes not known": {func(r *Result) {
			r.Deferred.CallIPIs, r.Deferred.WakeIPIs, r.Noise.WakeIPIs = 301, notMeasured, notMeasured
		}, "expected 300 at most"},
		"mappings not deferred":        {func(r *Result) { r.Deferred.TLBIPIs = 208 }, "208 TLB IPIs"},
		"a noisy machine":              {func(r *Result) { r.Noise.CallIPIs, r.Deferred.CallIPIs = 9000, 18_050 }, ""},
		"a very noisy machine":         {func(r *Result) { r.Noise.CallIPIs, r.Deferred.CallIPIs = 9000, 18_051 }, "expected 18050 at most"},
		"a mapping that did not wait":  {func(r *Result) { r.Deferred.UnmapsForced = 1 }, "1 mapping did not wait"},
		"a mapping that is forgotten":  {func(r *Result) { r.Deferred.UnmapsWaiting = 3 }, "3 mappings not removed"},
		"a violation":                  {func(r *Result) { r.Violations, r.Violated = 2, "main.f (f.go:3)" }, "2 sites that was changing, the last at main.f (f.go:3)"},
		"a stray":                      {func(r *Result) { r.Strays = 1 }, "CPU 3"},
		"a flip failed":                {func(r *Result) { r.NotDeferred.FirstError = "expected 80, found cc" }, "not deferred: after 10000 flips: expected 80"},
		"why nobody is spared":         {func(r *Result) { r.Deferred.CallIPIs, r.Unspared = 9999, "needs Linux 5.10" }, "needs Linux 5.10"},
		"no counts":                    {func(r *Result) { r.Deferred.CallIPIs, r.Noise.TLBIPIs = notMeasured, notMeasured }, ""},
		"interrupted":                  {func(r *Result) { r.Interrupted, r.Deferred.CallIPIs = true, 10_800 }, ""},
		"interrupted, and a violation": {func(r *Result) { r.Interrupted, r.Violations = true, 1 }, "1 site that"},
	} {
		r := sample()
		tc.change(r)
		r.judge()
		err := r.Failure()
		switch {
		case tc.want == "" && (err != nil || r.Verdict != verdictOK):
			t.Errorf("%s: verdict %s, %v; want ok", name, r.Verdict, err)
		case tc.want != "" && (err == nil || r.Verdict != verdictFailed || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: verdict %s, %v; want failed with %q", name, r.Verdict, err, tc.want)
		}
	}
}

func TestChooseCPU(t *testing.T) {
	for _, tc := range []struct {
		allowed []int
		asked   int
		want    int
		err     string
	}{
		{[]int{0, 1}, -1, 1, ""},
		{[]int{2, 5, 9}, -1, 9, ""},
		{[]int{2, 5, 9}, 5, 5, ""},
		{[]int{2, 5, 9}, 3, 0, "CPU 3"},
		{[]int{4}, -1, 0, "another one"},
		{[]int{4}, 4, 0, "another one"},
		{nil, -1, 0, "another one"},
	} {
		got, err := chooseCPU(tc.allowed, tc.asked)
		if tc.err == "" && (err != nil || got != tc.want) || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("CPUs %v, asked for %d: %d, %v; want %d, %q", tc.allowed, tc.asked, got, err, tc.want, tc.err)
		}
	}
}

func TestValidate(t *testing.T) {
	for flips, ok := range map[int]bool{minFlips - 1: false, minFlips: true, DefaultFlips: true, maxFlips: true, maxFlips + 1: false, -1: false} {
		if err := (Options{Flips: flips}).Validate(); (err == nil) != ok {
			t.Errorf("%d flips: %v", flips, err)
		}
	}
}
