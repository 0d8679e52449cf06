package host

import (
	"fmt"
	"os"

	"github.com/quietpatch/quietpatch/internal/cpulist"
)

// possibleFile says which CPUs there may ever be
// (Documentation/ABI/testing/sysfs-devices-system-cpu).
const possibleFile = "/sys/devices/system/cpu/possible"

// CPUs returns a number above that of every CPU there may ever be.
func CPUs() (int, error) {
	b, err := os.ReadFile(possibleFile)
	if err != nil {
		return 0, err
	}
	return parsePossible(string(b))
}

// parsePossible returns one more than the highest CPU of a list.
func parsePossible(list string) (int, error) {
	cpus, err := cpulist.ParseSome(list, cpulist.Max)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", possibleFile, err)
	}
	return cpus[len(cpus)-1] + 1, nil
}
