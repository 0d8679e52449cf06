package ipireport

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

const (
	// rowsMax bounds what a collector holds: a tracer that runs for weeks meets many processes.
	rowsMax = 200_000
	// slicesMax bounds the timeline; two neighbours become one when there are more.
	slicesMax = 256
	// lanesMax bounds what all slices have: CPUs and kinds that got IPIs in each.
	lanesMax = 1 << 20
	// stacksMax bounds the stacks that are remembered.
	stacksMax = 100_000
)

// Collector adds up snapshots. Rows that a backend has dropped since, to make room for others,
// keep their counts. Its methods may be called at the same time.
type Collector struct {
	mu       sync.Mutex
	meta     Meta
	diff     differ
	rows     map[ipi.Key]*ipi.Row
	now      time.Duration
	lost     uint64
	selfIPIs uint64
	stacks   map[int32][]string
	slices   []Slice
	sliced   time.Duration // length that a slice should have
	stepped  time.Duration // length of the last step
	folded   uint64
	broken   string
	offline  ipi.CPUs
	ended    time.Duration
	rowsMax  int
	lanesMax int
	// interrupted has as many rows as rows has, at most.
	interrupted map[interruptedKey]*ipi.Interrupted
}

// NewCollector returns one that has seen nothing.
func NewCollector(meta Meta) *Collector {
	return &Collector{
		meta: meta, rows: map[ipi.Key]*ipi.Row{}, stacks: map[int32][]string{}, rowsMax: rowsMax, lanesMax: lanesMax,
		interrupted: map[interruptedKey]*ipi.Interrupted{},
	}
}

// Note adds a note to the report, unless it has it already.
func (c *Collector) Note(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.meta.Notes, text) {
		c.meta.Notes = append(slices.Clip(c.meta.Notes), text)
	}
}

// Add takes the next snapshot, and returns what has happened since the one before.
func (c *Collector) Add(s ipi.Snapshot) Step { return c.AddEnded(s, false) }

// AddEnded is Add, and says whether the processes of Meta.PIDs had all ended before the snapshot.
func (c *Collector) AddEnded(s ipi.Snapshot, ended bool) Step {
	c.mu.Lock()
	defer c.mu.Unlock()
	step := c.diff.step(s)
	step.Ended = ended
	c.addStep(step)
	return step
}

// Report returns all that is known now. Reports may share what no longer changes: they are for reading.
func (c *Collector) Report() *Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &Report{
		Meta: c.meta, Duration: c.now, Lost: c.lost, SelfIPIs: c.selfIPIs,
		Rows: make([]ipi.Row, 0, len(c.rows)), Stacks: maps.Clone(c.stacks),
		Folded: c.folded, Incomplete: c.broken, Offline: c.offline, Ended: c.ended,
	}
	r.Meta.Notes, r.Meta.Blind, r.Meta.PIDs = slices.Clone(c.meta.Notes), slices.Clone(c.meta.Blind), slices.Clone(c.meta.PIDs)
	if r.Incomplete == "" {
		r.Incomplete = r.short()
	}
	for _, row := range c.rows {
		r.Rows = append(r.Rows, *row)
	}
	for _, x := range c.interrupted {
		r.Interrupted = append(r.Interrupted, *x)
	}
	r.Timeline = slices.Clone(c.slices)
	if n := len(r.Timeline); n > 0 { // only the last one changes, see addSlice
		r.Timeline[n-1].IPIs = maps.Clone(r.Timeline[n-1].IPIs)
	}
	return r
}

// Step is what has happened between two snapshots.
type Step struct {
	From, To time.Duration
	Rows     []ipi.Row // only those that have changed, with what was added
	Lost     uint64
	SelfIPIs uint64
	Stacks   map[int32][]string // not seen before
	Offline  ipi.CPUs           // victims that did not run at its end
	Ended    bool               // the processes that are watched had all ended

	Interrupted []ipi.Interrupted // only those that have changed, with what was added
}

// differ makes steps of snapshots.
type differ struct {
	at       time.Duration
	last     map[ipi.Key]counts
	lost     uint64
	selfIPIs uint64
	stacks   map[int32]struct{}

	interrupted map[interruptedKey]runs
}

type counts struct{ ipis, queued, cost uint64 }

// told returns what steps have told of a row before, since it last came. A row of which a count
// has gone down was dropped and came again; costs may be estimates, which can go down alone.
func (d *differ) told(k ipi.Key, now counts) counts {
	was := d.last[k]
	if now.ipis < was.ipis || now.queued < was.queued {
		return counts{}
	}
	return was
}

