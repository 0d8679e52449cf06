package ipireport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/remedy"
)

// JSON is what [Report.WriteJSON] writes. Fields are added, never renamed or taken away.
type JSON struct {
	Rows     []JSONRow `json:"rows"`      // most IPIs first
	Lost     uint64    `json:"lost"`      // events that could not be counted: if not 0, all counts are lower bounds
	SelfIPIs uint64    `json:"self_ipis"` // that the tracer itself sent, at its start and stop and in between; not in the rows

	IPIs       uint64       `json:"ipis"` // of all rows
	Queued     uint64       `json:"queued"`
	CostNS     uint64       `json:"cost_ns"`
	DurationNS int64        `json:"duration_ns"`
	Start      time.Time    `json:"start"`
	Version    string       `json:"version"` // of quietpatch
	Kernel     string       `json:"kernel"`
	Machine    string       `json:"machine"`
	CPUs       int          `json:"cpus"`       // that the machine has
	Victims    string       `json:"victims"`    // list of the CPUs that were watched
	Filter     string       `json:"filter"`     // "" for none
	Mode       string       `json:"mode"`       // of the backend
	Notes      []string     `json:"notes"`      // what this mode cannot see
	Folded     uint64       `json:"folded"`     // updates of rows that lost sender and origin, as there were too many rows
	Incomplete string       `json:"incomplete"` // why the run is not whole; "" if it is
	Remedies   []JSONRemedy `json:"remedies"`   // those that rows name

	Verdicts    []JSONVerdict     `json:"verdicts"`    // one for each CPU that was watched, as far as these are known
	Interrupted []JSONInterrupted `json:"interrupted"` // most first; empty if nobody asked

	PIDs      []int       `json:"pids"`       // processes whose IPIs count; empty: all
	Follow    bool        `json:"follow"`     // and those that they start
	PlannedNS int64       `json:"planned_ns"` // how long the run should last; 0: until it was stopped
	Blind     []ipi.Blind `json:"blind"`      // what makes small counts of some rows no proof
	Offline   string      `json:"offline"`    // list of the victims that were seen offline; "" for none
	EndedNS   int64       `json:"ended_ns"`   // when all of pids were seen to have ended; 0: not
}

// JSONRow is a row. What is not known is "" or 0.
type JSONRow struct {
	CPU    int      `json:"cpu"`    // the victim
	Kind   ipi.Kind `json:"kind"`   // call, tlb, resched, irq_work or other
	Cause  string   `json:"cause"`  // function that the victim had to run
	IPIs   uint64   `json:"ipis"`   // interrupts that went out
	Queued uint64   `json:"queued"` // calls that were queued, with an interrupt or without
	PID    int      `json:"pid"`    // process that is blamed; 0 if nobody in particular
	Comm   string   `json:"comm"`
	Origin string   `json:"origin"` // system call and path in words
	Remedy string   `json:"remedy"` // name of one of the remedies

	TID        int      `json:"tid"`
	Thread     string   `json:"thread"` // its name
	Cgroup     string   `json:"cgroup"`
	Container  string   `json:"container"` // such as "docker 0123456789ab"
	Syscall    string   `json:"syscall"`
	Detail     string   `json:"detail"` // such as SO_TIMESTAMP
	Path       string   `json:"path"`   // such as "workqueue netstamp_clear"
	Via        string   `json:"via"`    // thread that sent for the process, one of them
	CostNS     uint64   `json:"cost_ns"`
	IPIsPerSec float64  `json:"ipis_per_s"`
	Stack      []string `json:"stack,omitempty"` // innermost function first
}

// JSONVerdict says in a line what a CPU got, and from whom most of it came.
type JSONVerdict struct {
	CPU  int    `json:"cpu"`
	IPIs uint64 `json:"ipis"`
	Text string `json:"text"`
}

// JSONInterrupted is a thread that had a CPU when an interrupt came.
type JSONInterrupted struct {
	CPU        int      `json:"cpu"`
	Kind       ipi.Kind `json:"kind"`
	Cause      string   `json:"cause"` // function that ran in the interrupt
	PID        int      `json:"pid"`   // 0 for the idle thread
	TID        int      `json:"tid"`
	Comm       string   `json:"comm"`
	Thread     string   `json:"thread"`
	Runs       uint64   `json:"runs"` // functions that ran, or interrupts where there are none
	RunsPerSec float64  `json:"runs_per_s"`
	CostNS     uint64   `json:"cost_ns"`
}

// JSONRemedy is an entry of the table of known causes.
type JSONRemedy struct {
	Name   string `json:"name"`
	What   string `json:"what"`
	Stop   string `json:"stop"`
	Source string `json:"source"`

	IPIsEach int    `json:"ipis_each"` // to each CPU, per event; 0 if they are not always as many
	Event    string `json:"event"`     // such as flip
	Events   uint64 `json:"events"`    // about how many there were
}

