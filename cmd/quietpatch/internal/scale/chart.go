package scale

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A chart draws lines over two logarithmic axes, as a part of an SVG.
type chart struct {
	title, subtitle string
	xName, yName    string
	xMin, xMax      float64
	lines           []line
	marks           []mark
}

// A line is one strategy. The band between low and high is drawn below it.
type line struct {
	strategy  string
	points    []point
	low, high []point
}

// A mark is a figure that was measured elsewhere.
type mark struct {
	at       point
	strategy string
}

type point struct{ x, y float64 }

// Sizes in the units of the SVG.
const (
	plotWidth, plotHeight = 330, 300
	marginLeft            = 78
	marginTop             = 58
	chartWidth            = marginLeft + plotWidth + 24
	chartHeight           = marginTop + plotHeight + 52
)

// ink is how a strategy is drawn: colours that people who cannot tell red from
// green can tell apart (Okabe and Ito, "Color Universal Design", 2008).
type ink struct{ colour, dash string }

var inks = map[string]ink{
	"store":          {"#0072B2", ""},
	"int3":           {"#D55E00", ""},
	"one-at-a-time":  {"#333333", ""},
	"store-deferred": {"#56B4E9", "7 4"},
	"int3-deferred":  {"#E69F00", "2 4"},
}

// draw writes the chart with its left upper corner at (left, top).
func (c *chart) draw(b *strings.Builder, left, top int) {
	fmt.Fprintf(b, "<g transform=\"translate(%d %d)\">\n", left+marginLeft, top+marginTop)
	fmt.Fprintf(b, "<text class=\"title\" x=\"0\" y=\"-34\">%s</text>\n<text class=\"sub\" x=\"0\" y=\"-15\">%s</text>\n", escape(c.title), escape(c.subtitle))
	yMin, yMax := c.extent()
	c.grid(b, yMin, yMax)
	toX := func(x float64) float64 { return plotWidth * position(x, c.xMin, c.xMax) }
	toY := func(y float64) float64 { return plotHeight * (1 - position(y, yMin, yMax)) }
	for _, l := range c.lines {
		if len(l.low) > 0 {
			fmt.Fprintf(b, "<polygon fill=\"%s\" fill-opacity=\"0.13\" points=\"%s\"/>\n", inks[l.strategy].colour, outline(l, toX, toY))
		}
	}
	for _, l := range c.lines {
		if len(l.points) == 0 {
			continue
		}
		fmt.Fprintf(b, "<path class=\"line\" data-strategy=\"%s\" stroke=\"%s\" stroke-dasharray=\"%s\" d=\"%s\"/>\n",
			l.strategy, inks[l.strategy].colour, dash(l.strategy), trace(l.points, toX, toY))
	}
	for _, m := range c.marks {
		x, y := toX(m.at.x), toY(m.at.y)
		fmt.Fprintf(b, "<path class=\"mark\" stroke=\"%s\" d=\"M%.1f %.1fl10 10m0 -10l-10 10\"/>\n", inks[m.strategy].colour, x-5, y-5)
	}
	b.WriteString("</g>\n")
}

func dash(strategy string) string {
	if d := inks[strategy].dash; d != "" {
		return d
	}
	return "none"
}

// position is 0 at the lower and 1 at the upper end of a logarithmic axis.
func position(v, from, to float64) float64 {
	return math.Log(v/from) / math.Log(to/from)
}

// extent returns the powers of ten that enclose everything drawn.
func (c *chart) extent() (low, high float64) {
	low, high = math.Inf(1), 0
	see := func(ps []point) {
		for _, p := range ps {
			if p.y > 0 {
				low, high = min(low, p.y), max(high, p.y)
			}
		}
	}
	for _, l := range c.lines {
		see(l.points)
		see(l.low)
		see(l.high)
	}
	for _, m := range c.marks {
		see([]point{m.at})
	}
	if high == 0 {
		return 1, 10 // nothing to draw
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	if low == high {
		high *= 10
	}
	return low, high
}

// grid draws the axes with a line and a label at each power of ten.
func (c *chart) grid(b *strings.Builder, yMin, yMax float64) {
	fmt.Fprintf(b, "<rect class=\"frame\" width=\"%d\" height=\"%d\"/>\n", plotWidth, plotHeight)
	for _, v := range ticks(c.xMin, c.xMax) {
		x := plotWidth * position(v, c.xMin, c.xMax)
		fmt.Fprintf(b, "<path class=\"grid\" d=\"M%.1f 0V%d\"/><text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
			x, plotHeight, x, plotHeight+17, number(v))
	}
	for _, v := range decades(yMin, yMax) {
		y := plotHeight * (1 - position(v, yMin, yMax))
		fmt.Fprintf(b, "<path class=\"grid\" d=\"M0 %.1fH%d\"/><text class=\"tick\" x=\"-7\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
			y, plotWidth, y+4, timeTick(v))
	}
	fmt.Fprintf(b, "<text class=\"axis\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", plotWidth/2, plotHeight+38, escape(c.xName))
	fmt.Fprintf(b, "<text class=\"axis\" transform=\"translate(-62 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n", plotHeight/2, escape(c.yName))
}

// ticks returns the powers of ten within a range, with 2 and 5 between them
// where there is room.
func ticks(from, to float64) []float64 {
	const room = 4 // decades
	list := decades(from, to)
	if to/from >= math.Pow(10, room) {
		return list
	}
	for _, d := range decades(from/10, to) {
		for _, v := range []float64{2 * d, 5 * d} {
			if v >= from && v <= to {
				list = append(list, v)
			}
		}
	}
	return list
}

// decades returns the powers of ten within a range.
func decades(from, to float64) []float64 {
	var list []float64
	for e := math.Ceil(math.Log10(from) - 1e-9); e <= math.Log10(to)+1e-9; e++ {
		list = append(list, math.Pow(10, e))
	}
	return list
}

func number(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', -1, 64) + "M"
	case v >= 1e3:
		return strconv.FormatFloat(v/1e3, 'g', -1, 64) + "k"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// timeTick labels a power of ten, in ns.
func timeTick(ns float64) string {
	for _, u := range []struct {
		ns   float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}} {
		if ns >= u.ns*0.9995 {
			return number(math.Round(ns/u.ns)) + " " + u.name
		}
	}
	return number(ns) + " ns"
}

func trace(ps []point, toX, toY func(float64) float64) string {
	var d strings.Builder
	for i, p := range ps {
		command := 'L'
		if i == 0 {
			command = 'M'
		}
		fmt.Fprintf(&d, "%c%.1f %.1f", command, toX(p.x), toY(p.y))
	}
	return d.String()
}

// outline goes along the upper bound and back along the lower.
func outline(l line, toX, toY func(float64) float64) string {
	var d strings.Builder
	for _, p := range l.high {
		fmt.Fprintf(&d, "%.1f,%.1f ", toX(p.x), toY(p.y))
	}
	for i := len(l.low) - 1; i >= 0; i-- {
		fmt.Fprintf(&d, "%.1f,%.1f ", toX(l.low[i].x), toY(l.low[i].y))
	}
	return strings.TrimSpace(d.String())
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\"", "&quot;")

func escape(s string) string { return escaper.Replace(s) }
