package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/callprog/report"
)

// WriteTable writes the result for people.
func (r *CallResult) WriteTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "library %s, programs built in %.1f s, load average %.2f\n", r.Library, float64(r.BuildNS)/1e9, r.LoadBefore)
	r.microTable(&b)
	r.staticTable(&b)
	r.workloadTable(&b)
	r.goalList(&b)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\nnote: %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newTable(b *strings.Builder) *tabwriter.Writer {
	return tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func (r *CallResult) microTable(b *strings.Builder) {
	if len(r.Micro) == 0 {
		return
	}
	fmt.Fprintf(b, "\nInterface calls in a loop: ns on the CPU for %d calls.\n\n", r.MicroCalls)
	t := newTable(b)
	fmt.Fprintln(t, "case\tdirect\tplain\tretpoline\tpromoted\tof direct\ttimes faster\tn\t")
	for _, m := range r.Micro {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", m.Case, number(m.DirectNS, 0), number(m.PlainNS, 0),
			number(m.RetpolineNS, 0), number(m.PromotedNS, 0), quotient(m.PromotedNS, m.DirectNS), quotient(m.RetpolineNS, m.PromotedNS), m.N)
	}
	t.Flush()
}

func (r *CallResult) staticTable(b *strings.Builder) {
	if len(r.StaticCalls) == 0 {
		return
	}
	fmt.Fprintf(b, "\nCalls of an implementation chosen at run time: ns on the CPU for %d calls.\n\n", r.MicroCalls)
	t := newTable(b)
	fmt.Fprintln(t, "case\tplain\tretpoline\tn\t")
	for _, c := range r.StaticCalls {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t\n", c.Case, number(c.PlainNS, 0), number(c.RetpolineNS, 0), c.N)
	}
	t.Flush()
}

func (r *CallResult) workloadTable(b *strings.Builder) {
	if len(r.Workloads) == 0 {
		return
	}
	b.WriteString("\nReal work: us on the CPU. The change is that of promoted beside retpoline; below 0 is faster.\n\n")
	t := newTable(b)
	fmt.Fprintln(t, "workload\tplain\tretpoline\tpromoted\tchange\t95% interval\tp\tn\tcalls promoted\t")
	for _, w := range r.Workloads {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%+.1f%%\t%+.1f%% to %+.1f%%\t%.2g\t%d\t%d\t\n", w.Name, microsOf(w.PlainNS), microsOf(w.RetpolineNS),
			microsOf(w.PromotedNS), w.ChangePercent, w.CIPercent[0], w.CIPercent[1], w.P, w.N, w.PromotedCalls)
	}
	t.Flush()
}

func (r *CallResult) goalList(b *strings.Builder) {
	if len(r.Goals) == 0 {
		return
	}
	b.WriteString("\nGoals:\n")
	for _, g := range r.Goals {
		answer := "missed"
		if g.Holds {
			answer = "holds"
		}
		fmt.Fprintf(b, "  %-6s  %s: %s\n", answer, g.Goal, g.Found)
	}
}

func microsOf(ns float64) string {
	if ns == report.NotMeasured {
		return "-"
	}
	return fmt.Sprintf("%.2f", ns/1e3)
}

func quotient(a, b float64) string {
	if a <= 0 || b <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}
