package ipireport

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// verdict says in a line what a CPU got, and from whom most of it came.
type verdict struct {
	cpu  int
	ipis uint64
	text string // without the CPU
}

// verdicts returns one for each CPU that has rows or is known to have been watched.
func (r *Report) verdicts() []verdict {
	rows := map[int][]ipi.Row{}
	for i := range r.Rows {
		if cpu := r.Rows[i].CPU; r.Rows[i].IPIs > 0 {
			rows[cpu] = append(rows[cpu], r.Rows[i])
		}
	}
	for cpu := range r.Meta.watched().All() {
		if rows[cpu] == nil {
			rows[cpu] = []ipi.Row{}
		}
	}
	known := remedies{}
	list := make([]verdict, 0, len(rows))
	for cpu, of := range rows {
		list = append(list, r.verdict(cpu, of, known))
	}
	slices.SortFunc(list, func(a, b verdict) int { return cmp.Compare(a.cpu, b.cpu) })
	return list
}

// culprit is a sender by name: processes of one name are blamed together.
type culprit struct {
	sum  line
	rows []ipi.Row
}

func (r *Report) verdict(cpu int, rows []ipi.Row, known remedies) verdict {
	v := verdict{cpu: cpu}
	found := map[string]*culprit{}
	for _, row := range rows {
		increase(&v.ipis, row.IPIs)
		name := row.Sender.Comm
		if found[name] == nil {
			found[name] = &culprit{}
		}
		found[name].rows = append(found[name].rows, row)
	}
	if v.ipis == 0 {
		v.text = "no IPI" + r.Meta.narrowed() + " in " + span(r.Duration)
		if r.Lost > 0 {
			v.text += fmt.Sprintf(", but %s lost", plural(r.Lost, "event")+wasWere(r.Lost))
		}
		if r.Offline.Has(cpu) {
			v.text += ", but offline for a while"
		}
		return v
	}
	list := make([]*culprit, 0, len(found))
	for _, c := range found {
		c.add()
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *culprit) int { return compareRows(a.sum.Row, b.sum.Row) })
	v.text = fmt.Sprintf("%s%s in %s (%s/s), %s", plural(v.ipis, "IPI"), r.Meta.narrowed(), span(r.Duration), rate(v.ipis, r.Duration), list[0].text(v.ipis, known))
	return v
}

// add sums the rows of a culprit up.
func (c *culprit) add() {
	pids := map[int]struct{}{}
	c.sum = line{Row: ipi.Row{Key: ipi.Key{Sender: ipi.Sender{Comm: c.rows[0].Sender.Comm, PID: c.rows[0].Sender.PID}}}}
	for i := range c.rows {
		increase(&c.sum.IPIs, c.rows[i].IPIs)
		pids[c.rows[i].Sender.PID] = struct{}{}
	}
	c.sum.pids = len(pids)
}

// nameMax bounds what lines take from a name, which somebody else has chosen.
const nameMax = 60

// text is such as "98 % from chronyd[812]: close and setsockopt(SO_TIMESTAMP), workqueue
// netstamp_clear; remedy netstamp": what most of the culprit's IPIs have in common.
func (c *culprit) text(all uint64, known remedies) string {
	who := short(c.sum.senderText(), nameMax)
	if who == "-" {
		who = "nobody in particular"
	}
	text := percent(c.sum.IPIs, all) + " from " + who
	paths := most(c.rows, 1, func(r *ipi.Row) string { return short(pathText(&r.Origin), nameMax) })
	// What one system call turns on, another one turns off: two of them make a story.
	calls := most(paths.rows, 2, func(r *ipi.Row) string { return short(callText(&r.Origin), nameMax) })
	parts := slices.DeleteFunc([]string{strings.Join(calls.names, " and "), paths.names[0]}, func(s string) bool { return s == "" })
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
		if calls.ipis < c.sum.IPIs {
			text += " and others"
		}
	}
	if name := most(calls.rows, 1, known.of).names[0]; name != "" {
		text += "; remedy " + short(clean(name), nameMax)
	}
	return text
}

// share is the rows that have one of some names.
type share struct {
	names []string
	rows  []ipi.Row
	ipis  uint64
}

// most returns the rows with the n names that have most IPIs. A name that has less than a
// quarter of those of the first is not worth telling.
func most(rows []ipi.Row, n int, name func(*ipi.Row) string) share {
	const quarter = 4
	count := map[string]uint64{}
	for i := range rows {
		x := name(&rows[i])
		count[x] = plus(count[x], rows[i].IPIs)
	}
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) // the one that says more
	})
	var s share
	for _, x := range names[:min(n, len(names))] {
		if count[x] >= count[names[0]]/quarter {
			s.names = append(s.names, x)
			increase(&s.ipis, count[x])
		}
	}
	for i := range rows {
		if slices.Contains(s.names, name(&rows[i])) {
			s.rows = append(s.rows, rows[i])
		}
	}
	return s
}

// percent is rounded down, so that 100 % is all.
func percent(n, of uint64) string {
	p := uint64(100 * (float64(n) / float64(of)))
	switch {
	case n == of:
		p = 100
	case p >= 100:
		p = 99
	case p == 0:
		return "<1 %"
	}
	return fmt.Sprintf("%d %%", p)
}

// verdictLines says it for the CPUs that got most, and for those together that got nothing for the same reasons.
func (r *Report) verdictLines(top int) []string {
	var list []verdict
	quiet := map[string]ipi.CPUs{}
	for _, v := range r.verdicts() {
		if v.ipis > 0 {
			list = append(list, v)
			continue
		}
		quiet[v.text] = quiet[v.text].With(v.cpu)
	}
	slices.SortStableFunc(list, func(a, b verdict) int { return cmp.Compare(b.ipis, a.ipis) })
	var lines []string
	shown := list[:min(len(list), top)]
	slices.SortFunc(shown, func(a, b verdict) int { return cmp.Compare(a.cpu, b.cpu) })
	for _, v := range shown {
		lines = append(lines, fmt.Sprintf("CPU %d: %s", v.cpu, v.text))
	}
	if rest := list[len(shown):]; len(rest) > 0 {
		var n uint64
		for _, v := range rest {
			increase(&n, v.ipis)
		}
		lines = append(lines, fmt.Sprintf("and %s more: %s", plural(len(rest), "CPU"), plural(n, "IPI")))
	}
	for _, text := range slices.Sorted(maps.Keys(quiet)) {
		m := Meta{Victims: quiet[text].String()}
		lines = append(lines, m.where()+": "+text)
	}
	return lines
}
