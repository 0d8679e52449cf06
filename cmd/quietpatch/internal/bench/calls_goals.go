package bench

import (
	"fmt"
	"strings"
)

// The goals for calls, from the project's plan.
const (
	directFactorMax  = 1.4  // one target: promoted beside direct
	oneFactorMin     = 5    // one target: the retpoline beside promoted
	twoFactorMin     = 4    // two random targets: the same
	gainsMin         = 3    // workloads
	significant      = 0.01 // p of a gain
	lossPercentMax   = 1
	caseOne, caseTwo = "one-target", "two-random"
)

// goals says which hold. A goal whose numbers are missing is left out.
func (r *CallResult) goals() []Goal {
	out := []Goal{}
	for _, m := range r.Micro {
		if m.DirectNS <= 0 || m.RetpolineNS <= 0 || m.PromotedNS <= 0 {
			continue
		}
		beside, factor := m.PromotedNS/m.DirectNS, m.RetpolineNS/m.PromotedNS
		switch m.Case {
		case caseOne:
			out = append(out,
				Goal{fmt.Sprintf("%s: promoted at most %.1f times direct", m.Case, directFactorMax), fmt.Sprintf("%.2f", beside), beside <= directFactorMax},
				fasterGoal(m.Case, factor, oneFactorMin))
		case caseTwo:
			out = append(out, fasterGoal(m.Case, factor, twoFactorMin))
		}
	}
	if len(r.Workloads) >= gainsMin {
		out = append(out, r.gainGoal())
	}
	if len(r.Workloads) > 0 {
		out = append(out, r.lossGoal())
	}
	return out
}

func fasterGoal(name string, factor, least float64) Goal {
	return Goal{fmt.Sprintf("%s: promoted at least %.0f times faster than the retpoline", name, least), fmt.Sprintf("%.2f", factor), factor >= least}
}

func (r *CallResult) gainGoal() Goal {
	gains := 0
	for _, w := range r.Workloads {
		if w.ChangePercent < 0 && w.P < significant {
			gains++
		}
	}
	return Goal{
		fmt.Sprintf("%d or more workloads gain with p < %v", gainsMin, significant),
		fmt.Sprintf("%d of %d", gains, len(r.Workloads)), gains >= gainsMin,
	}
}

// lossGoal goes by the measured change, whatever its p: a loss that is no more than
// noise needs a quieter machine, not another rule.
func (r *CallResult) lossGoal() Goal {
	var lose []string
	for _, w := range r.Workloads {
		if w.ChangePercent > lossPercentMax {
			lose = append(lose, fmt.Sprintf("%s %+.2f%% (p %.2g)", w.Name, w.ChangePercent, w.P))
		}
	}
	found := "none does"
	if len(lose) > 0 {
		found = strings.Join(lose, ", ")
	}
	return Goal{fmt.Sprintf("no workload loses more than %d%%", lossPercentMax), found, len(lose) == 0}
}
