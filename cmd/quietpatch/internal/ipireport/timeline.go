package ipireport

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// The timeline: a strip for each CPU and kind that got IPIs, with a bar for each slice of time.
const (
	stripsMax    = 96
	stripHeight  = 22
	stripGap     = 6
	plotLeft     = 132
	plotWidth    = 720
	plotRight    = 190
	plotTop      = 8
	axisHeight   = 30
	barLeast     = 2 // height of a bar of one IPI among many
	barNarrowest = 1.2
)

// strip is what one victim got of one kind.
type strip struct {
	Lane
	ipis uint64
	peak float64 // IPIs per second in the slice that had most
}

// strips returns those of a timeline that got most, in the order of CPUs and kinds, and how
// many others there are.
func (r *Report) strips() ([]strip, int) {
	found := map[Lane]*strip{}
	for _, s := range r.Timeline {
		for lane, n := range s.IPIs {
			if n == 0 {
				continue
			}
			if found[lane] == nil {
				found[lane] = &strip{Lane: lane}
			}
			increase(&found[lane].ipis, n)
			found[lane].peak = max(found[lane].peak, perSecond(n, s.To-s.From))
		}
	}
	list := make([]strip, 0, len(found))
	for _, s := range found {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b strip) int { return compareRows(a.row(a.ipis), b.row(b.ipis)) })
	others := max(len(list)-stripsMax, 0)
	list = list[:len(list)-others]
	slices.SortFunc(list, func(a, b strip) int { return compareRows(a.row(0), b.row(0)) })
	return list, others
}

func (s *strip) row(ipis uint64) ipi.Row {
	return ipi.Row{Key: ipi.Key{CPU: s.CPU, Kind: s.Kind}, IPIs: ipis}
}

// timelineSVG returns the timeline for a page that has the style of page.html; "" if there is
// nothing to show.
func (r *Report) timelineSVG() string {
	strips, others := r.strips()
	if len(strips) == 0 || r.Duration <= 0 {
		return ""
	}
	bottom := plotTop + len(strips)*(stripHeight+stripGap)
	width, height := plotLeft+plotWidth+plotRight, bottom+axisHeight
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"IPIs over time, by CPU and kind\">\n", width, height)
	r.timeAxis(&b, bottom)
	for i := range strips {
		r.drawStrip(&b, &strips[i], plotTop+i*(stripHeight+stripGap))
	}
	b.WriteString("</svg>\n")
	if others > 0 {
		fmt.Fprintf(&b, "<p>and %s more, with fewer IPIs</p>\n", plural(others, "strip"))
	}
	return b.String()
}

// x is the place of a time.
func (r *Report) x(at time.Duration) float64 {
	return plotLeft + plotWidth*min(float64(at)/float64(r.Duration), 1)
}

func (r *Report) drawStrip(b *strings.Builder, s *strip, top int) {
	base := top + stripHeight
	kind := html.EscapeString(kindText(s.Kind))
	fmt.Fprintf(b, "<g class=\"%s\">\n<text class=\"end\" x=\"%d\" y=\"%d\">CPU %d %s</text>\n", kindClass(s.Kind), plotLeft-10, base-6, s.CPU, kind)
	fmt.Fprintf(b, "<line class=\"base\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", plotLeft, base, plotLeft+plotWidth, base)
	for _, t := range r.Timeline {
		n := t.IPIs[s.Lane]
		if n == 0 {
			continue
		}
		h := float64(stripHeight)
		if s.peak > 0 { // else no slice has a length
			h = max(barLeast, h*perSecond(n, t.To-t.From)/s.peak)
		}
		left := r.x(t.From)
		fmt.Fprintf(b, "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%s to %s: %s, %s/s</title></rect>\n",
			left, float64(base)-h, max(barNarrowest, r.x(t.To)-left-0.3), h, span(t.From), span(t.To), plural(n, "IPI"), rate(n, t.To-t.From))
	}
	peak := strconv.FormatFloat(s.peak, 'g', 3, 64)
	if s.peak >= 1000 {
		peak = strconv.FormatFloat(s.peak, 'f', 0, 64)
	}
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s, at most %s/s</text>\n</g>\n", plotLeft+plotWidth+10, base-6, plural(s.ipis, "IPI"), peak)
}

// timeAxis draws lines at round times.
func (r *Report) timeAxis(b *strings.Builder, bottom int) {
	step := roundStep(r.Duration.Seconds() / 6)
	for i := 0; ; i++ {
		at := float64(i) * step
		if at > r.Duration.Seconds()*(1+1e-9) {
			return
		}
		x := plotLeft + plotWidth*at/r.Duration.Seconds()
		fmt.Fprintf(b, "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/><text class=\"middle\" x=\"%.1f\" y=\"%d\">%s s</text>\n",
			x, plotTop, x, bottom+4, x, bottom+18, strconv.FormatFloat(at, 'g', 6, 64))
	}
}

// roundStep returns 1, 2 or 5 times a power of ten, at least x, which is above 0.
func roundStep(x float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*base >= x {
			return m * base
		}
	}
	return 10 * base
}

// kindClass is the class that gives a strip its colour.
func kindClass(k ipi.Kind) string {
	if !slices.Contains(ipi.Kinds(), k) {
		k = ipi.Other
	}
	return "kind-" + strings.ReplaceAll(string(k), "_", "-")
}
