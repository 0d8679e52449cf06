package bench

import (
	"fmt"
	"io"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/prog"
)

// WriteTable writes the result for people.
func (r *Result) WriteTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "library %s, program built in %.1f s, load average %.2f\n", r.Library, float64(r.BuildNS)/1e9, r.LoadBefore)
	r.flipTable(&b)
	r.discoveryText(&b)
	r.checkTable(&b)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\nnote: %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) flipTable(b *strings.Builder) {
	if len(r.Flips) == 0 {
		return
	}
	fmt.Fprintf(b, "\nOne flip, one busy CPU. A bare sync: %s us.\n\n", micros(r.SyncNS))
	t := newTable(b)
	fmt.Fprintln(t, "backend\tstrategy\tsites\tkeys\tlayout\tflip us\tp10\tp90\tof a sync\tns/site\tsyncs\tIPIs\tflips\t\t")
	for _, f := range r.Flips {
		mark := ""
		if !f.Quiet {
			mark = "*"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t\n", f.Backend, f.Strategy, f.Sites, f.Keys, f.Layout,
			micros(f.FlipNS), micros(f.FlipNSP10), micros(f.FlipNSP90), number(f.RatioToSync, 2), number(f.NSPerSite, 1),
			number(f.Syncs, 2), number(f.IPIs, 2), f.Flips, mark)
	}
	t.Flush()
}

func (r *Result) discoveryText(b *strings.Builder) {
	d := r.Discovery
	if d == nil {
		return
	}
	fmt.Fprintf(b, "\nFirst use of %d keys: %d sites found in %.1f MB of text in %.1f ms (%.1f ms for 100 MB); one more key: %.1f ms;"+
		"\nfound and armed in %.1f ms. Memory for each site: table %.1f bytes, heap %.1f bytes.\n",
		d.Keys, d.Sites, float64(d.TextBytes)/1e6, float64(d.NS)/1e6, float64(d.NSPer100MB)/1e6, float64(d.OneKeyNS)/1e6,
		float64(d.ArmNS)/1e6, d.BytesPerSite, d.HeapPerSite)
}

func (r *Result) checkTable(b *strings.Builder) {
	if len(r.Checks) == 0 {
		return
	}
	b.WriteString("\nChecks: ns for 1 or 32 of them in a loop, without the loop.\n\n")
	t := newTable(b)
	fmt.Fprintln(t, "case\toff ns\t+-\ton ns\t+-\t")
	for _, c := range r.Checks {
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t\n", c.Case, c.OffNS, c.OffIQR/2, c.OnNS, c.OnIQR/2)
	}
	t.Flush()
}

func micros(ns int64) string {
	if ns == prog.NotMeasured {
		return "-"
	}
	return fmt.Sprintf("%.1f", float64(ns)/1e3)
}

func number(x float64, digits int) string {
	if x == prog.NotMeasured {
		return "-"
	}
	return fmt.Sprintf("%.*f", digits, x)
}
