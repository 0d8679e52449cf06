package trace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// endOf returns a function that tells whether the processes have all ended; nil if there is none.
func endOf(tgids []int32) func() bool {
	if len(tgids) == 0 {
		return nil
	}
	return endIn("/proc", tgids)
}

func endIn(proc string, tgids []int32) func() bool {
	began := map[int32]string{}
	for _, tgid := range tgids {
		if start, runs := life(proc, tgid); runs {
			began[tgid] = start
		}
	}
	return func() bool {
		for tgid, start := range began {
			now, runs := life(proc, tgid)
			if runs && (now == start || now == "" || start == "") {
				return false
			}
			delete(began, tgid) // its number may come again
		}
		return true
	}
}

// life returns when a process started, which tells it from one that has its number later, and
// whether it runs (proc_pid_stat(5)). One that nobody has waited for yet does not; one whose first
// thread alone has ended does. What cannot be read is taken for running.
func life(proc string, tgid int32) (start string, runs bool) {
	b, err := os.ReadFile(fmt.Sprintf("%s/%d/stat", proc, tgid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", false
	}
	// The name in parentheses can hold anything; behind it come fields 3 to 52.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	const state, threads, starttime = 0, 17, 19 // fields 3, 20 and 22
	if err != nil || len(fields) <= starttime {
		return "", true
	}
	n, err := strconv.Atoi(fields[threads])
	ended := err == nil && n <= 1 && strings.Contains("ZXx", fields[state])
	return fields[starttime], !ended
}
