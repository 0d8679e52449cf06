package ipinames

import (
	"fmt"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/remedy"
)

// Names names functions and finds remedies.
type Names struct {
	readTable func() (*kallsyms.Table, error)
	table     *kallsyms.Table
	reads     int             // how often the table was read
	unknown   map[uint64]bool // addresses for which it was read in vain
	words     []string
	tells     map[string]bool
	remedies  map[ipi.Key]string
}

// New returns names by the table of the running kernel.
func New() *Names { return From(kallsyms.Read) }

// From returns names by the table that read returns. It is read when it is first needed, and
// again now and then for functions that are not in it.
func From(read func() (*kallsyms.Table, error)) *Names {
	n := &Names{readTable: read, unknown: make(map[uint64]bool), tells: make(map[string]bool), remedies: make(map[ipi.Key]string)}
	if table, err := remedy.Builtin(); err == nil { // a test of that package keeps it whole
		n.words = table.Details()
	}
	return n
}

// readsMax bounds how often the table is read for functions that are not there, as those of
// a module that was loaded later. For each address it is read once.
const readsMax = 8

func (n *Names) read() {
	n.reads++
	if t, err := n.readTable(); err == nil {
		n.table = t
	} else {
		n.reads = readsMax
	}
}

// Table returns the table, nil if there is none.
func (n *Names) Table() *kallsyms.Table {
	if n.table == nil && n.reads < readsMax {
		n.read()
	}
	return n.table
}

// Function names the function at an address; "" at 0.
func (n *Names) Function(addr uint64) string {
	if addr == 0 {
		return ""
	}
	return n.find(addr, addr, (*kallsyms.Table).At)
}

// ReturnsTo names the function that a return address is in.
func (n *Names) ReturnsTo(addr uint64) string {
	return n.find(addr, addr-1, (*kallsyms.Table).Around)
}

// find looks an address up, and if it is not there reads the table again.
func (n *Names) find(shown, addr uint64, in func(*kallsyms.Table, uint64) (string, bool)) string {
	name, ok := in(n.Table(), addr)
	if !ok && n.reads < readsMax && !n.unknown[addr] {
		n.read()
		n.unknown[addr] = true
		name, ok = in(n.table, addr)
	}
	if !ok {
		return fmt.Sprintf("%#x", shown)
	}
	return name
}

// Address returns where a function begins, 0 if that is not known.
func (n *Names) Address(function string) uint64 {
	if found := n.Table().Named(function); found != nil {
		return found[0]
	}
	return 0
}

// Telling reports whether a remedy looks for a function in the details of an origin.
func (n *Names) Telling(function string) bool {
	is, ok := n.tells[function]
	if ok {
		return is
	}
	for _, w := range n.words {
		is = is || ipifilter.GlobMatch(w, function)
	}
	n.tells[function] = is
	return is
}

// Remedy names the remedy for a row, "" for none. Neither CPU nor stack matters.
func (n *Names) Remedy(k ipi.Key) string {
	k.StackID, k.CPU = -1, 0
	name, ok := n.remedies[k]
	if !ok {
		e, _ := remedy.Lookup(k)
		name = e.Name
		n.remedies[k] = name
	}
	return name
}
