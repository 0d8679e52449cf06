package callprog

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// cpuTime returns how many nanoseconds all threads of the process have had a CPU.
func cpuTime() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0, fmt.Errorf("read the CPU clock of the process: %w", err)
	}
	return ts.Nano(), nil
}
