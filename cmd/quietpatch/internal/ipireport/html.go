package ipireport

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

//go:embed page.html
var pageText string

// page escapes all it is given, but for the timeline, which is made of numbers and names of kinds.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"numeric": func(flush string, column int) bool { return flush[column] == 'r' },
	"lines":   func() string { return lineFlush },
	"threads": func() string { return interruptedFlush },
}).Parse(pageText))

type pageData struct {
	Where      string
	Head       []string
	None       string
	Timeline   template.HTML
	Legend     []pageKind
	MatrixHead []string
	Matrix     [][]string
	MatrixMore string
	LineHead   []string
	Lines      [][]string
	More       string
	Remedies   []pageRemedy

	Verdicts        []string
	InterruptedHead []string
	Interrupted     [][]string
	InterruptedMore string
}

type pageKind struct {
	Class, Kind, What string
}

// kindWords say in the legend what kinds are.
var kindWords = map[ipi.Kind]string{
	ipi.Call: "a function to run", ipi.TLB: "mappings to forget", ipi.Resched: "the scheduler to look again",
	ipi.IRQWork: "work for interrupt context", ipi.Other: "anything else",
}

type pageRemedy struct{ Name, For, What, Stop, Source string }

// WriteHTML writes a page that needs nothing but itself: no scripts, no other files.
func (r *Report) WriteHTML(w io.Writer, o Options) error {
	if o.Top <= 0 {
		o.Top = 200
	}
	d := pageData{Where: r.Meta.where(), Head: r.head(), None: r.none(), LineHead: lineHeader, InterruptedHead: interruptedHeader, Verdicts: r.verdictLines(o.top())}
	if len(r.Rows) > 0 {
		d.Timeline = template.HTML(r.timelineSVG())
		for _, k := range r.matrix().kinds {
			d.Legend = append(d.Legend, pageKind{kindClass(k), kindText(k), kindWords[k]})
		}
		r.fillTables(&d, o)
	}
	d.Interrupted, d.InterruptedMore = r.interruptedTable(o.top())
	return page.Execute(w, d)
}

func (r *Report) fillTables(d *pageData, o Options) {
	m := r.matrix()
	d.MatrixHead = m.header()
	shown, others, ipis := m.busiest(o.top())
	for _, s := range shown {
		d.Matrix = append(d.Matrix, m.cells(strconv.Itoa(s.cpu), &s, r.Duration))
	}
	if len(m.cpus) > 1 {
		d.Matrix = append(d.Matrix, m.cells("all", &m.total, r.Duration))
	}
	if others > 0 {
		d.MatrixMore = fmt.Sprintf("and %s more: %s", plural(others, "CPU"), plural(ipis, "IPI"))
	}
	lines := r.lines(o)
	for i, l := range lines[:min(len(lines), o.top())] {
		d.Lines = append(d.Lines, l.cells(i+1, r.Duration))
	}
	d.More = strings.TrimSpace(moreLines(lines, o.top()))
	for _, a := range r.advise(lines, o.top()) {
		d.Remedies = append(d.Remedies, pageRemedy{a.Name, a.text(), oneLine(a.What), oneLine(a.Stop), oneLine(a.Source)})
	}
}
