package reserve

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Task is a thread of this process.
type Task struct {
	TID  int
	Comm string // its name, as in ps and top
	CPUs CPUs   // where it may run: its affinity mask
}

func (t Task) String() string { return fmt.Sprintf("%d (%q) on %s", t.TID, t.Comm, t.CPUs) }

// thread tells a thread from a later one that got the same number.
type thread struct {
	tid   int
	start uint64 // time of its start, in ticks since boot
}

// task is what a look finds.
type task struct {
	Task
	start uint64
}

func (t task) thread() thread { return thread{t.TID, t.start} }

// kernel is what the package asks of the system.
type kernel interface {
	// threads lists the threads of the process, sorted, those whose mask pick takes or
	// all. Threads that end meanwhile are left out.
	threads(pick func(CPUs) bool) ([]task, error)
	// self is the calling thread.
	self() (task, error)
	// set changes a mask. It returns errGone for a thread that has ended.
	set(tid int, c CPUs) error
	online() (CPUs, error)
	// wait lets threads that are being made come into sight.
	wait()
}

var errGone = errors.New("the thread has ended")

// Online returns the CPUs that are in use by the system.
func Online() (CPUs, error) { return system{}.online() }

// Tasks returns the threads of this process, by number.
func Tasks() ([]Task, error) {
	found, err := system{}.threads(nil)
	return plain(found), err
}

func plain(found []task) []Task {
	var out []Task
	for _, t := range found {
		out = append(out, t.Task)
	}
	return out
}

// looksMax is how often masks are looked at before giving up. Two looks are the rule.
const looksMax = 64

// Offenders returns the threads other than self that may run on the CPU. Two looks
// have to agree, because a thread may just be being made.
func Offenders(cpu, self int) ([]Task, error) { return offenders(system{}, cpu, self) }

func offenders(sys kernel, cpu, self int) ([]Task, error) {
	var before, some []Task
	for look := range looksMax {
		if look > 0 {
			sys.wait()
		}
		found, err := sys.threads(func(c CPUs) bool { return c.Contains(cpu) })
		if err != nil {
			return nil, err
		}
		now := slices.DeleteFunc(plain(found), func(t Task) bool { return t.TID == self })
		if look > 0 && slices.EqualFunc(before, now, func(a, b Task) bool { return a.TID == b.TID }) {
			return now, nil
		}
		if before = now; len(now) > 0 {
			some = now
		}
	}
	return some, nil // they come and go, so there are some
}

// OffendersError says that threads may run on a CPU that is to be one thread's alone.
type OffendersError struct {
	CPU   int
	Tasks []Task
}

func (e *OffendersError) Error() string {
	return fmt.Sprintf("CPU %d is not for one thread alone, %s may run there: %s; move them off with isolate.Reserve(\"%d\"), or each by taskset -cp LIST TID",
		e.CPU, count(len(e.Tasks), "other thread"), some(e.Tasks), e.CPU)
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// some lists threads, but not hundreds.
func some(tasks []Task) string {
	const shown = 16
	var b strings.Builder
	for i, t := range tasks {
		if i == shown {
			fmt.Fprintf(&b, ", and %d more", len(tasks)-shown)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(t.String())
	}
	return b.String()
}