// step compares with the snapshot before.
func (d *differ) step(s ipi.Snapshot) Step {
	st := Step{
		From: d.at, To: max(s.At, d.at),
		Lost: since(d.lost, s.Lost), SelfIPIs: since(d.selfIPIs, s.SelfIPIs), Offline: s.Offline,
	}
	now := make(map[ipi.Key]counts, len(s.Rows))
	remedies := make(map[ipi.Key]string)
	for _, r := range s.Rows {
		n := now[r.Key]
		now[r.Key] = counts{plus(n.ipis, r.IPIs), plus(n.queued, r.Queued), plus(n.cost, r.CostNS)}
		if r.Remedy != "" {
			remedies[r.Key] = r.Remedy
		}
	}
	shares := costsOf(now, d.told)
	for k, n := range now {
		was := d.told(k, n)
		n.cost = was.cost + shares.grant(k.CPU, was.cost, n.cost)
		now[k] = n
		if n == was {
			continue
		}
		st.Rows = append(st.Rows, ipi.Row{
			Key: k, IPIs: n.ipis - was.ipis, Queued: n.queued - was.queued, CostNS: n.cost - was.cost, Remedy: remedies[k],
		})
	}
	slices.SortFunc(st.Rows, compareRows)
	st.Stacks = d.newStacks(s.Stacks)
	st.Interrupted = d.newInterrupted(s.Interrupted)
	d.at, d.last, d.lost, d.selfIPIs = st.To, now, s.Lost, s.SelfIPIs
	return st
}

func since(was, is uint64) uint64 {
	if is < was {
		return is
	}
	return is - was
}

func (d *differ) newStacks(stacks map[int32][]string) map[int32][]string {
	var list map[int32][]string
	for id, frames := range stacks {
		if _, ok := d.stacks[id]; ok {
			continue
		}
		if d.stacks == nil {
			d.stacks = map[int32]struct{}{}
		}
		if list == nil {
			list = map[int32][]string{}
		}
		d.stacks[id] = struct{}{}
		list[id] = frames
	}
	return list
}

// addStep adds what has happened. The caller holds the lock.
func (c *Collector) addStep(s Step) {
	c.now = max(c.now, s.To)
	increase(&c.lost, s.Lost)
	increase(&c.selfIPIs, s.SelfIPIs)
	c.offline = c.offline.Or(s.Offline)
	if s.Ended && c.ended == 0 {
		c.ended = max(c.now, 1) // 0 is never
	}
	for id, frames := range s.Stacks {
		if len(c.stacks) < stacksMax {
			c.stacks[id] = frames
		}
	}
	lanes := map[Lane]uint64{}
	for _, r := range s.Rows {
		c.addRow(r)
		if r.IPIs > 0 {
			lane := Lane{r.CPU, r.Kind}
			lanes[lane] = plus(lanes[lane], r.IPIs)
		}
	}
	for i := range s.Interrupted {
		c.addInterrupted(s.Interrupted[i])
	}
	c.addSlice(Slice{From: s.From, To: s.To, IPIs: lanes})
}

func (c *Collector) addRow(r ipi.Row) {
	sum, ok := c.rows[r.Key]
	if !ok && len(c.rows) >= c.rowsMax {
		c.folded++
		r.Key = ipi.Key{CPU: r.CPU, Kind: r.Kind, Cause: r.Cause, StackID: -1}
		if sum, ok = c.rows[r.Key]; !ok && len(c.rows) >= 2*c.rowsMax {
			r.Cause = "" // names of functions are few, but files can hold anything
			sum, ok = c.rows[r.Key]
		}
	}
	if !ok {
		c.rows[r.Key] = &r
		return
	}
	increase(&sum.IPIs, r.IPIs)
	increase(&sum.Queued, r.Queued)
	increase(&sum.CostNS, r.CostNS)
	if sum.Remedy == "" {
		sum.Remedy = r.Remedy
	}
}

// addSlice appends to the timeline. Steps that are shorter than its slices go into the last, and
// so does the rest of a step with which a run ends: its rate would mean little.
func (c *Collector) addSlice(s Slice) {
	const rest = 4
	isRest := rest*(s.To-s.From) < c.stepped
	c.stepped = s.To - s.From
	if n := len(c.slices); n > 0 && (isRest || s.To <= s.From || s.To-c.slices[n-1].From <= c.sliced) {
		c.slices[n-1].join(s)
		return
	}
	c.slices = append(c.slices, s)
	lanes := 0
	for i := range c.slices {
		lanes += len(c.slices[i].IPIs)
	}
	if len(c.slices) <= slicesMax && lanes <= c.lanesMax {
		return
	}
	half := make([]Slice, 0, slicesMax)
	for i := 0; i < len(c.slices); i += 2 {
		one := c.slices[i]
		if i+1 < len(c.slices) {
			one.IPIs = maps.Clone(one.IPIs) // a report may have it
			one.join(c.slices[i+1])
		}
		c.sliced = max(c.sliced, one.To-one.From)
		half = append(half, one)
	}
	c.slices = half
}

func (s *Slice) join(t Slice) {
	s.To = max(s.To, t.To)
	for lane, n := range t.IPIs {
		s.IPIs[lane] = plus(s.IPIs[lane], n)
	}
}
