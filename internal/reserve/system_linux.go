package reserve

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// system is the kernel that the process runs on.
type system struct{}

const (
	taskDir = "/proc/self/task"
	cpuDir  = "/sys/devices/system/cpu/"
)

func (system) online() (CPUs, error)   { return readList(cpuDir + "online") }
func (system) possible() (CPUs, error) { return readList(cpuDir + "possible") }

// wait takes much longer than the making of a thread.
func (system) wait() { time.Sleep(500 * time.Microsecond) }

func readList(name string) (CPUs, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	c, err := parse(string(b), func() (int, error) { return 0, errors.New("expected numbers") })
	if err == nil && len(c) == 0 {
		err = errors.New("expected a list of CPUs such as 0-3, found none")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// mask is the kernel's cpumask: an array of unsigned long. x/sys's CPUSet ends at 1024
// CPUs, and the kernel refuses to fill one that is smaller than its own.
type mask [cpusMax / bits.UintSize]uint

func maskOf(c CPUs) (m mask) {
	for _, cpu := range c {
		m[cpu/bits.UintSize] |= 1 << (cpu % bits.UintSize)
	}
	return m
}

func (m *mask) cpus() (c CPUs) {
	for i, word := range m {
		for ; word != 0; word &= word - 1 {
			c = append(c, i*bits.UintSize+bits.TrailingZeros(word))
		}
	}
	return c
}

func (system) set(tid int, c CPUs) error {
	m := maskOf(c)
	_, _, errno := unix.Syscall(unix.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(m), uintptr(unsafe.Pointer(&m)))
	switch errno {
	case 0:
		return nil
	case unix.ESRCH:
		return errGone
	case unix.EINVAL:
		return fmt.Errorf("sched_setaffinity: %w (none of these CPUs is both online and in the thread's cpuset (cgroup), or the kernel keeps the thread's mask fixed, as older ones do with workers of io_uring)", errno)
	default:
		return fmt.Errorf("sched_setaffinity: %w (a seccomp filter, or the thread has another user id)", errno)
	}
}

func affinity(tid int) (CPUs, error) {
	var m mask
	_, _, errno := unix.RawSyscall(unix.SYS_SCHED_GETAFFINITY, uintptr(tid), unsafe.Sizeof(m), uintptr(unsafe.Pointer(&m)))
	switch errno {
	case 0:
	case unix.ESRCH:
		return nil, errGone
	case unix.EINVAL:
		return nil, fmt.Errorf("sched_getaffinity of thread %d: %w (the kernel is for more than %d CPUs)", tid, errno, cpusMax)
	default:
		return nil, fmt.Errorf("sched_getaffinity of thread %d: %w", tid, errno)
	}
	return m.cpus(), nil
}

func (s system) threads(pick func(CPUs) bool) ([]task, error) {
	tids, err := threadIDs(listOnce)
	if err != nil {
		return nil, err
	}
	var out []task
	for _, tid := range tids {
		cpus, err := affinity(tid)
		if errors.Is(err, errGone) || err == nil && pick != nil && !pick(cpus) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t, err := identify(tid)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t.CPUs = cpus
		out = append(out, t)
	}
	return out, nil
}

func (system) self() (task, error) {
	tid := unix.Gettid()
	t, err := identify(tid)
	if err != nil {
		return task{}, err
	}
	t.CPUs, err = affinity(tid)
	return t, err
}

// threadIDs lists the threads. One listing may miss some: when the thread at which it
// stands ends, the kernel ends the listing, too, or goes on by position in a list
// that has moved up (fs/proc/base.c, next_tid and first_tid). So it lists again, up to a few
// times, until the entries are as many as the threads before and after, and takes all that it saw.
func threadIDs(list func() (names []string, whole bool, err error)) ([]int, error) {
	const listings = 8
	var tids []int
	for range listings {
		names, whole, err := list()
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			tid, err := strconv.Atoi(name)
			if err != nil {
				return nil, fmt.Errorf("%s: expected numbers of threads, found %q", taskDir, name)
			}
			tids = append(tids, tid)
		}
		if whole {
			break
		}
	}
	slices.Sort(tids)
	tids = slices.Compact(tids)
	// The leader is listed even after its end.
	if pid := os.Getpid(); !slices.Contains(tids, pid) {
		return nil, fmt.Errorf("%s: expected thread %d, found %s without it: /proc belongs to another PID namespace", taskDir, pid, count(len(tids), "thread"))
	}
	return tids, nil
}

// listOnce reports whether the process had as many threads as it lists.
func listOnce() (names []string, whole bool, err error) {
	f, err := os.Open(taskDir)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	before, err := links(f)
	if err != nil {
		return nil, false, err
	}
	if names, err = f.Readdirnames(-1); err != nil {
		return nil, false, err
	}
	after, err := links(f)
	// A directory has two links of its own; the kernel adds one for each thread (proc_task_getattr).
	return names, before == after && after == uint64(len(names)+2), err
}

func links(f *os.File) (uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, nil
	}
	return uint64(st.Nlink), nil
}

// identify reads a thread's name and the time of its start.
func identify(tid int) (task, error) {
	name := fmt.Sprintf("%s/%d/stat", taskDir, tid)
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return task{}, errGone
	}
	if err != nil {
		return task{}, err
	}
	comm, start, err := parseStat(b)
	if err != nil {
		return task{}, fmt.Errorf("%s: %w", name, err)
	}
	return task{Task: Task{TID: tid, Comm: comm}, start: start}, nil
}

// parseStat reads the fields 2, comm, and 22, starttime, of proc_pid_stat(5). The name can hold
// anything, parentheses too.
func parseStat(b []byte) (comm string, start uint64, err error) {
	const field = 22 - 3 // after the name comes the third
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return "", 0, fmt.Errorf("expected a name in parentheses, found %q", b)
	}
	fields := bytes.Fields(b[end+1:])
	if len(fields) <= field {
		return "", 0, fmt.Errorf("expected %d fields after the name, found %q", field+1, b[end+1:])
	}
	if start, err = strconv.ParseUint(string(fields[field]), 10, 64); err != nil {
		return "", 0, fmt.Errorf("field 22, starttime: %w", err)
	}
	return string(b[open+1 : end]), start, nil
}
