package isolated

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// WriteTable writes the result for people.
func (r *Result) WriteTable(w io.Writer) error {
	var b strings.Builder
	r.writeHead(&b)
	r.writeRows(&b)
	r.writePicture(&b)
	r.writeCrossings(&b)
	r.writeLegend(&b)
	r.writeVerdict(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) writeHead(b *strings.Builder) {
	fmt.Fprintf(b, "A thread on CPU %d reads the time-stamp counter and does nothing else. The rest of the process flips a key\n"+
		"with %s, retargets a call, unmaps memory, collects garbage and runs short processes.\n",
		r.IsolatedCPU, plural(int64(r.Sites), "site"))
	if r.Mode != modeLive {
		fmt.Fprintf(b, "Mode %s: no code is changed, so there are no syncs to defer: %s\n\n", r.Mode, r.Reason)
		return
	}
	fmt.Fprintf(b, "Mode %s, %s on %s (%s); syncs that leave the CPU out: %s.\n\n",
		r.Mode, r.Strategy, r.Backend, r.Assurance, orNone(r.SyncAssurance))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// A row of the table is one number of each phase.
type row struct {
	name string
	cell func(p *Phase) string
}

func count[T int | int64 | uint64](get func(p *Phase) T) func(p *Phase) string {
	return func(p *Phase) string { return number(int64(get(p))) }
}

var rows = []row{
	{"flips", count(func(p *Phase) int { return p.FlipsDone })},
	{"  median, us", func(p *Phase) string { return micros(p.FlipNS) }},
	{"calls retargeted", count(func(p *Phase) int { return p.Retargets })},
	{"mappings removed", count(func(p *Phase) int { return p.Unmaps })},
	{"  left to the thread", count(func(p *Phase) uint64 { return p.UnmapsHeld })},
	{"garbage collections", count(func(p *Phase) uint64 { return p.Collections })},
	{"processes run", count(func(p *Phase) int { return p.Processes })},
	{"syncs", count(func(p *Phase) uint64 { return p.Syncs })},
	{"  left to the thread", count(func(p *Phase) uint64 { return p.SyncsDeferred })},
	{},
	{"call IPIs", count(func(p *Phase) int64 { return p.CallIPIs })},
	{"  to wake the thread", count(func(p *Phase) int64 {
		if p.WakeIPIs >= 0 {
			return p.WakeIPIs
		}
		return p.Slept
	})},
	{"TLB IPIs", count(func(p *Phase) int64 { return p.TLBIPIs })},
	{"reschedule IPIs", count(func(p *Phase) int64 { return p.RescheduleIPIs })},
	{"call IPIs, of all", count(func(p *Phase) int64 { return p.AllCallIPIs })},
	{"timer ticks", count(func(p *Phase) int64 { return p.TimerTicks })},
	{},
	{"longest gap, us", func(p *Phase) string { return micros(p.GapNSMax) }},
	{"99.99% of gaps, us", func(p *Phase) string { return precise(p.GapNSP9999) }},
	{"99.99% of time, us", func(p *Phase) string { return precise(p.GapNSP9999Time) }},
	{"gaps over 1 us", count(func(p *Phase) uint64 { return p.GapsLong })},
	{"  in all, us per s", func(p *Phase) string { return p.perSecond(p.LostNS) }},
	{},
	{"stops by Go", count(func(p *Phase) int { return p.StopsByGo })},
	{"  longest, us", func(p *Phase) string { return micros(p.StopNSMax) }},
	{"  in all, us per s", func(p *Phase) string { return p.perSecond(p.StopNS) }},
	{"preempted", count(func(p *Phase) int64 { return p.Preempted })},
	{"share of the CPU", func(p *Phase) string { return share(p.CPUShare) }},
	{"time, ms", count(func(p *Phase) int64 { return p.DurationMS })},
}

const (
	nameWidth = 20
	cellWidth = 14
)

func (r *Result) writeRows(b *strings.Builder) {
	var names []string
	for _, p := range r.phases() {
		names = append(names, p.name)
	}
	writeRow(b, "", names)
	writeRow(b, "", []string{"thread alone", "in USER", "in KERNEL"})
	for _, row := range rows {
		cells := make([]string, 0, len(names))
		for _, p := range r.phases() {
			if row.cell != nil {
				cells = append(cells, row.cell(p.Phase))
			}
		}
		writeRow(b, row.name, cells)
	}
	b.WriteByte('\n')
}

func writeRow(b *strings.Builder, name string, cells []string) {
	text := fmt.Sprintf("%-*s", nameWidth, name)
	for _, c := range cells {
		text += fmt.Sprintf("%*s", cellWidth, c)
	}
	b.WriteString(strings.TrimRight(text, " ") + "\n")
}

// The picture of the gaps: a bar for each phase and length.
const (
	barWidth     = 18
	barPerDecade = 2 // characters
)

func (r *Result) writePicture(b *strings.Builder) {
	longest := 0
	for _, p := range r.phases() {
		longest = max(longest, len(p.Gaps))
	}
	if longest == 0 {
		return
	}
	head := fmt.Sprintf("%-*s", nameWidth, "gaps by length")
	for _, p := range r.phases() {
		head += fmt.Sprintf("  %-*s", barWidth+9, p.name)
	}
	b.WriteString(strings.TrimRight(head, " ") + "\n")
	for i := range longest {
		text := fmt.Sprintf("%-*s", nameWidth, bucketName(i))
		for _, p := range r.phases() {
			var n uint64
			if i < len(p.Gaps) {
				n = p.Gaps[i].Count
			}
			text += fmt.Sprintf("  %8s %-*s", gaps(n), barWidth, bar(n))
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	b.WriteByte('\n')
}

// bucketName is the lengths in bucket i, from 64 ns on.
func bucketName(i int) string {
	if i == 0 {
		return "below " + length(firstBucketNS)
	}
	return fmt.Sprintf("%s to %s", length(firstBucketNS<<(i-1)), length(firstBucketNS<<i))
}

// length rounds to powers of two of a unit: 1024 ns is 1 us.
func length(ns int64) string {
	switch {
	case ns < 1<<10:
		return fmt.Sprintf("%d ns", ns)
	case ns < 1<<20:
		return fmt.Sprintf("%d us", ns>>10)
	case ns < 1<<30:
		return fmt.Sprintf("%d ms", ns>>20)
	}
	return fmt.Sprintf("%d s", ns>>30)
}

// gaps leaves a place empty where there is nothing.
func gaps(n uint64) string {
	switch {
	case n == 0:
		return ""
	case n >= 10_000_000:
		return strconv.FormatUint(n/1_000_000, 10) + "M"
	}
	return strconv.FormatUint(n, 10)
}

// bar is logarithmic.
func bar(n uint64) string {
	if n == 0 {
		return ""
	}
	return strings.Repeat("#", min(1+int(math.Round(barPerDecade*math.Log10(float64(n)))), barWidth))
}

func (r *Result) writeCrossings(b *strings.Builder) {
	if r.KernelCrossingNS < 0 {
		return
	}
	fmt.Fprintf(b, "Out of isolation and back (Thread.Kernel) takes %d ns", r.KernelCrossingNS)
	if r.KernelCrossingOwedNS >= 0 {
		fmt.Fprintf(b, ", and %d ns after a flip, when a sync is owed\nand another CPU has written to the thread's word", r.KernelCrossingOwedNS)
	}
	b.WriteString(" (medians).\n")
	if r.ReturnNS >= 0 {
		fmt.Fprintf(b, "The way back at the end of the deferred phase took %s us: one sync, and a few of the %s that waited; each\n"+
			"of the next ones removed some more.\n", micros(r.ReturnNS), plural(int64(r.Deferred.UnmapsHeld), "mapping"))
	}
	b.WriteByte('\n')
}

func (r *Result) writeVerdict(b *strings.Builder) {
	for _, note := range r.Notes {
		fmt.Fprintf(b, "note: %s\n", note)
	}
	for _, f := range r.Failures {
		fmt.Fprintf(b, "failed: %s\n", f)
	}
	if r.Interrupted {
		b.WriteString("The run was interrupted: the phases are not complete.\n")
		return
	}
	d, n := r.Deferred, r.Noise
	switch {
	case r.Verdict != verdictOK:
	case d.CallIPIs < 0 || n.CallIPIs < 0:
		b.WriteString("ok, as far as it could be measured: this machine does not count interrupts.\n")
	default:
		fmt.Fprintf(b, "ok: what CPU %d got during %s with deferral is within the noise: %s against %d, of which %d and %d woke the thread when Go had stopped it.\n",
			r.IsolatedCPU, plural(int64(d.FlipsDone), "flip"), plural(d.CallIPIs, "call IPI"), n.CallIPIs,
			d.wakes(), n.wakes())
	}
}

// perSecond returns a time in us for each second of the phase.
func (p *Phase) perSecond(ns int64) string {
	if ns < 0 || p.DurationMS <= 0 {
		return missing
	}
	return strconv.FormatInt(ns/p.DurationMS, 10)
}

const missing = "n/a"

func number(n int64) string {
	if n < 0 {
		return missing
	}
	return strconv.FormatInt(n, 10)
}

// micros prints nanoseconds as microseconds.
func micros(ns int64) string { return decimals(ns, 1) }

func precise(ns int64) string { return decimals(ns, 2) }

func decimals(ns int64, n int) string {
	if ns < 0 {
		return missing
	}
	return strconv.FormatFloat(float64(ns)/1e3, 'f', n, 64)
}

func share(x float64) string {
	if x < 0 {
		return missing
	}
	return strconv.FormatFloat(100*x, 'f', 0, 64) + "%"
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
