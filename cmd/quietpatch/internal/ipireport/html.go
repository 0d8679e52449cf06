package ipireport

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
)

//go:embed page.html
var pageText string

// page escapes all it is given, but for the timeline, which is made of numbers and names of kinds.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"numeric": func(column int) bool { return lineFlush[column] == 'r' },
}).Parse(pageText))

type pageData struct {
	Where      string
	Head       []string
	Timeline   template.HTML
	MatrixHead []string
	Matrix     [][]string
	MatrixMore string
	LineHead   []string
	Lines      [][]string
	More       string
	Remedies   []pageRemedy
}

type pageRemedy struct{ Name, For, What, Stop, Source string }

// WriteHTML writes a page that needs nothing but itself: no scripts, no other files.
func (r *Report) WriteHTML(w io.Writer, o Options) error {
	if o.Top <= 0 {
		o.Top = 200
	}
	d := pageData{Where: r.Meta.where(), Head: r.head(), LineHead: lineHeader}
	if len(r.Rows) > 0 {
		d.Timeline = template.HTML(r.timelineSVG())
		r.fillTables(&d, o)
	}
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
	for _, a := range advise(lines, o.top()) {
		d.Remedies = append(d.Remedies, pageRemedy{a.Name, a.forRows(), oneLine(a.What), oneLine(a.Stop), oneLine(a.Source)})
	}
}
