package ipireport

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// forms are all that are made of one report.
func forms() map[string]func(*Report, io.Writer) error {
	return map[string]func(*Report, io.Writer) error{
		"text":    func(r *Report, w io.Writer) error { return r.WriteText(w, Options{}) },
		"json":    func(r *Report, w io.Writer) error { return r.WriteJSON(w) },
		"html":    func(r *Report, w io.Writer) error { return r.WriteHTML(w, Options{}) },
		"folded":  func(r *Report, w io.Writer) error { return r.WriteFolded(w) },
		"metrics": func(r *Report, w io.Writer) error { return NewMetrics(0).Write(w, r) },
	}
}

func write(t *testing.T, form func(*Report, io.Writer) error, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := form(r, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	r := sampleCollector().Report()
	empty := NewCollector(Meta{}).Report()
	for name, form := range forms() {
		golden(t, "sample."+name, []byte(write(t, form, r)))
		golden(t, "empty."+name, []byte(write(t, form, empty)))
		golden(t, "hostile."+name, []byte(write(t, form, hostileReport())))
	}
	var b bytes.Buffer
	if err := r.WriteText(&b, Options{Top: 2, PerCPU: true, Threads: true, Width: 72}); err != nil {
		t.Fatal(err)
	}
	golden(t, "narrow.text", b.Bytes())
}

// TestRemedies: what is for a hundredth of the IPIs or more has a paragraph, what is for fewer is named.
func TestRemedies(t *testing.T) {
	for n, want := range map[uint64]string{1: "paragraph", 199: "paragraph", 200: "named"} {
		r := &Report{Duration: time.Second, Rows: []ipi.Row{chrony(2, "close", "", n-1), threaded(2, 1, "", 1)}}
		text := write(t, forms()["text"], r)
		got := ""
		switch {
		case strings.Contains(text, "\ntlb-unmap: 1 IPI, row 2\n") || n == 1 && strings.Contains(text, "\ntlb-unmap: 1 IPI, row 1\n"):
			got = "paragraph"
		case strings.HasSuffix(text, "\nRemedies for fewer IPIs: tlb-unmap\n"):
			got = "named"
		}
		if got != want {
			t.Errorf("1 of %d: got %q, want %q, in\n%s", n, got, want, text)
		}
		if !strings.Contains(write(t, forms()["html"], r), "<h3>tlb-unmap:") {
			t.Errorf("1 of %d: the page does not have it", n)
		}
	}
}

// TestNoNull: lists of JSON are lists also where they are empty, so that programs need not ask.
func TestNoNull(t *testing.T) {
	sample := sampleCollector().Report()
	sample.Meta.Notes, sample.Meta.Blind = nil, []ipi.Blind{{}}
	for _, r := range []*Report{{}, NewCollector(Meta{}).Report(), sample} {
		if text := write(t, forms()["json"], r); strings.Contains(text, "null") {
			t.Errorf("got %s", text)
		}
	}
}

// TestOrder: the order of rows must not show.
func TestOrder(t *testing.T) {
	r := sampleCollector().Report()
	for name, form := range forms() {
		first := write(t, form, r)
		for range 5 {
			if again := write(t, form, sampleCollector().Report()); again != first {
				t.Fatalf("%s: two reports of the same run differ:\n%s\n%s", name, first, again)
			}
		}
	}
}

// TestHostileTerminal: what goes to terminals has no character that does something to them.
func TestHostileTerminal(t *testing.T) {
	r := hostileReport()
	texts := map[string]string{"failure": (&Failure{Text: hostileName, Reason: hostileName, lines: r.lines(Options{PerCPU: true})}).String()}
	for _, name := range []string{"text", "folded", "metrics", "json"} {
		texts[name] = write(t, forms()[name], r)
	}
	var b bytes.Buffer
	if err := NewLive(&b, Options{}, nil).Show(Step{To: time.Second, Rows: r.Rows}, r); err != nil {
		t.Fatal(err)
	}
	texts["plain"] = b.String()
	texts["table"] = NewLive(nil, Options{}, func() (int, int) { return 1000, 50 }).table(Step{To: time.Second, Rows: r.Rows}, r)
	for name, text := range texts {
		if !strings.Contains(text, "script") {
			t.Errorf("%s: the name is gone:\n%s", name, text)
		}
		for _, c := range text {
			if c != '\n' && !unicode.IsPrint(c) || unicode.Is(unicode.M, c) || c == utf8.RuneError {
				t.Errorf("%s has the character %U:\n%s", name, c, text)
				break
			}
		}
	}
	for _, line := range strings.Split(strings.TrimSuffix(texts["folded"], "\n"), "\n") {
		// Sender, system call, path, two functions, cause.
		if n := strings.Count(line, ";"); n != 5 || !strings.HasSuffix(line, "] 3") {
			t.Errorf("folded: %d separators in %q", n, line)
		}
	}
}

// TestHostileHTML: names make no elements and no attributes.
func TestHostileHTML(t *testing.T) {
	page := write(t, forms()["html"], hostileReport())
	if strings.Contains(page, "<script") || strings.ContainsAny(page, "\x1b\u009b\u202e") {
		t.Errorf("a name is not escaped:\n%s", page)
	}
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Errorf("the name is gone:\n%s", page)
	}
	elements, _ := parsePage(t, page)
	if elements["script"]+elements["img"]+elements["link"] > 0 {
		t.Errorf("elements that should not be there: %v", elements)
	}
}

