package ipitracefs

import (
	"fmt"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipifilter"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/remedy"
)

// names turns addresses into names, and finds remedies.
type names struct {
	symbols  *kallsyms.Table
	read     int // how often the symbols were
	words    []string
	tells    map[string]bool
	remedies map[ipi.Key]string
	readFrom func() (*kallsyms.Table, error)
}

func newNames() *names {
	n := &names{tells: make(map[string]bool), remedies: make(map[ipi.Key]string), readFrom: kallsyms.Read}
	if table, err := remedy.Builtin(); err == nil { // a test of that package keeps it whole
		n.words = table.Details()
	}
	return n
}

// rereads bounds how often the symbols are read again for a function that is not there,
// as one of a module that was loaded later.
const rereads = 4

// function names the function at an address, "" if there is none.
func (n *names) function(addr uint64) string {
	if addr == 0 {
		return ""
	}
	name, ok := n.symbols.At(addr)
	for !ok && n.read < rereads {
		n.load()
		name, ok = n.symbols.At(addr)
	}
	if !ok {
		return fmt.Sprintf("%#x", addr)
	}
	return name
}

// returnsTo names the function that a return address is in.
func (n *names) returnsTo(addr uint64) string {
	if n.symbols == nil && n.read < rereads {
		n.load()
	}
	name, ok := n.symbols.Around(addr - 1)
	if !ok {
		return fmt.Sprintf("%#x", addr)
	}
	return name
}

func (n *names) load() {
	n.read++
	if s, err := n.readFrom(); err == nil {
		n.symbols = s
	} else {
		n.read = rereads
	}
}

// call is the kind of a function call: what the row TLB of /proc/interrupts counts is a
// call of flush_tlb_func (arch/x86/mm/tlb.c).
func call(cause string) ipi.Kind {
	if cause == "flush_tlb_func" {
		return ipi.TLB
	}
	return ipi.Call
}

// telling reports whether a remedy looks for a function.
func (n *names) telling(function string) bool {
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

func (n *names) remedy(k ipi.Key) string {
	k.StackID, k.CPU = -1, 0
	name, ok := n.remedies[k]
	if !ok {
		e, _ := remedy.Lookup(k)
		name = e.Name
		n.remedies[k] = name
	}
	return name
}
