package scale

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// element counts what an SVG holds.
type elements struct {
	groups, lines, marks, bands int
	strategies                  map[string]int
	text                        []string
}

func parse(t *testing.T, svg []byte) elements {
	t.Helper()
	e := elements{strategies: map[string]int{}}
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return e
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			e.add(t, x)
		case xml.CharData:
			e.text = append(e.text, string(x))
		}
	}
}

func (e *elements) add(t *testing.T, x xml.StartElement) {
	attr := map[string]string{}
	for _, a := range x.Attr {
		attr[a.Name.Local] = a.Value
		if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") || a.Name.Local == "href" {
			t.Errorf("<%s %s=%q>", x.Name.Local, a.Name.Local, a.Value)
		}
	}
	switch {
	case x.Name.Local == "g":
		e.groups++
	case x.Name.Local == "polygon":
		e.bands++
	case x.Name.Local == "path" && attr["class"] == "line":
		e.lines++
		e.strategies[attr["data-strategy"]]++
		if !strings.HasPrefix(attr["d"], "M") || attr["stroke"] == "" || !strings.Contains(attr["d"], "L") {
			t.Errorf("a line without points or colour: %v", attr)
		}
	case x.Name.Local == "path" && attr["class"] == "mark":
		e.marks++
	}
}

func plotOf(t *testing.T, o Options) elements {
	t.Helper()
	var b bytes.Buffer
	if err := study(t, o).WritePlot(&b); err != nil {
		t.Fatal(err)
	}
	return parse(t, b.Bytes())
}

func TestPlot(t *testing.T) {
	const panels = 3
	e := plotOf(t, Options{CPUs: []int{24, 256, 4096}, Sites: []int{56, 10_000, 100_000}, Isolated: MostIsolated})
	if e.groups != panels || e.lines != panels*len(variants) || len(e.strategies) != len(variants) {
		t.Errorf("%d panels, %d lines, strategies %v; want %d panels with a line for each of %d strategies",
			e.groups, e.lines, e.strategies, panels, len(variants))
	}
	for s, n := range e.strategies {
		if n != panels {
			t.Errorf("%s: %d lines, want one per panel", s, n)
		}
		if _, ok := inks[s]; !ok {
			t.Errorf("%s has no colour", s)
		}
	}
	if e.bands != 2*len(variants) {
		t.Errorf("%d bands, want one per strategy in two panels", e.bands)
	}
	// Two figures of the kernel in the first two panels, and the legend's.
	if e.marks != 5 {
		t.Errorf("%d marks, want 5", e.marks)
	}
	all := strings.Join(e.text, "\n")
	for _, want := range []string{"Time per flip against sites", "Time per flip against CPUs", "Pause of one CPU", "one-at-a-time", "1 ms", "100k", "56 sites"} {
		if !strings.Contains(all, want) {
			t.Errorf("the plot has no text %q", want)
		}
	}
}

// TestPlotCorners: the smallest study, and one without deferral.
func TestPlotCorners(t *testing.T) {
	if e := plotOf(t, Options{CPUs: []int{1}, Sites: []int{1}, Isolated: MostIsolated}); e.groups != 3 || e.lines != 6 {
		t.Errorf("%+v", e)
	}
	e := plotOf(t, Options{CPUs: []int{2}, Sites: []int{MaxSites}})
	if len(e.strategies) != 3 || e.marks != 1 {
		t.Errorf("strategies %v, %d marks; want 3 strategies and the mark of the legend", e.strategies, e.marks)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteErrors(t *testing.T) {
	r := study(t, Options{CPUs: []int{2}, Sites: []int{1}})
	for name, write := range map[string]func(io.Writer) error{"plot": r.WritePlot, "table": r.WriteTable, "JSON": r.WriteJSON} {
		if err := write(brokenWriter{}); !errors.Is(err, errBroken) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