// parsePage counts elements and classes of the page, which is well-formed but for its head.
func parsePage(t *testing.T, page string) (elements, classes map[string]int) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict = false
	d.AutoClose = []string{"meta"}
	d.Entity = xml.HTMLEntity
	elements, classes = map[string]int{}, map[string]int{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return elements, classes
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, page)
		}
		x, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		elements[x.Name.Local]++
		for _, a := range x.Attr {
			if a.Name.Local == "class" {
				classes[a.Value]++
			}
			if a.Name.Local == "href" || a.Name.Local == "src" || strings.HasPrefix(a.Name.Local, "on") ||
				strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
				t.Errorf("<%s %s=%q>", x.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
}

func TestPage(t *testing.T) {
	elements, classes := parsePage(t, write(t, forms()["html"], sampleCollector().Report()))
	// CPU 2: call in 3 slices, tlb in 3, irq_work in 1; CPU 3: call in 3, resched in 3; each kind once in the legend.
	if elements["svg"] != 1 || classes["bar"] != 13 || classes["kind-call"] != 3 || classes["kind-tlb"] != 2 || classes["kind-irq-work"] != 2 || classes["swatch"] != 4 {
		t.Errorf("timeline: %v, %v", elements, classes)
	}
	if elements["table"] != 3 || elements["h3"] == 0 {
		t.Errorf("tables and remedies: %v", elements)
	}
}

// TestPageBars: one IPI can be seen beside very many, and a bar says what it is.
func TestPageBars(t *testing.T) {
	c := NewCollector(Meta{})
	for i, n := range []uint64{1_000_000, 1_000_001} {
		c.Add(ipi.Snapshot{At: time.Duration(i+1) * time.Second, Rows: []ipi.Row{kernelRow(1, ipi.Call, n)}})
	}
	svg := c.Report().timelineSVG()
	for _, want := range []string{`height="22.0"><title>0.0 s to 1.0 s: 1000000 IPIs, 1000000/s</title>`, `height="2.0"><title>1.0 s to 2.0 s: 1 IPI, 1/s</title>`} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in\n%s", want, svg)
		}
	}
}

// TestPageStrips: more strips than fit, and slices without length.
func TestPageStrips(t *testing.T) {
	c := NewCollector(Meta{})
	var rows []ipi.Row
	for cpu := range 2 * stripsMax {
		rows = append(rows, kernelRow(cpu, ipi.Call, uint64(cpu+1)))
	}
	c.Add(ipi.Snapshot{Rows: rows}) // at 0
	page := write(t, forms()["html"], c.Report())
	if elements, _ := parsePage(t, page); elements["svg"] != 0 {
		t.Errorf("a timeline of no time: %v", elements)
	}
	c.Add(ipi.Snapshot{At: time.Second, Rows: rows})
	page = write(t, forms()["html"], c.Report())
	if _, classes := parsePage(t, page); classes["kind-call"] != stripsMax+1 || !strings.Contains(page, "and 96 strips more") {
		t.Errorf("%v", classes)
	}
}

