package ipireport

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// SeriesMax bounds the series of each metric of rows, if nothing else is asked for.
const SeriesMax = 1000

// Metrics writes reports in the text format of Prometheus
// (prometheus.io/docs/instrumenting/exposition_formats). Metrics are:
//
//	quietpatch_ipis_total                  interrupts that went out          cpu, kind, cause, comm, origin
//	quietpatch_ipi_calls_queued_total      calls queued                      cpu, kind, cause, comm, origin
//	quietpatch_ipi_victim_seconds_total    time in the handler               cpu, kind, cause, comm, origin
//	quietpatch_trace_lost_events_total     events that could not be counted
//	quietpatch_trace_self_ipis_total       IPIs of the tracer itself
//	quietpatch_trace_start_time_seconds    when the tracer started
//	quietpatch_trace_info                  1                                 version, kernel, mode, victims
//
// Processes are told by name, not by number, as numbers make ever new series. When there are
// as many series as allowed, what is new is counted with cause, comm and origin "(other)":
// one series that has begun goes on, so that no counter goes back.
type Metrics struct {
	max    int
	series map[labels]struct{}
}

// NewMetrics returns one that allows so many series for a metric, beside those of "(other)";
// 0 means [SeriesMax]. A Metrics is for one goroutine at a time.
func NewMetrics(seriesMax int) *Metrics {
	if seriesMax <= 0 {
		seriesMax = SeriesMax
	}
	return &Metrics{max: seriesMax, series: map[labels]struct{}{}}
}

type labels struct {
	cpu                 int
	kind                ipi.Kind
	cause, comm, origin string
}

const otherSeries = "(other)"

// Write writes a report. Reports must come from one collector, the oldest first.
func (m *Metrics) Write(w io.Writer, r *Report) error {
	sums, order := m.sums(r)
	b := bufio.NewWriter(w)
	family := func(name, help string, value func(*sum) string) {
		fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s counter\n", name, help, name)
		for _, l := range order {
			fmt.Fprintf(b, "%s{cpu=\"%d\",kind=\"%s\",cause=\"%s\",comm=\"%s\",origin=\"%s\"} %s\n", name,
				l.cpu, label(string(l.kind)), label(l.cause), label(l.comm), label(l.origin), value(sums[l]))
		}
	}
	family("quietpatch_ipis_total", "Interrupts sent to the CPU by others.",
		func(s *sum) string { return strconv.FormatUint(s.ipis, 10) })
	family("quietpatch_ipi_calls_queued_total", "Calls queued for the CPU, with an interrupt or without.",
		func(s *sum) string { return strconv.FormatUint(s.queued, 10) })
	family("quietpatch_ipi_victim_seconds_total", "Time that the CPU spent in the handlers.",
		func(s *sum) string { return seconds(s.cost) })
	single := func(name, kind, help, labels, value string) {
		fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n%s%s %s\n", name, help, name, kind, name, labels, value)
	}
	single("quietpatch_trace_lost_events_total", "counter", "Events that could not be counted.", "", strconv.FormatUint(r.Lost, 10))
	single("quietpatch_trace_self_ipis_total", "counter", "Interrupts sent by the tracer itself, not counted elsewhere.", "", strconv.FormatUint(r.SelfIPIs, 10))
	if !r.Meta.Start.IsZero() {
		single("quietpatch_trace_start_time_seconds", "gauge", "When the tracer started, since the epoch.", "", seconds(uint64(max(r.Meta.Start.UnixNano(), 0))))
	}
	single("quietpatch_trace_info", "gauge", "What traces, and what is watched.",
		fmt.Sprintf("{version=\"%s\",kernel=\"%s\",mode=\"%s\",victims=\"%s\"}",
			label(r.Meta.Version), label(r.Meta.Kernel), label(r.Meta.Mode), label(r.Meta.Victims)), "1")
	return b.Flush()
}

// sums adds rows up by series, and admits new series while there is room, the most IPIs first.
func (m *Metrics) sums(r *Report) (map[labels]*sum, []labels) {
	all := map[labels]*sum{}
	add := func(l labels, s sum) {
		if all[l] == nil {
			all[l] = &sum{}
		}
		increase(&all[l].ipis, s.ipis)
		increase(&all[l].queued, s.queued)
		increase(&all[l].cost, s.cost)
	}
	for _, row := range r.Rows {
		// Cleaned here, so that no two series look the same.
		add(labels{row.CPU, ipi.Kind(clean(string(row.Kind))), clean(functionName(row.Cause)), clean(row.Sender.Comm), originText(&row.Origin)},
			sum{ipis: row.IPIs, queued: row.Queued, cost: row.CostNS})
	}
	var fresh []labels
	for l := range all {
		if _, ok := m.series[l]; !ok {
			fresh = append(fresh, l)
		}
	}
	slices.SortFunc(fresh, func(a, b labels) int { return compareRows(a.row(all[a]), b.row(all[b])) })
	for _, l := range fresh {
		if len(m.series) < m.max {
			m.series[l] = struct{}{}
			continue
		}
		s := *all[l]
		delete(all, l)
		add(labels{l.cpu, l.kind, otherSeries, otherSeries, otherSeries}, s)
	}
	order := make([]labels, 0, len(all))
	for l := range all {
		order = append(order, l)
	}
	slices.SortFunc(order, func(a, b labels) int {
		x, y := a.row(&sum{}), b.row(&sum{})
		return compareKeys(&x.Key, &y.Key)
	})
	return all, order
}

func (l labels) row(s *sum) ipi.Row {
	return ipi.Row{
		Key:  ipi.Key{CPU: l.cpu, Kind: l.kind, Cause: l.cause, Sender: ipi.Sender{Comm: l.comm}, Origin: ipi.Origin{Detail: l.origin}},
		IPIs: s.ipis, Queued: s.queued, CostNS: s.cost,
	}
}

// label escapes a value as the format wants it. What [clean] makes of control characters has
// a backslash, which is escaped in turn; cleaning twice changes nothing.
func label(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(clean(s))
}

func seconds(ns uint64) string { return strconv.FormatFloat(float64(ns)/1e9, 'f', -1, 64) }
