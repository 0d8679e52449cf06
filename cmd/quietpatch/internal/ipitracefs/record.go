package ipitracefs

import (
	"encoding/binary"
	"fmt"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// what says which event a record is of, as far as the counting sees a difference.
type what uint8

const (
	sendOne what = iota
	sendMany
	queued
	enters // an interrupt of the record's kind begins on a victim
	leaves
	callRuns
	workQueued
	workStarts
	workEnds
	softirqStarts
	timerEnters
	timerLeaves
	taskNew
	taskRenamed
	taskEnds
	stackOf // of the record before, of the same thread
	marker
	gap // events are missing
)

// record is one event, as the counting needs it.
type record struct {
	ts    uint64 // CLOCK_MONOTONIC
	cpu   int    // that it happened on
	what  what
	kind  ipi.Kind // of enters and leaves
	flags uint8
	pid   int32 // of the thread that the CPU had
	// target is the CPU that is interrupted, the thread that a task event is about, or the number
	// of the softirq.
	target int
	addr   uint64 // callback, function to run, or function of a work item
	work   uint64 // address of the work item, or flags of clone
	mask   ipi.CPUs
	comm   string
	stack  []uint64
}

// Bits of common_flags (include/linux/trace_events.h, enum trace_flag_type).
const (
	flagHardirq = 0x08
	flagSoftirq = 0x10
	flagNMI     = 0x40
)

// level says what interrupts what.
type level uint8

const (
	inThread level = iota
	inSoftirq
	inIRQ
	levels
)

func (r *record) level() level {
	switch {
	case r.flags&(flagHardirq|flagNMI) != 0:
		return inIRQ
	case r.flags&flagSoftirq != 0:
		return inSoftirq
	}
	return inThread
}

// decoder turns the bytes of records into records.
type decoder struct {
	common struct{ typ, flags, pid field }
	events map[uint16]decode
}

// decode reads what is special to an event.
type decode func(r *record, b []byte)

func newDecoder() *decoder { return &decoder{events: make(map[uint16]decode)} }

// add takes an event with what its file "format" says.
func (d *decoder) add(e *event, text []byte) error {
	f, err := parseFormat(text)
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	for name, c := range map[string]*field{"common_type": &d.common.typ, "common_flags": &d.common.flags, "common_pid": &d.common.pid} {
		if *c, err = f.field(name, 1, 2, 4); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	if d.events[f.id], err = e.decoder(f); err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	return nil
}

// record decodes one; ok is false for other events.
func (d *decoder) record(ts uint64, cpu int, b []byte) (r record, ok bool) {
	decode, ok := d.events[uint16(d.common.typ.uint(b))]
	if !ok {
		return record{}, false
	}
	r = record{ts: ts, cpu: cpu, flags: uint8(d.common.flags.uint(b)), pid: int32(d.common.pid.uint(b))}
	decode(&r, b)
	return r, true
}

// decoder makes the function that reads the fields of an event.
func (e *event) decoder(f format) (decode, error) {
	var fields [3]field
	for i, name := range e.fields {
		var err error
		if fields[i], err = f.field(name, e.sizes(i)...); err != nil {
			return nil, err
		}
	}
	what, kind := e.what, e.kind
	return func(r *record, b []byte) {
		r.what, r.kind = what, kind
		switch what {
		case sendOne, queued:
			r.target, r.addr = int(uint32(fields[0].uint(b))), fields[1].uint(b)
		case sendMany:
			r.mask, r.addr = cpuSet(fields[0].dynamic(b)), fields[1].uint(b)
		case callRuns:
			r.addr = fields[0].uint(b)
		case workQueued, workStarts:
			r.work, r.addr = fields[0].uint(b), fields[1].uint(b)
		case softirqStarts:
			r.target = int(uint32(fields[0].uint(b)))
		case taskNew:
			r.target, r.comm, r.work = int(int32(fields[0].uint(b))), fields[1].text(b), fields[2].uint(b)
		case taskRenamed, taskEnds:
			r.target, r.comm = int(int32(fields[0].uint(b))), fields[1].text(b)
		case stackOf:
			r.stack = addresses(b[min(fields[1].offset, len(b)):], fields[0].uint(b))
		}
	}, nil
}

// sizes are those that a field can have.
func (e *event) sizes(i int) []int {
	switch e.fields[i] {
	case "comm", "newcomm", "oldcomm":
		return []int{16}
	case "caller": // as long as the stack is; some kernels write 0 here
		return []int{0, 8, 64}
	case "cpu", "cpumask", "vec", "pid", "size":
		return []int{4}
	}
	return []int{8}
}

// cpuSet reads the words of a struct cpumask. Their number is what is in the record.
func cpuSet(b []byte) ipi.CPUs {
	var set ipi.CPUs
	for i := 0; i+8 <= len(b) && i < ipi.CPUsMax/8; i += 8 {
		set = append(set, binary.LittleEndian.Uint64(b[i:]))
	}
	for len(set) > 0 && set[len(set)-1] == 0 {
		set = set[:len(set)-1]
	}
	return set
}

// addresses reads a stack: there can be room for more in the record than the stack has.
func addresses(b []byte, n uint64) []uint64 {
	n = min(n, uint64(len(b)/8))
	stack := make([]uint64, 0, n)
	for ; n > 0; n-- {
		if a := binary.LittleEndian.Uint64(b); a != 0 && a != ^uint64(0) {
			stack = append(stack, a)
		}
		b = b[8:]
	}
	return stack
}

// collector decodes the pages of one CPU, and gives stacks to the records that they are of.
type collector struct {
	decoder *decoder
	cpu     int
	records []record
	first   int         // where those of this CPU begin
	last    [levels]int // one more than the last record of each level
}

// page decodes a page and returns the time of its last record.
func (c *collector) page(l layout, b []byte) (last uint64, err error) {
	p, err := l.page(b)
	if p.missed {
		c.records = append(c.records, record{ts: p.start, cpu: c.cpu, what: gap})
		c.last = [levels]int{}
	}
	if err != nil {
		return 0, err
	}
	err = p.each(func(ts uint64, raw []byte) {
		last = ts
		if r, ok := c.decoder.record(ts, c.cpu, raw); ok {
			c.take(r)
		}
	})
	return last, err
}

func (c *collector) take(r record) {
	level := r.level()
	if r.what != stackOf {
		c.records = append(c.records, r)
		c.last[level] = len(c.records)
		return
	}
	if i := c.last[level] - 1; i >= c.first && c.records[i].pid == r.pid && c.records[i].stack == nil {
		c.records[i].stack = r.stack
	}
}
