package demo

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// The bar column: a picture of the median flip against one bare sync.
const (
	barDecades   = 3
	barPerDecade = 6 // characters
)

// WriteTable writes the result for people.
func (r *Result) WriteTable(w io.Writer) error {
	var b strings.Builder
	r.writeHead(&b)
	r.writeRows(&b)
	r.writeLegend(&b)
	r.writeSummary(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) writeHead(b *strings.Builder) {
	fmt.Fprintf(b, "%d checks of the key %s in each request; %s, %s; mode %s\n",
		r.Checks, r.Key, plural(r.CPUs, "CPU"), plural(r.Clients, "client"), r.Mode)
	if r.Mode != modeLive {
		fmt.Fprintf(b, "no code was changed: %s\n", r.Reason)
	}
	fmt.Fprintf(b, "one bare sync: %s; noise on CPU %d: %s call and %s TLB IPIs per s\n\n",
		syncTime(r.SyncNs), r.BusyCPU, number(r.NoiseCallIPIs, 0), number(r.NoiseTLBIPIs, 0))
}

func (r *Result) writeRows(b *strings.Builder) {
	lines := [][]string{
		{"", "", "", "median", "p99", "bare", "", "call", "TLB", "trap", "late", "", "", "median flip in bare syncs"},
		{"strategy", "backend", "sites", "us", "us", "syncs", "syncs", "IPIs", "IPIs", "hits", "traps", "requests", "failed", barScale()},
	}
	for _, row := range r.Rows {
		lines = append(lines, []string{
			row.Strategy, row.Backend, strconv.Itoa(row.Sites), micros(row.FlipNsMedian), micros(row.FlipNsP99),
			number(row.RatioToSync, 1), number(row.SyncsPerFlip, 1),
			number(row.CallIPIsPerFlip, 1), number(row.TLBIPIsPerFlip, 1),
			strconv.FormatUint(row.TrapHits, 10), strconv.FormatUint(row.TrapLate, 10),
			strconv.FormatUint(row.Requests, 10), strconv.FormatUint(row.FailedRequests, 10),
			bar(row.RatioToSync),
		})
	}
	align(b, lines, 2)
	b.WriteByte('\n')
}

// align writes columns. The first ones, which hold names, and the last, which
// holds the bar, are flush left, the numbers between them flush right.
func align(b *strings.Builder, lines [][]string, names int) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, line := range lines {
		var text strings.Builder
		for i, cell := range line {
			width := widths[i]
			if i < names || i == len(line)-1 {
				width = -width
			}
			fmt.Fprintf(&text, "%*s  ", width, cell)
		}
		b.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
}

func (r *Result) writeLegend(b *strings.Builder) {
	fmt.Fprintf(b, `median, p99: time of one flip, which turns the key on or off at all sites; bare syncs: the median as a multiple of one
bare sync, which makes all CPUs serialize; syncs, IPIs: per flip, the syncs made and the interrupts that CPU %d got, less
the noise; trap hits: threads that met a site while it was rewritten, and went on; late: of these, after it was finished;
requests: served while the row ran; failed: must be 0. The bar is logarithmic.
`, r.BusyCPU)
	for _, note := range r.Notes {
		fmt.Fprintf(b, "note: %s\n", note)
	}
	b.WriteByte('\n')
}

func (r *Result) writeSummary(b *strings.Builder) {
	if cheap, dear, ok := r.extremes(); ok {
		fmt.Fprintf(b, "%s on %s flips %d sites in %s us, %s times a bare sync, and interrupts CPU %d %s times.\n"+
			"%s on %s takes %s us, %s times a bare sync, and %s interrupts.\n",
			cheap.Strategy, cheap.Backend, cheap.Sites, micros(cheap.FlipNsMedian), number(cheap.RatioToSync, 1),
			r.BusyCPU, number(cheap.CallIPIsPerFlip, 1),
			dear.Strategy, dear.Backend, micros(dear.FlipNsMedian), number(dear.RatioToSync, 1), number(dear.CallIPIsPerFlip, 1))
	}
	fmt.Fprintf(b, "%d requests were served meanwhile, %d of them with a known state of the key; %d failed.\n",
		r.Requests, r.CheckedRequests, r.FailedRequests)
	if r.Interrupted {
		b.WriteString("The run was interrupted: the rows are not complete.\n")
	}
}

// extremes returns the rows with the shortest and the longest median flip.
func (r *Result) extremes() (cheap, dear Row, ok bool) {
	for _, row := range r.Rows {
		if row.Backend == backendNone || row.Flips == 0 {
			continue
		}
		if !ok || row.FlipNsMedian < cheap.FlipNsMedian {
			cheap = row
		}
		if !ok || row.FlipNsMedian > dear.FlipNsMedian {
			dear = row
		}
		ok = true
	}
	return cheap, dear, ok && cheap.FlipNsMedian < dear.FlipNsMedian
}

// barScale marks the decades: 1, 10, 100 and 1000 bare syncs.
func barScale() string {
	var b strings.Builder
	mark := 1
	for range barDecades {
		fmt.Fprintf(&b, "%-*d", barPerDecade, mark)
		mark *= 10
	}
	return b.String() + strconv.Itoa(mark)
}

func bar(ratio float64) string {
	if ratio <= 0 {
		return ""
	}
	decades := min(max(math.Log10(ratio), 0), barDecades)
	return strings.Repeat("#", 1+int(math.Round(decades*barPerDecade)))
}

// micros prints nanoseconds as microseconds.
func micros(ns int64) string {
	if ns < 0 {
		return "n/a"
	}
	return strconv.FormatFloat(float64(ns)/1e3, 'f', 1, 64)
}

func syncTime(ns int64) string {
	if ns < 0 {
		return "not available"
	}
	return micros(ns) + " us"
}

func number(x float64, decimals int) string {
	if x < 0 {
		return "n/a"
	}
	return strconv.FormatFloat(x, 'f', decimals, 64)
}

func percent(x float64) string { return strconv.FormatFloat(100*x, 'f', 0, 64) + "%" }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
