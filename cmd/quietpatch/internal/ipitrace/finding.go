package ipitrace

import (
	"fmt"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// Finding is one means that a backend uses, and whether it is there.
type Finding struct {
	Name   string
	OK     bool
	Needed bool   // without it the backend does not work at all
	Why    string // it is not there, or how it is
	Lost   string // what a report lacks without it
}

// FoundSymbols is the finding of who has read the kernel's functions.
func FoundSymbols(table *kallsyms.Table, err error) Finding {
	f := Finding{Name: kallsyms.File, OK: err == nil, Lost: "names of functions, and the kind tlb"}
	if err != nil {
		f.Why = err.Error()
	} else {
		f.Why = fmt.Sprintf("%d functions", table.Len())
	}
	return f
}