// JSON returns the report with one row per victim, thread and origin, and per stack if stacks
// were asked for.
func (r *Report) JSON() *JSON {
	s := r.sum()
	j := &JSON{
		Rows: []JSONRow{}, Lost: r.Lost, SelfIPIs: r.SelfIPIs,
		IPIs: s.ipis, Queued: s.queued, CostNS: s.cost, DurationNS: int64(r.Duration), Start: r.Meta.Start,
		Version: r.Meta.Version, Kernel: r.Meta.Kernel, Machine: r.Meta.Machine, CPUs: r.Meta.CPUs,
		Victims: r.Meta.Victims, Filter: r.Meta.Filter, Mode: r.Meta.Mode, Notes: append([]string{}, r.Meta.Notes...),
		Folded: r.Folded, Incomplete: r.Incomplete, Remedies: []JSONRemedy{},
		Verdicts: []JSONVerdict{}, Interrupted: []JSONInterrupted{},
		PIDs: append([]int{}, r.Meta.PIDs...), Follow: r.Meta.Follow, PlannedNS: int64(r.Meta.Planned), Blind: []ipi.Blind{}, Offline: r.Offline.String(), EndedNS: int64(r.Ended),
	}
	for _, x := range r.Meta.Blind {
		j.Blind = append(j.Blind, ipi.Blind{Kinds: append([]ipi.Kind{}, x.Kinds...), Mixed: x.Mixed, Why: x.Why})
	}
	names := map[string]bool{}
	for _, row := range r.finest() {
		j.Rows = append(j.Rows, r.jsonRow(&row))
		names[row.Remedy] = true
	}
	events := r.events()
	for _, e := range entries(func(e *remedy.Entry) bool { return names[e.Name] }) {
		j.Remedies = append(j.Remedies, JSONRemedy{
			Name: e.Name, What: oneLine(e.What), Stop: oneLine(e.Stop), Source: oneLine(e.Source),
			IPIsEach: e.Each, Event: e.Event, Events: events[e.Name],
		})
	}
	for _, v := range r.verdicts() {
		j.Verdicts = append(j.Verdicts, JSONVerdict{v.cpu, v.ipis, v.text})
	}
	for _, x := range r.interrupted() {
		j.Interrupted = append(j.Interrupted, JSONInterrupted{
			CPU: x.CPU, Kind: x.Kind, Cause: x.Cause, PID: x.PID, TID: x.TID, Comm: x.Comm, Thread: x.Thread,
			Runs: x.Runs, RunsPerSec: perSecond(x.Runs, r.Duration), CostNS: x.CostNS,
		})
	}
	return j
}

// finest returns all rows with their remedies; without stacks, those of one name are merged.
func (r *Report) finest() []ipi.Row {
	var rows []ipi.Row
	if len(r.Stacks) == 0 {
		for _, l := range merge(r.Rows, fold{}) {
			rows = append(rows, l.Row)
		}
		return rows
	}
	rows = slices.Clone(r.Rows)
	slices.SortFunc(rows, compareRows)
	known := remedies{}
	for i := range rows {
		rows[i].Remedy = known.of(&rows[i])
	}
	return rows
}

func (r *Report) jsonRow(row *ipi.Row) JSONRow {
	return JSONRow{
		CPU: row.CPU, Kind: row.Kind, Cause: row.Cause, IPIs: row.IPIs, Queued: row.Queued,
		PID: row.Sender.PID, Comm: row.Sender.Comm, Origin: originText(&row.Origin), Remedy: row.Remedy,
		TID: row.Sender.TID, Thread: row.Sender.Thread, Cgroup: row.Sender.Cgroup, Container: Container(row.Sender.Cgroup),
		Syscall: row.Origin.Syscall, Detail: row.Origin.Detail, Path: row.Origin.Path, Via: row.Origin.Via,
		CostNS: row.CostNS, IPIsPerSec: perSecond(row.IPIs, r.Duration), Stack: r.Stacks[row.StackID],
	}
}

// WriteJSON writes the report as one object, see [JSON]. What would do something to a terminal
// is escaped.
func (r *Report) WriteJSON(w io.Writer) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r.JSON()); err != nil {
		return err
	}
	_, err := w.Write(escapeJSON(b.Bytes()))
	return err
}

// escapeJSON escapes what encoding/json leaves as it is: DEL, C1 and format characters, marks.
// They can only be in strings.
func escapeJSON(text []byte) []byte {
	harmless := func(r rune) bool { return r == '\n' || printable(r) }
	if bytes.IndexFunc(text, func(r rune) bool { return !harmless(r) }) < 0 {
		return text
	}
	escaped := make([]byte, 0, len(text)+len(text)/8)
	for _, r := range string(text) {
		switch {
		case harmless(r):
			escaped = utf8.AppendRune(escaped, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		}
	}
	return escaped
}

// oneLine takes the line breaks out of a text of the table.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
