package dyncall

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/quietpatch/quietpatch/internal/host"
	"github.com/quietpatch/quietpatch/internal/learn"
	"github.com/quietpatch/quietpatch/internal/stub"
)

// table is the memory that stubs count into: for each call that is counted a row of
// lines, one for each CPU. It is never given back: a thread that was stopped inside of a
// stub may still add to a line that has been given to another call, which does no harm.
type table struct {
	lines []stub.Line
	cpus  int
	free  []int32 // rows
	rdpid bool
}

// tables are those that no learner uses, kept for the next.
var tables []*table

// newTable returns a table of at least so many rows.
func newTable(rows int) *table {
	for i, t := range tables {
		if t.rows() >= rows {
			tables = append(tables[:i], tables[i+1:]...)
			return t
		}
	}
	t := &table{cpus: cpuLines(), rdpid: host.RDPID()}
	// Aligned to the length of a line, and not moved: the collector moves nothing.
	raw := make([]stub.Line, rows*t.cpus+1)
	skip := -uintptr(unsafe.Pointer(&raw[0])) & (stub.LineSize - 1)
	t.lines = unsafe.Slice((*stub.Line)(unsafe.Add(unsafe.Pointer(&raw[0]), skip)), rows*t.cpus)
	for i := range rows {
		t.free = append(t.free, int32(rows-1-i))
	}
	return t
}

// cpuLines is how many lines a row has: more CPUs than that share them.
func cpuLines() int {
	n, err := host.CPUs()
	if err != nil {
		n = 64 // they may share lines, and lose counts
	}
	return min(1<<bits.Len(uint(n-1)), stub.MaxCPUs)
}

func (t *table) rows() int { return len(t.lines) / t.cpus }

// take returns a row, cleared.
func (t *table) take() int32 {
	r := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.clear(r, -1)
	return r
}

func (t *table) give(row int32) { t.free = append(t.free, row) }

func (t *table) row(r int32) []stub.Line { return t.lines[int(r)*t.cpus:][:t.cpus] }

// count describes the row to a stub.
func (t *table) count(r int32) *stub.Count {
	return &stub.Count{
		Table: uint64(uintptr(unsafe.Pointer(&t.row(r)[0]))), CPUs: uint32(t.cpus), RDPID: t.rdpid,
	}
}

// read copies a row. Stubs go on counting meanwhile.
func (t *table) read(r int32, to []learn.Line) []learn.Line {
	to = to[:0]
	for i := range t.row(r) {
		from := &t.row(r)[i]
		var l learn.Line
		for j := range from.Target {
			l.Target[j] = atomic.LoadUint64(&from.Target[j])
			l.Miss[j] = atomic.LoadUint32(&from.Miss[j])
		}
		l.CatchAll = atomic.LoadUint32(&from.CatchAll)
		for j := range from.Hit {
			l.Hit[j] = atomic.LoadUint32(&from.Hit[j])
		}
		to = append(to, l)
	}
	return to
}

// clear zeroes the line of a CPU, or all lines of the row if cpu is negative. Counts
// before targets: a slot that looks free has no count of another's.
func (t *table) clear(r int32, cpu int) {
	row := t.row(r)
	for i := range row {
		if cpu >= 0 && i != cpu {
			continue
		}
		l := &row[i]
		for j := range l.Miss {
			atomic.StoreUint32(&l.Miss[j], 0)
			atomic.StoreUint64(&l.Target[j], 0)
		}
		atomic.StoreUint32(&l.CatchAll, 0)
		for j := range l.Hit {
			atomic.StoreUint32(&l.Hit[j], 0)
		}
	}
}
