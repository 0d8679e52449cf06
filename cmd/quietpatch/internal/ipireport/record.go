package ipireport

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// A record is gzip'ed lines of JSON. The first is a recordHead, each that follows a
// recordLine: part of what happened between two snapshots, or the end. Version 1 may get
// more fields, which readers pass over; what would be misread without them gets a new version.
const (
	recordFormat  = "quietpatch-trace"
	recordVersion = 1
	recordRows    = 1000 // and as many stacks and threads of a line, when written
)

type recordHead struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Meta    Meta   `json:"meta"`
}

// recordLine holds differences to the snapshot before. A snapshot with many rows has many
// lines, all but the last with More; it counts only if all are there.
type recordLine struct {
	AtNS     int64              `json:"at_ns"` // since the start
	Lost     uint64             `json:"lost,omitempty"`
	SelfIPIs uint64             `json:"self_ipis,omitempty"`
	Rows     []recordRow        `json:"rows,omitempty"`
	Stacks   map[int32][]string `json:"stacks,omitempty"`
	More     bool               `json:"more,omitempty"`
	End      bool               `json:"end,omitempty"` // the last line; without it the file is cut off

	Interrupted []recordInterrupted `json:"interrupted,omitempty"` // since the first release that has it
	Offline     string              `json:"offline,omitempty"`     // list of CPUs
	Ended       bool                `json:"ended,omitempty"`       // the processes of the head had all ended
}

type recordRow struct {
	CPU     int      `json:"cpu"`
	Kind    ipi.Kind `json:"kind"`
	Cause   string   `json:"cause,omitempty"`
	PID     int      `json:"pid,omitempty"`
	TID     int      `json:"tid,omitempty"`
	Comm    string   `json:"comm,omitempty"`
	Thread  string   `json:"thread,omitempty"`
	Cgroup  string   `json:"cgroup,omitempty"`
	Syscall string   `json:"syscall,omitempty"`
	Detail  string   `json:"detail,omitempty"`
	Path    string   `json:"path,omitempty"`
	Via     string   `json:"via,omitempty"`
	Stack   *int32   `json:"stack,omitempty"`
	IPIs    uint64   `json:"ipis,omitempty"`
	Queued  uint64   `json:"queued,omitempty"`
	CostNS  uint64   `json:"cost_ns,omitempty"`
	Remedy  string   `json:"remedy,omitempty"`
}

func recordRowOf(r *ipi.Row) recordRow {
	s, o := &r.Sender, &r.Origin
	x := recordRow{
		CPU: r.CPU, Kind: r.Kind, Cause: r.Cause, PID: s.PID, TID: s.TID, Comm: s.Comm, Thread: s.Thread, Cgroup: s.Cgroup,
		Syscall: o.Syscall, Detail: o.Detail, Path: o.Path, Via: o.Via, IPIs: r.IPIs, Queued: r.Queued, CostNS: r.CostNS, Remedy: r.Remedy,
	}
	if r.StackID >= 0 {
		x.Stack = &r.StackID
	}
	return x
}

// recordInterrupted has the fields of [ipi.Interrupted].
type recordInterrupted struct {
	CPU    int      `json:"cpu"`
	Kind   ipi.Kind `json:"kind"`
	Cause  string   `json:"cause,omitempty"`
	PID    int      `json:"pid,omitempty"`
	TID    int      `json:"tid,omitempty"`
	Comm   string   `json:"comm,omitempty"`
	Thread string   `json:"thread,omitempty"`
	Runs   uint64   `json:"runs"`
	CostNS uint64   `json:"cost_ns,omitempty"`
}

// victim checks what reports rely on: CPUs that can exist, and kinds that are known.
func victim(cpu int, kind ipi.Kind) (ipi.Kind, error) {
	if cpu < 0 || cpu >= ipi.CPUsMax {
		return "", fmt.Errorf("expected a CPU from 0 to %d, found %d", ipi.CPUsMax-1, cpu)
	}
	for _, k := range ipi.Kinds() {
		if k == kind {
			return k, nil
		}
	}
	return ipi.Other, nil // of a newer version
}

