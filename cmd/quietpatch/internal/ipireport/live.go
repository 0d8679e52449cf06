package ipireport

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Live shows what happens while it happens: a table that is drawn again and again on a terminal,
// and lines one after the other elsewhere.
type Live struct {
	// Every is how much time lines elsewhere than on a terminal are about, at least: steps are
	// added up until they are as long. 0: each step has lines of its own.
	Every time.Duration

	w        io.Writer
	terminal bool
	size     func() (width, height int)
	options  Options
	drawn    int // lines of the table that stands on the terminal
	pending  pending
}

// NewLive returns a table on a terminal whose size is asked for each time, or lines if size
// is nil.
func NewLive(w io.Writer, o Options, size func() (width, height int)) *Live {
	return &Live{w: w, terminal: size != nil, size: size, options: o}
}

// Show shows what a step has brought, now or with later ones; the report is the one behind that
// step. It wants to have each step.
func (l *Live) Show(step Step, r *Report) error {
	if l.terminal {
		return l.draw(l.table(step, r))
	}
	l.pending.add(step, r.Meta)
	if l.pending.to-l.pending.from < l.Every {
		return nil
	}
	return l.flush()
}

// Clear takes the table away, to make room for the final report, or shows what is left to show.
func (l *Live) Clear() error {
	switch {
	case !l.terminal:
		return l.flush()
	case l.drawn == 0:
		return nil
	}
	return l.draw("")
}

// flush writes lines for what was not shown yet.
func (l *Live) flush() error {
	m := l.pending.meta
	_, err := io.WriteString(l.w, l.plain(l.pending.step(), m))
	return err
}

// draw goes back to the first line of the table, and overwrites it; what is left of the old
// one is erased last, so that nothing flickers (ECMA-48: CUU, EL, ED).
func (l *Live) draw(text string) error {
	var b strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", l.drawn)
	}
	b.WriteByte('\r')
	b.WriteString(strings.ReplaceAll(text, "\n", "\x1b[K\n"))
	b.WriteString("\x1b[J")
	l.drawn = strings.Count(text, "\n")
	_, err := io.WriteString(l.w, b.String())
	return err
}

// plain has a line for each row that got IPIs in the step.
func (l *Live) plain(step Step, m Meta) string {
	now := &Report{Meta: m, Duration: step.To - step.From, Rows: step.Rows}
	at := span(step.To)
	if !m.Start.IsZero() {
		at = m.Start.Add(step.To).UTC().Format("15:04:05")
	}
	var b strings.Builder
	lines := now.lines(l.options)
	for _, x := range lines[:min(len(lines), l.options.top())] {
		fmt.Fprintf(&b, "%s CPU %s %s %s: %s, %s, queued %d", at, cpusText(x.cpus), kindText(x.Kind), causeText(&x.Key),
			x.senderText(), plural(x.IPIs, "IPI"), x.Queued)
		if origin := originText(&x.Origin); origin != "" {
			b.WriteString(", " + origin)
		}
		if x.Remedy != "" {
			b.WriteString(", remedy " + clean(x.Remedy))
		}
		b.WriteByte('\n')
	}
	if more := moreLines(lines, l.options.top()); more != "" {
		b.WriteString(at + " " + more)
	}
	if step.Lost > 0 {
		fmt.Fprintf(&b, "%s %s lost\n", at, plural(step.Lost, "event"))
	}
	return b.String()
}

// table fits on the terminal: its last line stays free, for the cursor.
func (l *Live) table(step Step, r *Report) string {
	const unknownWidth, unknownHeight, around = 80, 24, 4
	width, height := l.size()
	if width <= 0 {
		width = unknownWidth
	}
	if height <= 0 {
		height = unknownHeight
	}
	o := l.options
	o.Top = max(1, min(o.top(), height-1-around))
	lines := r.lines(o)
	rates := ratesOf(lines, step, o)
	head := fmt.Sprintf("%s to %s%s in %s, %s lost", plural(r.sum().ipis, "IPI"), r.Meta.where(), r.Meta.narrowed(), span(r.Duration), plural(r.Lost, "event"))
	table := [][]string{{"CPU", "kind", "IPIs", "now/s", "us each", "cause", "sender", "origin", "remedy"}}
	for i, x := range lines[:min(len(lines), o.top())] {
		cells := x.cells(i+1, 0)
		table = append(table, []string{
			cells[1], cells[2], cells[3], rate(rates[i], step.To-step.From), cells[6],
			cells[7], cells[8], cells[9], cells[10],
		})
	}
	var b strings.Builder
	b.WriteString(short(head, width) + "\n")
	table, flush := fit(table, "llrrrllll", width, "us each", "remedy", "kind")
	align(&b, table, flush, width)
	b.WriteString(short(strings.TrimSuffix(moreLines(lines, o.top()), "\n"), width))
	text := strings.TrimSuffix(b.String(), "\n")
	if all := strings.Split(text, "\n"); len(all) > height-1 {
		text = strings.Join(all[:max(height-1, 0)], "\n")
	}
	return text + "\n"
}

// ratesOf finds what the step has added to each line.
func ratesOf(lines []line, step Step, o Options) []uint64 {
	rates := make([]uint64, len(lines))
	if len(lines) == 0 {
		return rates
	}
	f := o.fold()
	f.pids = lines[0].pids > 0
	added := map[lineKey]uint64{}
	for _, l := range merge(step.Rows, f) {
		added[f.key(&l.Row)] = l.IPIs
	}
	for i := range lines {
		rates[i] = added[f.key(&lines[i].Row)]
	}
	return rates
}
