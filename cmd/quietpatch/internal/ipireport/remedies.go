package ipireport

import (
	"slices"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/remedy"
)

// remedies finds those of rows, and remembers them by what rules look at: rows are many, and
// differ mostly in CPUs and processes.
type remedies map[ipi.Key]string

// of returns the name that the row has, or that of the table; "" if there is none.
func (m remedies) of(r *ipi.Row) string {
	if r.Remedy != "" {
		return r.Remedy
	}
	k := r.Key
	k.CPU, k.StackID, k.Origin.Via = 0, -1, ""
	k.Sender = ipi.Sender{Comm: k.Sender.Comm, Thread: k.Sender.Thread}
	name, ok := m[k]
	if !ok {
		if e, found := remedy.Lookup(k); found {
			name = e.Name
		}
		m[k] = name
	}
	return name
}

// entries returns those of the known causes that are wanted.
func entries(want func(*remedy.Entry) bool) []remedy.Entry {
	t, err := remedy.Builtin()
	if err != nil {
		return nil // a test of package remedy keeps the table whole
	}
	return slices.DeleteFunc(t.Entries(), func(e remedy.Entry) bool { return !want(&e) })
}