func (x *recordRow) row() (ipi.Row, error) {
	kind, err := victim(x.CPU, x.Kind)
	if err != nil {
		return ipi.Row{}, err
	}
	r := ipi.Row{
		Key: ipi.Key{
			CPU: x.CPU, Kind: kind, Cause: x.Cause, StackID: -1,
			Sender: ipi.Sender{PID: x.PID, TID: x.TID, Comm: x.Comm, Thread: x.Thread, Cgroup: x.Cgroup},
			Origin: ipi.Origin{Syscall: x.Syscall, Detail: x.Detail, Path: x.Path, Via: x.Via},
		},
		IPIs: x.IPIs, Queued: x.Queued, CostNS: x.CostNS, Remedy: x.Remedy,
	}
	if x.Stack != nil {
		r.StackID = max(*x.Stack, -1)
	}
	return r, nil
}

// Recorder writes a record.
type Recorder struct {
	zip  *gzip.Writer
	json *json.Encoder
	at   time.Duration
}

// NewRecorder begins a record.
func NewRecorder(w io.Writer, meta Meta) (*Recorder, error) {
	z := gzip.NewWriter(w)
	r := &Recorder{zip: z, json: json.NewEncoder(z)}
	r.json.SetEscapeHTML(false)
	if err := r.json.Encode(recordHead{recordFormat, recordVersion, meta}); err != nil {
		return nil, err
	}
	return r, z.Flush()
}

// Write appends what a step of a collector has brought. It is in the file when Write returns,
// so that a run that is killed loses no more than the step after it.
func (r *Recorder) Write(s Step) error {
	r.at = s.To
	l := recordLine{Lost: s.Lost, SelfIPIs: s.SelfIPIs, Offline: s.Offline.String(), Ended: s.Ended}
	rows, stacks, interrupted := s.Rows, slices.Sorted(maps.Keys(s.Stacks)), s.Interrupted
	for {
		l.AtNS = int64(s.To)
		l.Rows = make([]recordRow, 0, min(len(rows), recordRows))
		for i := range rows[:cap(l.Rows)] {
			l.Rows = append(l.Rows, recordRowOf(&rows[i]))
		}
		rows = rows[len(l.Rows):]
		l.Stacks = map[int32][]string{}
		for _, id := range stacks[:min(len(stacks), recordRows)] {
			l.Stacks[id] = s.Stacks[id]
		}
		stacks = stacks[len(l.Stacks):]
		n := min(len(interrupted), recordRows)
		for i := range interrupted[:n] {
			l.Interrupted = append(l.Interrupted, recordInterrupted(interrupted[i]))
		}
		interrupted = interrupted[n:]
		l.More = len(rows)+len(stacks)+len(interrupted) > 0
		if err := r.json.Encode(l); err != nil {
			return err
		}
		if !l.More {
			return r.zip.Flush()
		}
		l = recordLine{}
	}
}

// Close writes the end of the record. It does not close the file.
func (r *Recorder) Close() error {
	if err := r.json.Encode(recordLine{AtNS: int64(r.at), End: true}); err != nil {
		return err
	}
	return r.zip.Close()
}

// RecordError says where a record cannot be read further.
type RecordError struct {
	Line      int           // counted from 1, the head
	Snapshots int           // that were read
	At        time.Duration // of the last of them
	Err       error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("record, line %d: %v; read before that: %s, up to %s", e.Line, e.Err, plural(e.Snapshots, "snapshot"), span(e.At))
}

func (e *RecordError) Unwrap() error { return e.Err }

// ErrTruncated is in the error of a record that was not closed, or not copied to its end.
var ErrTruncated = errors.New("the file ends before the record does: the run was killed, or goes on, or the file was cut off")

// ReadRecord reads a record. If it is damaged or cut off, the collector has what could be read,
// its report says so, and the error is a *[RecordError]. The collector is nil if it is no
// record at all.
func ReadRecord(r io.Reader) (*Collector, error) {
	return readRecord(r, recordLimits{rows: snapshotMax, names: namesMax})
}

func readRecord(r io.Reader, limits recordLimits) (*Collector, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, &RecordError{Line: 1, Err: fmt.Errorf("expected a record of quietpatch trace (gzip), found something else: %w", err)}
	}
	p := recordReader{in: bufio.NewReaderSize(z, 64<<10), max: limits.rows, names: newNames(limits.names)}
	c, err := p.head()
	if err != nil {
		return nil, &RecordError{Line: max(p.line, 1), Err: err}
	}
	for {
		end, err := p.next(c)
		if err != nil {
			e := &RecordError{Line: p.line, Snapshots: p.snapshots, At: c.now, Err: err}
			c.broken = e.Error()
			return c, e
		}
		if end {
			return c, nil
		}
	}
}

