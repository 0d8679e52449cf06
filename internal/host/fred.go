package host

import (
	"os"
	"strings"
	"sync"
)

// FRED reports whether the kernel uses the CPU's FRED instructions to enter and leave
// (flag fred of /proc/cpuinfo). Then the way back from an interrupt is no IRET.
var FRED = sync.OnceValue(func() bool {
	b, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && hasFlag(string(b), "fred")
})

// hasFlag looks at the flags of the first CPU.
func hasFlag(cpuinfo, flag string) bool {
	for line := range strings.Lines(cpuinfo) {
		if name, flags, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "flags" {
			for f := range strings.FieldsSeq(flags) {
				if f == flag {
					return true
				}
			}
			return false
		}
	}
	return false
}
