package scale

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// plotBackend is what the plot shows: the backend that the library prefers.
const plotBackend = backendProcmem

// pointsPerDecade of the lines.
const pointsPerDecade = 8

// WritePlot writes the result as an SVG without references to anything outside:
// the time of a flip against sites and against CPUs, and the pause of a CPU
// against sites.
func (r *Result) WritePlot(w io.Writer) error {
	charts, err := r.charts()
	if err != nil {
		return err
	}
	const legendHeight, footHeight = 46, 64
	width, height := len(charts)*chartWidth+8, chartHeight+legendHeight+footHeight
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", width, height, width, height)
	b.WriteString(svgStyle)
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", width, height)
	for i := range charts {
		charts[i].draw(&b, i*chartWidth, 0)
	}
	r.legend(&b, chartHeight+14)
	for i, s := range r.footer() {
		fmt.Fprintf(&b, "<text class=\"foot\" x=\"%d\" y=\"%d\">%s</text>\n", marginLeft, chartHeight+legendHeight+12+i*16, escape(s))
	}
	b.WriteString("</svg>\n")
	_, err = io.WriteString(w, b.String())
	return err
}

const svgStyle = `<style>
text { font-family: "DejaVu Sans", Verdana, Arial, sans-serif; fill: #222222 }
.title { font-size: 15px; font-weight: bold }
.sub { font-size: 11.5px; fill: #555555 }
.tick { font-size: 11px }
.axis, .key { font-size: 12.5px }
.foot { font-size: 11px; fill: #555555 }
.frame { fill: none; stroke: #888888 }
.grid { fill: none; stroke: #dddddd }
.line { fill: none; stroke-width: 2.2 }
.mark { fill: none; stroke-width: 2.6 }
</style>
`

// shown lists the strategies that have rows.
func (r *Result) shown() []variant {
	var list []variant
	for _, v := range variants {
		if slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Strategy == v.name }) {
			list = append(list, v)
		}
	}
	return list
}

func (r *Result) legend(b *strings.Builder, y int) {
	x := marginLeft
	for _, v := range r.shown() {
		fmt.Fprintf(b, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"2.6\" stroke-dasharray=\"%s\"/>"+
			"<text class=\"key\" x=\"%d\" y=\"%d\">%s</text>\n", x, y-4, x+34, y-4, inks[v.name].colour, dash(v.name), x+42, y, v.name)
		x += 178
	}
	fmt.Fprintf(b, "<path class=\"mark\" stroke=\"#333333\" d=\"M%d %dl10 10m0 -10l-10 10\"/><text class=\"key\" x=\"%d\" y=\"%d\">measured in the kernel, 2019</text>\n",
		x+6, y-9, x+26, y)
}

func (r *Result) footer() []string {
	return []string{
		"Bands: from \"one send reaches all CPUs\" to \"no answer overlaps another\"; line: sends one after the other, answers overlap. " +
			"Deferred: membarrier is called once for each CPU that is not isolated.",
		"Parameters: " + r.Machine + ". A model: see its output for what it leaves out.",
		"Crosses: 24 CPUs, 56 sites, one at a time and in a batch, in the kernel on a 2.27 GHz Xeon under a kernel compilation.",
	}
}

func (r *Result) charts() ([]chart, error) {
	cpus, sites := r.options.CPUs, r.options.Sites
	fewCPUs, fewSites := slices.Min(cpus), slices.Min(sites)
	bySites := chart{
		title: "Time per flip against sites", subtitle: fmt.Sprintf("%d CPUs, %d isolated when deferred; %s", fewCPUs, r.options.isolatedOf(fewCPUs), plotBackend),
		xName: "sites", yName: "time of one flip", xMin: 1, xMax: max(10, float64(slices.Max(sites))),
	}
	byCPUs := chart{
		title: "Time per flip against CPUs", subtitle: fmt.Sprintf("%s; %s", plural(fewSites, "site"), plotBackend),
		xName: "CPUs", yName: "time of one flip", xMin: 2, xMax: max(20, float64(slices.Max(cpus))),
	}
	pause := chart{
		title: "Pause of one CPU per flip", subtitle: fmt.Sprintf("%d CPUs; %s; deferred: an isolated CPU", fewCPUs, plotBackend),
		xName: "sites", yName: "in IPIs and traps", xMin: bySites.xMin, xMax: bySites.xMax,
	}
	for _, v := range r.shown() {
		one, err := r.flipLine(v, steps(bySites.xMin, bySites.xMax), func(x int) (int, int) { return fewCPUs, x })
		if err != nil {
			return nil, err
		}
		two, err := r.flipLine(v, steps(byCPUs.xMin, byCPUs.xMax), func(x int) (int, int) { return x, fewSites })
		if err != nil {
			return nil, err
		}
		three, err := r.pauseLine(v, steps(pause.xMin, pause.xMax), fewCPUs)
		if err != nil {
			return nil, err
		}
		bySites.lines, byCPUs.lines, pause.lines = append(bySites.lines, one), append(byCPUs.lines, two), append(pause.lines, three)
	}
	for _, p := range r.Published {
		m := mark{at: point{float64(p.Sites), p.Ns}, strategy: p.Strategy}
		if p.CPUs == fewCPUs && float64(p.Sites) <= bySites.xMax {
			bySites.marks = append(bySites.marks, m)
		}
		if m.at.x = float64(p.CPUs); p.Sites == fewSites && m.at.x <= byCPUs.xMax {
			byCPUs.marks = append(byCPUs.marks, m)
		}
	}
	return []chart{bySites, byCPUs, pause}, nil
}

// flipLine goes through CPUs or sites, as at says.
func (r *Result) flipLine(v variant, xs []int, at func(x int) (cpus, sites int)) (line, error) {
	l := line{strategy: v.name}
	for _, x := range xs {
		cpus, sites := at(x)
		row, err := r.model.row(cpus, r.options.isolatedOf(cpus), sites, v, plotBackend)
		if err != nil {
			return l, err
		}
		l.points = append(l.points, point{float64(x), row.FlipNs})
		l.low = append(l.low, point{float64(x), row.FlipMinNs})
		l.high = append(l.high, point{float64(x), row.FlipMaxNs})
	}
	return l, nil
}

func (r *Result) pauseLine(v variant, xs []int, cpus int) (line, error) {
	l := line{strategy: v.name}
	for _, x := range xs {
		row, err := r.model.row(cpus, r.options.isolatedOf(cpus), x, v, plotBackend)
		if err != nil {
			return l, err
		}
		ns := row.IPIPauseNs + row.TrapPauseNs
		if v.deferred {
			ns = row.IsolatedPauseNs
		}
		if ns > 0 { // one CPU has none to interrupt
			l.points = append(l.points, point{float64(x), ns})
		}
	}
	return l, nil
}

// steps returns whole numbers that are even on a logarithmic axis, both ends
// included.
func steps(from, to float64) []int {
	n := int(math.Ceil(math.Log10(to/from) * pointsPerDecade))
	var xs []int
	for i := 0; i <= n; i++ {
		x := int(math.Round(from * math.Pow(to/from, float64(i)/float64(n))))
		if len(xs) == 0 || x > xs[len(xs)-1] {
			xs = append(xs, x)
		}
	}
	return xs
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