type recordReader struct {
	in        *bufio.Reader
	line      int
	snapshots int
	open      *Step // the snapshot of which more lines are to come
	max       int   // rows of a snapshot, and threads
	names     names
}

func (p *recordReader) head() (*Collector, error) {
	var h recordHead
	if err := p.read(&h, recordHeadMax); err != nil {
		return nil, err
	}
	if h.Format != recordFormat {
		return nil, fmt.Errorf("expected a record of format %q, found %q", recordFormat, h.Format)
	}
	if h.Version != recordVersion {
		return nil, fmt.Errorf("expected version %d of the format, found %d; use the quietpatch that wrote it", recordVersion, h.Version)
	}
	return NewCollector(h.Meta), nil
}

// read decodes one line, of so many bytes at most.
func (p *recordReader) read(to any, most int) error {
	p.line++
	var text []byte
	for {
		part, err := p.in.ReadSlice('\n')
		if len(text)+len(part) > most {
			return fmt.Errorf("expected at most %d bytes in a line", most)
		}
		text = append(text, part...)
		if err == nil {
			break
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return ErrTruncated
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("the file is damaged: %w", err)
		}
	}
	if err := boundItems(text); err != nil {
		return err
	}
	if err := json.Unmarshal(bytes.TrimSpace(text), to); err != nil {
		return fmt.Errorf("expected an object of JSON: %w", err)
	}
	return nil
}

// next reads one line, and hands a snapshot that is whole to the collector.
func (p *recordReader) next(c *Collector) (end bool, err error) {
	var l recordLine
	if err := p.read(&l, recordLineMax); err != nil {
		return false, err
	}
	if l.End {
		if p.open != nil {
			return false, errors.New("expected the other rows of the snapshot, found the end of the record")
		}
		return true, p.ended()
	}
	if time.Duration(l.AtNS) < c.now {
		return false, fmt.Errorf("expected a time from %d ns on, found %d", int64(c.now), l.AtNS)
	}
	if p.open == nil {
		p.open = &Step{From: c.now, Stacks: map[int32][]string{}}
	}
	if err := p.add(&l); err != nil {
		return false, err
	}
	if err := p.names.bound(c, p.open); err != nil {
		return false, err
	}
	if !l.More {
		c.addStep(*p.open)
		p.snapshots++
		p.open = nil
	}
	return false, nil
}

// add adds a line to the snapshot that is open.
func (p *recordReader) add(l *recordLine) error {
	s := p.open
	s.To = time.Duration(l.AtNS)
	increase(&s.Lost, l.Lost)
	increase(&s.SelfIPIs, l.SelfIPIs)
	s.Ended = s.Ended || l.Ended
	if l.Offline != "" {
		offline, err := ipi.ParseCPUs(l.Offline, ipi.CPUsMax)
		if err != nil {
			return fmt.Errorf("CPUs that are offline: %w", err)
		}
		s.Offline = s.Offline.Or(offline)
	}
	if len(s.Rows)+len(l.Rows) > p.max {
		return fmt.Errorf("expected at most %d rows in a snapshot", p.max)
	}
	for i := range l.Rows {
		row, err := l.Rows[i].row()
		if err != nil {
			return fmt.Errorf("row %d: %w", i+1, err)
		}
		p.names.keepRow(&row)
		s.Rows = append(s.Rows, row)
	}
	for id, frames := range l.Stacks {
		p.names.keepStack(frames)
		s.Stacks[id] = frames
	}
	if len(s.Interrupted)+len(l.Interrupted) > p.max {
		return fmt.Errorf("expected at most %d interrupted threads in a snapshot", p.max)
	}
	for i := range l.Interrupted {
		x := ipi.Interrupted(l.Interrupted[i])
		var err error
		if x.Kind, err = victim(x.CPU, x.Kind); err != nil {
			return fmt.Errorf("interrupted thread %d: %w", i+1, err)
		}
		p.names.keepThread(&x)
		s.Interrupted = append(s.Interrupted, x)
	}
	return nil
}

// ended reads to the end of the file, where gzip has its checksum.
func (p *recordReader) ended() error {
	switch _, err := p.in.ReadByte(); {
	case err == nil:
		return errors.New("the file is damaged: expected the end behind the last line")
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	default:
		return fmt.Errorf("the file is damaged: %w", err)
	}
}
