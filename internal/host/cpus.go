package host

import (
	"fmt"
	"os"
	"strconv"
	"strings"
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
	return parsePossible(strings.TrimSpace(string(b)))
}

// parsePossible reads a list of ranges, such as 0-3,8, of which the last number is
// the highest.
func parsePossible(list string) (int, error) {
	last := list[strings.LastIndexAny(list, ",-")+1:]
	n, err := strconv.Atoi(last)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s: expected a list of CPUs such as 0-3, found %q", possibleFile, list)
	}
	return n + 1, nil
}
