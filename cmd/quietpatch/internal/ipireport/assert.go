package ipireport

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/remedy"
)

// Assertion is what must be true of a run, such as
//
//	ipis <= 0
//	ipis(cpu=2,kind=tlb) < 10 && lost == 0
//	rate < 1/s
//	cost(comm="java*|node") <= 250us
//
// Comparisons are joined by &&. Each has a quantity, conditions on rows in parentheses
// or none, one of <, <=, >, >=, == and !=, and a value:
//
//	ipis        interrupts that went out                    a whole number
//	queued      calls that were queued                      a whole number
//	rate        interrupts per time                         a number /s, /min or /h
//	cost        time in handlers on the victims             a number and ns, us, ms or s
//	self_ipis   interrupts that the tracer itself sent      a whole number; no conditions
//	lost        events that could not be counted            a whole number; no conditions
//
// Conditions are cpu=LIST (2-3,5), pid=NUMBER, and kind, cause, comm, thread, cgroup, syscall,
// detail, path or remedy = PATTERN, with *, ?, [a-z], and | between alternatives; patterns may
// stand in quotes. Kinds and remedies must be known ones; remedy="" is for rows without one.
//
// Quantities are sums over all rows that meet the conditions. What says that a sum is small or
// equal is not proved, and fails, if events were lost, if the run did not last as long as it should,
// or if it is about CPUs or kinds that were not watched.
type Assertion struct {
	terms []term
}

// quantity is what a term measures.
type quantity uint8

const (
	ipisOf quantity = iota
	queuedOf
	rateOf
	costOf
	selfOf
	lostOf
	quantityCount
)

var quantityNames = [quantityCount]string{"ipis", "queued", "rate", "cost", "self_ipis", "lost"}

// ofRows reports whether the quantity is a sum over rows.
func (q quantity) ofRows() bool { return q < selfOf }

// term is one comparison.
type term struct {
	quantity quantity
	where    []condition
	op       string
	// value is in nanoseconds for a cost, and per second for a rate.
	value float64
	whole uint64 // value of the other quantities
	text  string // as it stands in the expression
}

// condition is one that rows must meet.
type condition struct {
	field    string
	cpus     ipi.CPUs // for cpu
	pid      int      // for pid
	patterns []string // for the others
}

// conditionWords says what conditions with patterns look at; a detail has many words.
var conditionWords = []struct {
	name  string
	words func(*ipi.Row) []string
}{
	{"kind", func(r *ipi.Row) []string { return []string{string(r.Kind)} }},
	{"cause", func(r *ipi.Row) []string { return []string{r.Cause, functionName(r.Cause)} }},
	{"comm", func(r *ipi.Row) []string { return []string{r.Sender.Comm} }},
	{"thread", func(r *ipi.Row) []string { return []string{r.Sender.Thread} }},
	{"cgroup", func(r *ipi.Row) []string { return []string{r.Sender.Cgroup} }},
	{"syscall", func(r *ipi.Row) []string { return []string{r.Origin.Syscall} }},
	{"detail", func(r *ipi.Row) []string { return append(strings.Fields(r.Origin.Detail), r.Origin.Detail) }},
	{"path", func(r *ipi.Row) []string { return append(strings.Fields(r.Origin.Path), r.Origin.Path) }},
	{"remedy", func(r *ipi.Row) []string { return []string{remedyOf(r)} }},
}

func remedyOf(r *ipi.Row) string {
	if r.Remedy != "" {
		return r.Remedy
	}
	e, _ := remedy.Lookup(r.Key)
	return e.Name
}

func (c *condition) meets(r *ipi.Row) bool {
	switch c.field {
	case "cpu":
		return c.cpus.Has(r.CPU)
	case "pid":
		return r.Sender.PID == c.pid
	}
	for _, w := range conditionWords {
		if w.name != c.field {
			continue
		}
		for _, word := range w.words(r) {
			for _, p := range c.patterns {
				if ipifilter.GlobMatch(p, word) {
					return true
				}
			}
		}
	}
	return false
}

// Functions returns the names of functions that conditions on causes ask for, without those that
// have wildcards. If the kernel has none of that name, the condition proves nothing.
func (a *Assertion) Functions() (names []string) {
	for _, t := range a.terms {
		for _, c := range t.where {
			for _, p := range c.patterns {
				if c.field == "cause" && p != "" && !strings.ContainsAny(p, `*?[\\`) {
					names = append(names, p)
				}
			}
		}
	}
	return names
}

