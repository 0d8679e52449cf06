package trace

import (
	"fmt"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/kallsyms"
)

// CheckFunctions finds a name that no function of this kernel has: who asks for it would always
// find nothing. Where names are hidden it finds nothing wrong.
func CheckFunctions(names []string) error {
	if len(names) == 0 {
		return nil
	}
	table, err := kallsyms.Read()
	if err != nil {
		return nil // a trace says what is not known then
	}
	return checkFunctions(table, names)
}

func checkFunctions(table *kallsyms.Table, names []string) error {
	for _, name := range names {
		if !table.Has(name) {
			return fmt.Errorf("no function of this kernel is called %q", name)
		}
	}
	return nil
}
