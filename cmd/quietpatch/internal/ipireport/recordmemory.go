package ipireport

import (
	"fmt"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
)

// Records are anybody's, and small files can be packed with much. These bound what reading one
// takes; a collector bounds its rows by itself.
const (
	recordHeadMax  = 1 << 20   // bytes of the first line
	recordLineMax  = 32 << 20  // bytes of the others
	recordItemsMax = 1 << 17   // rows, stacks and threads of a line
	recordPartsMax = 1 << 21   // their fields and frames
	snapshotMax    = 1 << 18   // rows of a snapshot, and threads
	namesMax       = 128 << 20 // bytes of names and stacks, all in all
)

// recordLimits are those that tests make smaller.
type recordLimits struct {
	rows  int // as snapshotMax
	names int // as namesMax
}

// names has each name of a record once: most come again in each snapshot.
type names struct {
	all  map[string]string
	held int // bytes, about
	next int // bytes from which on it is time to see what is still needed
	max  int
}

func newNames(most int) names { return names{all: map[string]string{}, next: most, max: most} }

const (
	nameOverhead  = 64 // of a map's entry, and of the allocation
	frameOverhead = 16 // of a string's header
)

func (n *names) keep(s *string) {
	if *s == "" {
		return
	}
	if known, ok := n.all[*s]; ok {
		*s = known
		return
	}
	n.all[*s] = *s
	n.held += len(*s) + nameOverhead
}

func (n *names) keepRow(r *ipi.Row) {
	s, o := &r.Sender, &r.Origin
	for _, x := range []*string{&r.Cause, &s.Comm, &s.Thread, &s.Cgroup, &o.Syscall, &o.Detail, &o.Path, &o.Via, &r.Remedy} {
		n.keep(x)
	}
}

func (n *names) keepStack(frames []string) {
	n.held += nameOverhead + frameOverhead*len(frames)
	for i := range frames {
		n.keep(&frames[i])
	}
}

func (n *names) keepThread(x *ipi.Interrupted) {
	for _, s := range []*string{&x.Cause, &x.Comm, &x.Thread} {
		n.keep(s)
	}
}

// keepStep keeps the names of a snapshot that is not whole yet.
func (n *names) keepStep(s *Step) {
	for i := range s.Rows {
		n.keepRow(&s.Rows[i])
	}
	for _, frames := range s.Stacks {
		n.keepStack(frames)
	}
	for i := range s.Interrupted {
		n.keepThread(&s.Interrupted[i])
	}
}

// bound forgets names that nobody needs any more, if there are many, and fails if there are too
// many even so.
func (n *names) bound(c *Collector, open *Step) error {
	if n.held <= n.next {
		return nil
	}
	*n = newNames(n.max)
	for _, r := range c.rows {
		row := *r // names that its key has, too, so that nothing is gained by a change of it
		n.keepRow(&row)
	}
	for _, frames := range c.stacks {
		n.keepStack(frames)
	}
	for _, x := range c.interrupted {
		thread := *x
		n.keepThread(&thread)
	}
	if open != nil {
		n.keepStep(open)
	}
	if n.held > n.max {
		return fmt.Errorf("expected at most %d bytes of names and stacks, found %d", n.max, n.held)
	}
	const quarter = 4
	n.next = max(n.max, n.held+n.max/quarter) // not again for each line
	return nil
}

// boundItems fails if a line has more in it than it should: it would be large when it is decoded, as
// an empty row takes three bytes of the file. The line need not be valid JSON.
func boundItems(line []byte) error {
	const items, parts = 2, 3 // the depth of their commas
	var commas [parts + 1]int
	depth, quoted := 0, false
	for i := 0; i < len(line); i++ {
		switch b := line[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			depth++
		case b == '}' || b == ']':
			depth--
		case b == ',' && depth > 0:
			commas[min(depth, parts)]++
		}
	}
	if commas[items] >= recordItemsMax {
		return fmt.Errorf("expected fewer than %d rows, stacks and threads in a line", recordItemsMax)
	}
	if commas[parts] >= recordPartsMax {
		return fmt.Errorf("expected fewer than %d fields and frames in a line", recordPartsMax)
	}
	return nil
}