// Failure is a comparison that does not hold.
type Failure struct {
	Text   string // the comparison
	Found  string // such as "12 IPIs"
	Reason string // why it fails although what was found would do; "" if it would not
	lines  []line // that break it
}

// Check returns what does not hold; nothing if all is well.
func (a *Assertion) Check(r *Report) []Failure {
	var list []Failure
	for i := range a.terms {
		if f, ok := a.terms[i].check(r); !ok {
			list = append(list, f)
		}
	}
	return list
}

func (t *term) check(r *Report) (Failure, bool) {
	rows := t.rows(r)
	var s sum
	for i := range rows {
		s.add(&rows[i])
	}
	n := t.amount(r, s)
	holds, found := t.compare(r, n)
	f := Failure{Text: t.text, Found: found}
	if holds {
		f.Reason = t.unproved(r, s, n)
		return f, f.Reason == ""
	}
	if t.upper() {
		f.lines = merge(t.contributing(rows), fold{threads: true, details: true})
	}
	return f, false
}

// rows returns those that meet the conditions.
func (t *term) rows(r *Report) []ipi.Row {
	var list []ipi.Row
	if !t.quantity.ofRows() {
		return nil
	}
rows:
	for i := range r.Rows {
		for j := range t.where {
			if !t.where[j].meets(&r.Rows[i]) {
				continue rows
			}
		}
		list = append(list, r.Rows[i])
	}
	return list
}

// contributing leaves out rows that add nothing to the quantity.
func (t *term) contributing(rows []ipi.Row) []ipi.Row {
	var list []ipi.Row
	for _, r := range rows {
		if n := t.counted(r.IPIs, r.Queued, r.CostNS); n > 0 {
			list = append(list, r)
		}
	}
	return list
}

// counted picks the number that the quantity is made of.
func (t *term) counted(ipis, queued, cost uint64) uint64 {
	switch t.quantity {
	case queuedOf:
		return queued
	case costOf:
		return cost
	}
	return ipis
}

// amount is what the quantity comes to; for a rate, the IPIs.
func (t *term) amount(r *Report, s sum) uint64 {
	switch t.quantity {
	case selfOf:
		return r.SelfIPIs
	case lostOf:
		return r.Lost
	}
	return t.counted(s.ipis, s.queued, s.cost)
}

// compare returns whether the comparison is true, and what was found.
func (t *term) compare(r *Report, n uint64) (bool, string) {
	switch t.quantity {
	case rateOf:
		return holds(t.op, perSecond(n, r.Duration), t.value),
			fmt.Sprintf("%s/s (%s in %s)", rate(n, r.Duration), plural(n, "IPI"), span(r.Duration))
	case costOf:
		return holds(t.op, float64(n), t.value), strconv.FormatFloat(float64(n)/1e3, 'f', -1, 64) + "us"
	}
	return holds(t.op, n, t.whole), strconv.FormatUint(n, 10)
}

func holds[N uint64 | float64](op string, a, b N) bool {
	switch op {
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	case "==":
		return a == b
	}
	return a != b
}

// String tells what failed, with the rows that break it; no more than 10 of them.
func (f *Failure) String() string {
	const shown = 10
	var b strings.Builder
	fmt.Fprintf(&b, "assertion %s: found %s", clean(f.Text), f.Found)
	if f.Reason != "" {
		b.WriteString(", but " + clean(f.Reason))
	}
	b.WriteByte('\n')
	for _, l := range f.lines[:min(len(f.lines), shown)] {
		fmt.Fprintf(&b, "  CPU %d %s %s: %s, queued %d, from %s", l.CPU, kindText(l.Kind), causeText(&l.Key),
			plural(l.IPIs, "IPI"), l.Queued, l.senderText())
		if origin := originText(&l.Origin); origin != "" {
			b.WriteString(", " + origin)
		}
		if l.Remedy != "" {
			b.WriteString(", remedy " + clean(l.Remedy))
		}
		b.WriteByte('\n')
	}
	if more := moreLines(f.lines, shown); more != "" {
		b.WriteString("  " + more)
	}
	return b.String()
}
