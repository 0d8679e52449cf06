package ipireport

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// interruptedKey is what interrupted threads differ in: an [ipi.Interrupted] without counts.
type interruptedKey ipi.Interrupted

func keyOf(x *ipi.Interrupted) interruptedKey {
	k := interruptedKey(*x)
	k.Runs, k.CostNS = 0, 0
	return k
}

type runs struct{ runs, cost uint64 }

// newInterrupted compares with the snapshot before, as [differ.step] does with rows.
func (d *differ) newInterrupted(list []ipi.Interrupted) []ipi.Interrupted {
	now := make(map[interruptedKey]runs, len(list))
	for i := range list {
		k := keyOf(&list[i])
		n := now[k]
		now[k] = runs{plus(n.runs, list[i].Runs), plus(n.cost, list[i].CostNS)}
	}
	var added []ipi.Interrupted
	for k, n := range now {
		was := d.interrupted[k]
		if n.runs < was.runs {
			was = runs{}
		}
		n.cost = max(n.cost, was.cost)
		now[k] = n
		if n == was {
			continue
		}
		x := ipi.Interrupted(k)
		x.Runs, x.CostNS = n.runs-was.runs, n.cost-was.cost
		added = append(added, x)
	}
	slices.SortFunc(added, compareInterrupted)
	d.interrupted = now
	return added
}

// addInterrupted adds what has happened. The caller holds the lock.
func (c *Collector) addInterrupted(x ipi.Interrupted) {
	k := keyOf(&x)
	sum, ok := c.interrupted[k]
	if !ok && len(c.interrupted) >= c.rowsMax {
		x = ipi.Interrupted{CPU: x.CPU, Kind: x.Kind, Cause: x.Cause, Comm: otherSeries, Runs: x.Runs, CostNS: x.CostNS}
		if _, ok = c.interrupted[keyOf(&x)]; !ok && len(c.interrupted) >= 2*c.rowsMax {
			x.Cause = ""
		}
		k = keyOf(&x)
		sum, ok = c.interrupted[k]
	}
	if !ok {
		c.interrupted[k] = &x
		return
	}
	increase(&sum.Runs, x.Runs)
	increase(&sum.CostNS, x.CostNS)
}

// interrupted returns those of a report with the functions merged by name, the most runs first.
func (r *Report) interrupted() []ipi.Interrupted {
	sums := make(map[interruptedKey]runs, len(r.Interrupted))
	for _, x := range r.Interrupted {
		x.Cause = functionName(x.Cause)
		k := keyOf(&x)
		n := sums[k]
		sums[k] = runs{plus(n.runs, x.Runs), plus(n.cost, x.CostNS)}
	}
	list := make([]ipi.Interrupted, 0, len(sums))
	for k, n := range sums {
		x := ipi.Interrupted(k)
		x.Runs, x.CostNS = n.runs, n.cost
		list = append(list, x)
	}
	slices.SortFunc(list, compareInterrupted)
	return list
}

// compareInterrupted puts those with more runs first.
func compareInterrupted(a, b ipi.Interrupted) int {
	return cmp.Or(cmp.Compare(b.Runs, a.Runs), cmp.Compare(b.CostNS, a.CostNS), cmp.Compare(a.CPU, b.CPU),
		cmp.Compare(kindOrder(a.Kind), kindOrder(b.Kind)), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Cause, b.Cause),
		cmp.Compare(a.PID, b.PID), cmp.Compare(a.TID, b.TID), cmp.Compare(a.Comm, b.Comm), cmp.Compare(a.Thread, b.Thread))
}

// interruptedHeader and interruptedFlush are the columns of the table of interrupted threads.
var interruptedHeader = []string{"CPU", "runs", "per s", "us each", "kind", "cause", "thread"}

const interruptedFlush = "lrrrlll"

// interruptedTable returns the threads with the most runs, one CPU after the other, and a line
// about those that are left out, or "".
func (r *Report) interruptedTable(top int) (table [][]string, more string) {
	list := r.interrupted()
	if n := len(list); n > top {
		var rest uint64
		for i := range list[top:] {
			increase(&rest, list[top+i].Runs)
		}
		more = fmt.Sprintf("and %s more: %s\n", plural(n-top, "row"), plural(rest, "run"))
		list = list[:top]
	}
	slices.SortStableFunc(list, func(a, b ipi.Interrupted) int { return cmp.Compare(a.CPU, b.CPU) })
	for i := range list {
		x := &list[i]
		cause := "-"
		if x.Cause != "" {
			cause = clean(x.Cause)
		}
		table = append(table, []string{
			strconv.Itoa(x.CPU), strconv.FormatUint(x.Runs, 10), rate(x.Runs, r.Duration), microsEach(x.CostNS, x.Runs),
			kindText(x.Kind), cause, threadText(x),
		})
	}
	return table, more
}

// threadText is such as server/worker[71/75].
func threadText(x *ipi.Interrupted) string {
	if x.PID == 0 && x.TID == 0 {
		if x.Comm == otherSeries {
			return "other threads"
		}
		return "idle"
	}
	l := line{Row: ipi.Row{Key: ipi.Key{Sender: ipi.Sender{PID: x.PID, TID: x.TID, Comm: x.Comm, Thread: x.Thread}}}}
	return l.senderText()
}

func (r *Report) writeInterrupted(b *strings.Builder, o Options) {
	if len(r.Interrupted) == 0 {
		return
	}
	table, more := r.interruptedTable(o.top())
	shorten(table)
	b.WriteString("\nInterrupted threads\n")
	align(b, append([][]string{interruptedHeader}, table...), interruptedFlush, o.Width)
	b.WriteString(more)
}
