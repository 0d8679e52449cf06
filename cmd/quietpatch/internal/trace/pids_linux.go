package trace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// CheckProcesses finds numbers that no process has, or that are those of threads.
func CheckProcesses(pids []int32) error {
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no process %d", pid)
		}
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(status)) {
			if tgid, ok := strings.CutPrefix(line, "Tgid:"); ok && strings.TrimSpace(tgid) != fmt.Sprint(pid) {
				return fmt.Errorf("%d is a thread of process %s; --filter 'pid == %d' is for threads", pid, strings.TrimSpace(tgid), pid)
			}
		}
	}
	return nil
}
