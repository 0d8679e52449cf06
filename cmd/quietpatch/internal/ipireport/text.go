package ipireport

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/remedy"
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer, o Options) error {
	var b strings.Builder
	for _, s := range r.verdictLines(max(o.top(), verdictsLeast)) {
		hang(&b, s, o.Width)
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	r.writeHead(&b, o)
	lines := r.lines(o)
	if len(r.Rows) == 0 {
		b.WriteString(r.none() + "\n")
	} else {
		b.WriteByte('\n')
		r.writeMatrix(&b, o)
		b.WriteByte('\n')
		r.writeLines(&b, lines, o)
	}
	r.writeInterrupted(&b, o)
	r.writeRemedies(&b, lines, o)
	_, err := io.WriteString(w, b.String())
	return err
}

// verdictsLeast is how many CPUs are told of at least, each in a line.
const verdictsLeast = 16

func (r *Report) writeHead(b *strings.Builder, o Options) {
	for _, s := range r.head() {
		hang(b, s, o.Width)
	}
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
	s.kinds[r.Kind] = plus(s.kinds[r.Kind], r.IPIs)
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
		increase(&ipis, s.ipis)
	}
	list = list[:n]
	slices.SortFunc(list, func(a, b cpuSum) int { return a.cpu - b.cpu })
	return list, len(m.cpus) - n, ipis
}

func (m *matrix) header() []string {
	cells := []string{"CPU"}
	for _, k := range m.kinds {
		cells = append(cells, kindText(k))
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
		strconv.Itoa(number), cpusText(l.cpus), kindText(l.Kind),
		strconv.FormatUint(l.IPIs, 10), rate(l.IPIs, d), strconv.FormatUint(l.Queued, 10), microsEach(l.CostNS, l.timed),
		causeText(&l.Key), l.senderText(), origin, clean(l.Remedy),
	}
}

// shorten cuts cells that would push the others away.
func shorten(table [][]string) {
	for _, cells := range table {
		for i := range cells {
			cells[i] = short(cells[i], nameMax)
		}
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
	table := [][]string{lineHeader}
	for i, l := range lines[:min(len(lines), o.top())] {
		table = append(table, l.cells(i+1, r.Duration))
	}
	shorten(table)
	table, flush := fit(table, lineFlush, o.Width, "queued", "us each", "remedy")
	align(b, table, flush, o.Width)
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
	ipis   uint64
	rows   []int  // numbers of shown rows
	more   int    // rows that are not shown
	events uint64 // how often it happened; 0 if that is not known
}

// advise returns the remedies of all lines, each once, the one for the most IPIs first.
func (r *Report) advise(lines []line, top int) []advice {
	events := r.events()
	found := map[string]*advice{}
	for _, e := range entries(func(*remedy.Entry) bool { return true }) {
		found[e.Name] = &advice{Entry: e}
	}
	for i, l := range lines {
		a := found[l.Remedy]
		if a == nil {
			continue // none, or one of a newer version
		}
		increase(&a.ipis, l.IPIs)
		if i < top {
			a.rows = append(a.rows, i+1)
		} else {
			a.more++
		}
	}
	var list []advice
	for _, a := range found {
		if len(a.rows)+a.more > 0 {
			a.events = events[a.Name]
			list = append(list, *a)
		}
	}
	slices.SortFunc(list, func(a, b advice) int {
		return compareRows(ipi.Row{Key: ipi.Key{Cause: a.Name}, IPIs: a.ipis}, ipi.Row{Key: ipi.Key{Cause: b.Name}, IPIs: b.ipis})
	})
	return list
}

// events says how often what remedies are for has happened, by their names: each time, every
// CPU gets as many IPIs as the entry says, so the CPU that got most tells it.
func (r *Report) events() map[string]uint64 {
	type victim struct {
		remedy string
		cpu    int
	}
	got := map[victim]uint64{}
	known := remedies{}
	for i := range r.Rows {
		v := victim{known.of(&r.Rows[i]), r.Rows[i].CPU}
		got[v] = plus(got[v], r.Rows[i].IPIs)
	}
	times := map[string]uint64{}
	for _, e := range entries(func(e *remedy.Entry) bool { return e.Each > 0 }) {
		for v, n := range got {
			if v.remedy == e.Name {
				times[e.Name] = max(times[e.Name], plus(n, uint64(e.Each)/2)/uint64(e.Each))
			}
		}
	}
	return times
}

// text is such as "600 IPIs, rows 1-2; 3 IPIs to a CPU per flip, about 100 flips".
func (a *advice) text() string {
	if a.events == 0 {
		return a.forRows()
	}
	return fmt.Sprintf("%s; %s to a CPU per %s, about %s", a.forRows(), plural(a.Each, "IPI"), a.Event, plural(a.events, a.Event))
}

// forRows is such as "612 IPIs, rows 1-2 and 5 more".
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

// writeRemedies tells of those for a hundredth of all IPIs or more, and names the others.
func (r *Report) writeRemedies(b *strings.Builder, lines []line, o Options) {
	all := r.sum().ipis
	var others []string
	for i, a := range r.advise(lines, o.top()) {
		if i >= o.top() || a.ipis < all/100 {
			others = append(others, a.Name)
			continue
		}
		b.WriteByte('\n')
		hang(b, a.Name+": "+a.text(), o.Width)
		wrap(b, a.What, o.Width)
		wrap(b, "To stop it: "+a.Stop, o.Width)
		wrap(b, "Source: "+a.Source, o.Width)
	}
	if len(others) > 0 {
		b.WriteByte('\n')
		width := o.Width
		if width <= 0 {
			width = usualWidth
		}
		hang(b, "Remedies for fewer IPIs: "+strings.Join(others, ", "), width)
	}
}
