package affinity

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Avoid moves all threads of this process off some CPUs; threads that it starts later come from
// these and stay away, too. It fails, and changes nothing, if no other CPU is left.
func Avoid(cpus func(cpu int) bool) error {
	allowed, err := Allowed()
	if err != nil {
		return err
	}
	var rest unix.CPUSet
	for _, cpu := range allowed {
		if !cpus(cpu) {
			rest.Set(cpu)
		}
	}
	if rest.Count() == 0 {
		return fmt.Errorf("this process may run on CPUs %v only, all of which it is to avoid", allowed)
	}
	// A thread that is started meanwhile by one that has not been moved is found by the next round.
	moved := map[int]bool{}
	for more := true; more; {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		more = false
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil || moved[tid] {
				continue
			}
			if err := unix.SchedSetaffinity(tid, &rest); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("move thread %d: %w", tid, err)
			}
			moved[tid], more = true, true
		}
	}
	return nil
}