func TestJSON(t *testing.T) {
	var got struct {
		Rows []map[string]any `json:"rows"`
		Lost uint64           `json:"lost"`
		Self uint64           `json:"self_ipis"`
	}
	if err := json.Unmarshal([]byte(write(t, forms()["json"], sampleCollector().Report())), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != 8 || got.Lost != 2 || got.Self != 126 {
		t.Fatalf("got %+v", got)
	}
	var hostile JSON
	if err := json.Unmarshal([]byte(write(t, forms()["json"], hostileReport())), &hostile); err != nil {
		t.Fatal(err)
	}
	if want := strings.ToValidUTF8(hostileName, "\ufffd"); hostile.Rows[0].Comm != want {
		t.Errorf("got %q, want %q", hostile.Rows[0].Comm, want)
	}
	var first []string
	for i := range got.Rows {
		r := got.Rows[i]
		for _, field := range []string{"cpu", "kind", "cause", "ipis", "queued", "pid", "comm", "origin", "remedy"} {
			if _, ok := r[field]; !ok {
				t.Errorf("row %d has no %s", i, field)
			}
		}
		if r["ipis"] == 150.0 && r["comm"] == "chronyd" && r["remedy"] == "netstamp" {
			first = append(first, r["origin"].(string))
		}
	}
	want := "close, workqueue netstamp_clear|setsockopt(SO_TIMESTAMP), workqueue netstamp_clear"
	if s := strings.Join(first[:2], "|"); len(first) != 4 || s != want {
		t.Errorf("origins %q, want two of %q", first, want)
	}
}

// TestStacks: with stacks, rows stay apart by stack, and the flame graph has the functions.
func TestStacks(t *testing.T) {
	c := NewCollector(Meta{})
	a, b := chrony(2, "close", "", 5), chrony(2, "close", "", 7)
	a.StackID, b.StackID = 1, 2
	c.Add(ipi.Snapshot{At: time.Second, Rows: []ipi.Row{a, b}, Stacks: map[int32][]string{1: {"inner", "outer"}, 2: {"other"}}})
	r := c.Report()
	if j := r.JSON(); len(j.Rows) != 2 || j.Rows[0].Stack[0] != "other" || len(j.Rows[1].Stack) != 2 {
		t.Errorf("got %+v", j.Rows)
	}
	want := "chronyd;close;workqueue netstamp_clear;other;[do_sync_core] 7\nchronyd;close;workqueue netstamp_clear;outer;inner;[do_sync_core] 5\n"
	if got := write(t, forms()["folded"], r); got != want {
		t.Errorf("got %q", got)
	}
	if lines := r.lines(Options{}); len(lines) != 1 || lines[0].IPIs != 12 {
		t.Errorf("lines: %+v", lines)
	}
}

// TestBig: many rows are written in reasonable size, and nothing is left out of sums.
func TestBig(t *testing.T) {
	const n = 20_000
	c := NewCollector(sampleMeta())
	rows := many(n)
	var ipis uint64
	for i := range rows {
		ipis += rows[i].IPIs
	}
	c.Add(ipi.Snapshot{At: time.Second, Rows: rows})
	r := c.Report()
	if s := r.sum(); len(r.Rows) != n || s.ipis != ipis {
		t.Fatalf("%d rows with %d IPIs, want %d with %d", len(r.Rows), s.ipis, n, ipis)
	}
	lines := r.lines(Options{})
	var sum uint64
	for _, l := range lines {
		sum += l.IPIs
	}
	if len(lines) != 26 || sum != ipis || lines[0].pids < 10 || lines[0].cpus.Len() != 64 {
		t.Errorf("%d lines with %d IPIs: %+v", len(lines), sum, lines[0])
	}
	for name, form := range forms() {
		text := write(t, form, r)
		if most := map[string]int{"text": 20_000, "html": 200_000, "metrics": 700_000, "folded": 10_000, "json": 20 << 20}[name]; len(text) > most {
			t.Errorf("%s: %d bytes, want at most %d", name, len(text), most)
		}
	}
}

// BenchmarkForms is for 100,000 rows.
func BenchmarkForms(b *testing.B) {
	c := NewCollector(sampleMeta())
	c.Add(ipi.Snapshot{At: time.Second, Rows: many(100_000)})
	r := c.Report()
	for name, form := range forms() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := form(r, io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteErrors(t *testing.T) {
	r := sampleCollector().Report()
	for name, form := range forms() {
		if err := form(r, brokenWriter{}); !errors.Is(err, errBroken) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
