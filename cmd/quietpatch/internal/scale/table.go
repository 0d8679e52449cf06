package scale

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteTable writes the result for people.
func (r *Result) WriteTable(w io.Writer) error {
	var b strings.Builder
	r.writeParams(&b)
	r.writeRows(&b)
	r.writeValidation(&b)
	r.writePublished(&b)
	list(&b, "Assumptions:", r.Assumptions)
	list(&b, "What the model leaves out:", r.LeavesOut)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) writeParams(b *strings.Builder) {
	fmt.Fprintf(b, "Parameters: %s\n", r.Machine)
	if r.Reason != "" {
		fmt.Fprintf(b, "not calibrated: %s\n", r.Reason)
	}
	lines := [][]string{{"parameter", "value", "p10", "p90", "rounds", "unit", "source", "meaning"}}
	for _, p := range r.Params {
		p10, p90, rounds := "-", "-", "-"
		if p.Rounds > 0 {
			p10, p90, rounds = digits(p.P10), digits(p.P90), strconv.Itoa(p.Rounds)
		}
		meaning := p.Meaning
		if p.Note != "" {
			meaning += " (" + p.Note + ")"
		}
		lines = append(lines, []string{p.Name, digits(p.Value), p10, p90, rounds, p.Unit, p.Source, meaning})
	}
	align(b, lines, "<>>>><<<")
	for _, note := range r.Notes {
		fmt.Fprintf(b, "note: %s\n", note)
	}
	b.WriteByte('\n')
}

func (r *Result) writeRows(b *strings.Builder) {
	lines := [][]string{
		{"", "isolated", "", "", "", "", "", "IPIs per", "", "", "", "pause of a busy CPU:", "", "site"},
		{"CPUs", "CPUs", "sites", "strategy", "backend", "syncs", "IPIs", "busy CPU", "flip", "at least", "at most", "by IPIs", "by traps", "trapped"},
	}
	for i, row := range r.Rows {
		if i > 0 && (row.CPUs != r.Rows[i-1].CPUs || row.Sites != r.Rows[i-1].Sites) {
			lines = append(lines, nil)
		}
		lines = append(lines, []string{
			strconv.Itoa(row.CPUs), strconv.Itoa(row.Isolated), strconv.Itoa(row.Sites), row.Strategy, row.Backend,
			strconv.Itoa(row.Syncs), strconv.Itoa(row.IPIs), strconv.Itoa(row.IPIsPerCPU),
			duration(row.FlipNs), duration(row.FlipMinNs), duration(row.FlipMaxNs),
			duration(row.IPIPauseNs), duration(row.TrapPauseNs), duration(row.TrappedNs),
		})
	}
	align(b, lines, ">>><<>>>>>>>>>")
	b.WriteString("IPIs: to all CPUs in one flip. flip: the caller's time; at least and at most: see the assumptions. An isolated CPU gets no IPI;\n" +
		"it makes up for all with " + duration(r.Params.At(Serialize).Value) + " when it comes back.\n\n")
}

func (r *Result) writeValidation(b *strings.Builder) {
	if len(r.Validation) == 0 {
		if !r.Calibrated {
			b.WriteString("The model was not held against flips on this machine; --calibrate does that.\n\n")
		}
		return
	}
	b.WriteString("Predicted and measured on this machine:\n")
	lines := [][]string{
		{"", "", "", "flips", "", "", "", "", "", "", "predicted to", "traps", "", ""},
		{"sites", "strategy", "backend", "made", "counted", "syncs", "predicted", "measured", "p10", "p90", "measured", "predicted", "measured", ""},
	}
	for _, v := range r.Validation {
		lines = append(lines, []string{
			strconv.Itoa(v.Sites), v.Strategy, v.Backend, strconv.Itoa(v.Made), strconv.Itoa(v.Flips), digits(v.Syncs),
			duration(v.PredictedNs), duration(v.MeasuredNs), duration(v.MeasuredP10), duration(v.MeasuredP90), fmt.Sprintf("%.2f", v.Ratio),
			digits(v.PredictTraps), digits(v.Traps), v.remark(),
		})
	}
	align(b, lines, "><<>>>>>>>>>><")
	b.WriteString("A flip counts if other programs left both CPUs alone meanwhile. traps: of the busy thread, per flip.\n" +
		"It does nothing but pass through the sites, which no program does.\n\n")
}

func (v Validation) remark() string {
	switch {
	case v.Fitted:
		return "engine_ns comes from this row"
	case !v.BusyEnough:
		return "not trustworthy: other programs had the CPU"
	}
	return ""
}

func (r *Result) writePublished(b *strings.Builder) {
	if len(r.Published) == 0 {
		return
	}
	fmt.Fprintf(b, "What others measured (%s):\n", r.Published[0].Source)
	lines := [][]string{{"", "CPUs", "sites", "IPIs per CPU", "model", "measured", "model", "at least", "at most", "model to measured"}}
	for _, p := range r.Published {
		lines = append(lines, []string{
			p.What, strconv.Itoa(p.CPUs), strconv.Itoa(p.Sites), strconv.Itoa(p.IPIsPerCPU), strconv.Itoa(p.ModelIPIs), duration(p.Ns),
			duration(p.ModelNs), duration(p.ModelMinNs), duration(p.ModelMaxNs), fmt.Sprintf("%.2f", p.ModelNs/p.Ns),
		})
	}
	align(b, lines, "<>>>>>>>>>")
	b.WriteString("The IPIs are the same by construction. The times are of another machine under another load, and in the kernel: a sync took\n" +
		"340 to 470 us there. A CPU that keeps interrupts off, as under a compilation, delays a sync; the model knows nothing of that.\n\n")
}

func list(b *strings.Builder, title string, items []string) {
	b.WriteString(title + "\n")
	for _, s := range items {
		fmt.Fprintf(b, "- %s\n", s)
	}
}

// align writes columns; sides has '<' or '>' for each. A line without cells is
// an empty line.
func align(b *strings.Builder, lines [][]string, sides string) {
	widths := make([]int, len(sides))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, line := range lines {
		var text strings.Builder
		for i, cell := range line {
			width := widths[i]
			if sides[i] == '<' {
				width = -width
			}
			fmt.Fprintf(&text, "%*s  ", width, cell)
		}
		b.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
}

// duration prints ns with three digits in the unit that suits.
func duration(ns float64) string {
	for _, u := range []struct {
		ns   float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}} {
		if ns >= u.ns*0.9995 {
			return digits(ns/u.ns) + " " + u.name
		}
	}
	return digits(ns) + " ns"
}

// digits prints a number with about three digits.
func digits(x float64) string {
	decimals := 2
	switch {
	case x == 0 || x >= 99.95:
		decimals = 0
	case x >= 9.995:
		decimals = 1
	}
	return strconv.FormatFloat(x, 'f', decimals, 64)
}
