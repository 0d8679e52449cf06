package ipireport

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/remedy"
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer, o Options) error {
	var b strings.Builder
	r.writeHead(&b)
	if len(r.Rows) == 0 {
		b.WriteString("No IPI was seen.\n")
	} else {
		lines := r.lines(o)
		b.WriteByte('\n')
		r.writeMatrix(&b, o)
		b.WriteByte('\n')
		r.writeLines(&b, lines, o)
		writeRemedies(&b, lines, o)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) writeHead(b *strings.Builder) {
	for _, s := range r.head() {
		b.WriteString(s + "\n")
	}
}

// head tells in lines what was watched and what came out.
func (r *Report) head() []string {
	s, m := r.sum(), &r.Meta
	text := fmt.Sprintf("%s to %s in %s", plural(s.ipis, "IPI"), m.where(), span(r.Duration))
	if r.Duration > 0 {
		text += fmt.Sprintf(", %s/s", rate(s.ipis, r.Duration))
	}
	text += fmt.Sprintf("; calls queued: %d", s.queued)
	if s.cost > 0 {
		text += fmt.Sprintf("; in handlers: %s, %s us each", millis(s.cost), microsEach(s.cost, s.timed))
	}
	list := []string{text}
	if how := m.how(); how != "" {
		list = append(list, how)
	}
	if m.Filter != "" {
		list = append(list, "filter: "+clean(m.Filter))
	}
	if r.SelfIPIs > 0 {
		list = append(list, fmt.Sprintf("The tracer's own start and stop sent %s; they are left out.", plural(r.SelfIPIs, "IPI")))
	}
	if r.Lost > 0 {
		list = append(list, fmt.Sprintf("%s lost: all counts are lower bounds.", plural(r.Lost, "event")+wasWere(r.Lost)))
	}
	if r.Folded > 0 {
		list = append(list, fmt.Sprintf("There were too many rows: %s without sender and origin.", plural(r.Folded, "update")+wasWere(r.Folded)))
	}
	if r.Incomplete != "" {
		list = append(list, "Not complete: "+clean(r.Incomplete))
	}
	for _, n := range m.Notes {
		list = append(list, "note: "+clean(n))
	}
	return list
}

// where names the victims.
func (m *Meta) where() string {
	if m.Victims == "" {
		return "all CPUs"
	}
	if strings.Trim(m.Victims, "0123456789") == "" {
		return "CPU " + m.Victims
	}
	return "CPUs " + clean(m.Victims)
}

// how tells by what, on what and when, as far as that is known.
func (m *Meta) how() string {
	var parts []string
	add := func(text string, known bool) {
		if known {
			parts = append(parts, text)
		}
	}
	add("Linux "+clean(m.Kernel), m.Kernel != "")
	add(clean(m.Machine), m.Machine != "")
	add(plural(m.CPUs, "CPU"), m.CPUs > 0)
	add(clean(m.Mode), m.Mode != "")
	add("started "+m.Start.UTC().Format(time.RFC3339), !m.Start.IsZero())
	return strings.Join(parts, "; ")
}

func wasWere(n uint64) string {
	if n == 1 {
		return " was"
	}
	return " were"
}

// matrix is the IPIs of each CPU by kind. Kinds that nobody got are left out.
type matrix struct {
	kinds []ipi.Kind
	cpus  []cpuSum // by CPU
	total cpuSum
}

type cpuSum struct {
	cpu   int
	kinds map[ipi.Kind]uint64
	sum
}

func (s *cpuSum) add(r *ipi.Row) {
	s.sum.add(r)
	if s.kinds == nil {
		s.kinds = map[ipi.Kind]uint64{}
	}
	s.kinds[r.Kind] += r.IPIs
}

func (r *Report) matrix() matrix {
	var m matrix
	cpus := map[int]*cpuSum{}
	for i := range r.Rows {
		row := &r.Rows[i]
		if cpus[row.CPU] == nil {
			cpus[row.CPU] = &cpuSum{cpu: row.CPU}
		}
		cpus[row.CPU].add(row)
		m.total.add(row)
	}
	for _, s := range cpus {
		m.cpus = append(m.cpus, *s)
	}
	slices.SortFunc(m.cpus, func(a, b cpuSum) int { return a.cpu - b.cpu })
	for k := range m.total.kinds {
		m.kinds = append(m.kinds, k)
	}
	slices.SortFunc(m.kinds, func(a, b ipi.Kind) int {
		if d := kindOrder(a) - kindOrder(b); d != 0 {
			return d
		}
		return strings.Compare(string(a), string(b))
	})
	return m
}

// busiest returns the n CPUs with the most IPIs, by number, and what the others come to.
func (m *matrix) busiest(n int) (shown []cpuSum, others int, ipis uint64) {
	if len(m.cpus) <= n {
		return m.cpus, 0, 0
	}
	list := slices.Clone(m.cpus)
	slices.SortStableFunc(list, func(a, b cpuSum) int { return compareRows(ipi.Row{IPIs: a.ipis}, ipi.Row{IPIs: b.ipis}) })
	for _, s := range list[n:] {
		ipis += s.ipis
	}
	list = list[:n]
	slices.SortFunc(list, func(a, b cpuSum) int { return a.cpu - b.cpu })
	return list, len(m.cpus) - n, ipis
}

func (m *matrix) header() []string {
	cells := []string{"CPU"}
	for _, k := range m.kinds {
		cells = append(cells, clean(string(k)))
	}
	return append(cells, "all", "per s", "queued", "us each")
}

func (m *matrix) cells(name string, s *cpuSum, d time.Duration) []string {
	cells := []string{name}
	for _, k := range m.kinds {
		cells = append(cells, strconv.FormatUint(s.kinds[k], 10))
	}
	return append(cells, strconv.FormatUint(s.ipis, 10), rate(s.ipis, d), strconv.FormatUint(s.queued, 10), microsEach(s.cost, s.timed))
}

func (r *Report) writeMatrix(b *strings.Builder, o Options) {
	m := r.matrix()
	shown, others, ipis := m.busiest(max(o.top(), 16))
	table := [][]string{m.header()}
	for _, s := range shown {
		table = append(table, m.cells(strconv.Itoa(s.cpu), &s, r.Duration))
	}
	if len(m.cpus) > 1 {
		table = append(table, m.cells("all", &m.total, r.Duration))
	}
	align(b, table, "l"+strings.Repeat("r", len(table[0])-1), 0)
	if others > 0 {
		fmt.Fprintf(b, "and %s more: %s\n", plural(others, "CPU"), plural(ipis, "IPI"))
	}
}

// lineHeader and lineFlush are the columns of the table of senders. Numbers come first, as narrow
// terminals cut the ends of lines.
var lineHeader = []string{"#", "CPU", "kind", "IPIs", "per s", "queued", "us each", "cause", "sender", "origin", "remedy"}

const lineFlush = "rllrrrrllll"

func (l *line) cells(number int, d time.Duration) []string {
	origin := originText(&l.Origin)
	if origin == "" {
		origin = "-"
	}
	return []string{
		strconv.Itoa(number), cpusText(l.cpus), clean(string(l.Kind)),
		strconv.FormatUint(l.IPIs, 10), rate(l.IPIs, d), strconv.FormatUint(l.Queued, 10), microsEach(l.CostNS, l.timed),
		causeText(&l.Key), l.senderText(), origin, clean(l.Remedy),
	}
}

// cpusText is a list of CPUs, or their number if the list is long.
func cpusText(c ipi.CPUs) string {
	const long = 16
	text := c.String()
	switch {
	case text == "":
		return "-"
	case len(text) > long:
		return plural(c.Len(), "CPU")
	}
	return text
}

func (r *Report) writeLines(b *strings.Builder, lines []line, o Options) {
	const cellMax = 60
	table := [][]string{lineHeader}
	for i, l := range lines[:min(len(lines), o.top())] {
		cells := l.cells(i+1, r.Duration)
		for j := range cells {
			cells[j] = short(cells[j], cellMax)
		}
		table = append(table, cells)
	}
	align(b, table, lineFlush, o.Width)
	b.WriteString(moreLines(lines, o.top()))
}

// moreLines says what a table leaves out, or nothing.
func moreLines(lines []line, top int) string {
	if len(lines) <= top {
		return ""
	}
	var s sum
	for i := range lines[top:] {
		s.add(&lines[top+i].Row)
	}
	return fmt.Sprintf("and %s more: %s, calls queued: %d\n", plural(len(lines)-top, "row"), plural(s.ipis, "IPI"), s.queued)
}

// advice is a remedy and what it is for.
type advice struct {
	remedy.Entry
	ipis uint64
	rows []int // numbers of shown rows
	more int   // rows that are not shown
}

// advise returns the remedies of all lines, each once, the one for the most IPIs first.
func advise(lines []line, top int) []advice {
	found := map[string]*advice{}
	for _, e := range entries(func(*remedy.Entry) bool { return true }) {
		found[e.Name] = &advice{Entry: e}
	}
	for i, l := range lines {
		a := found[l.Remedy]
		if a == nil {
			continue // none, or one of a newer version
		}
		a.ipis += l.IPIs
		if i < top {
			a.rows = append(a.rows, i+1)
		} else {
			a.more++
		}
	}
	var list []advice
	for _, a := range found {
		if len(a.rows)+a.more > 0 {
			list = append(list, *a)
		}
	}
	slices.SortFunc(list, func(a, b advice) int {
		return compareRows(ipi.Row{Key: ipi.Key{Cause: a.Name}, IPIs: a.ipis}, ipi.Row{Key: ipi.Key{Cause: b.Name}, IPIs: b.ipis})
	})
	return list
}

// forRows says what an advice is for, such as "612 IPIs, rows 1-2 and 5 more".
func (a *advice) forRows() string {
	text := plural(a.ipis, "IPI") + ", "
	if len(a.rows) > 0 {
		text += "row"
		if len(a.rows) > 1 {
			text += "s"
		}
		text += " " + strings.ReplaceAll(ipi.MakeCPUs(a.rows...).String(), ",", ", ")
		if a.more > 0 {
			text += fmt.Sprintf(" and %d more", a.more)
		}
		return text
	}
	return text + plural(a.more, "row") + " not shown"
}

func writeRemedies(b *strings.Builder, lines []line, o Options) {
	list := advise(lines, o.top())
	for i, a := range list {
		if i == o.top() {
			fmt.Fprintf(b, "\nand %d more remedies\n", len(list)-i)
			break
		}
		fmt.Fprintf(b, "\n%s: %s\n", a.Name, a.forRows())
		wrap(b, a.What, o.Width)
		wrap(b, "To stop it: "+a.Stop, o.Width)
		wrap(b, "Source: "+a.Source, o.Width)
	}
}

// wrap writes a paragraph, indented.
func wrap(b *strings.Builder, text string, width int) {
	const indent, usual, least = "  ", 100, 30
	if width <= 0 {
		width = usual
	}
	width = max(width-len(indent), least)
	used := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case used == 0:
			b.WriteString(indent)
		case used+1+n > width:
			b.WriteString("\n" + indent)
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	b.WriteByte('\n')
}

// align writes columns, each flush left (l) or right (r), and cuts lines at the width if that
// is not 0.
func align(b *strings.Builder, table [][]string, flush string, width int) {
	widths := make([]int, len(flush))
	for _, cells := range table {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, cells := range table {
		text.Reset()
		for i, cell := range cells {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if flush[i] == 'r' {
				text.WriteString(pad + cell + "  ")
			} else {
				text.WriteString(cell + pad + "  ")
			}
		}
		s := strings.TrimRight(text.String(), " ")
		if width > 0 {
			s = short(s, width)
		}
		b.WriteString(s + "\n")
	}
}
