package visit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

const taskDir = "/proc/self/task"

// status is what is read of /proc/self/task/TID/status (proc_pid_status(5)).
type status struct {
	state    byte
	tracer   uint64
	blocked  uint64
	switches [2]uint64 // voluntary and not
}

// fields in the order in which they come.
var fields = []string{"\nState:", "\nTracerPid:", "\nSigBlk:", "\nvoluntary_ctxt_switches:", "\nnonvoluntary_ctxt_switches:"}

func parseStatus(b []byte) (status, error) {
	var s status
	var text [5][]byte
	for i, name := range fields {
		at := bytes.Index(b, []byte(name))
		if at < 0 {
			return s, fmt.Errorf("expected a line %q, found none", name[1:])
		}
		b = b[at+len(name):]
		line, _, _ := bytes.Cut(b, []byte("\n"))
		text[i] = bytes.TrimSpace(line)
	}
	if len(text[0]) == 0 {
		return s, errors.New("expected a letter for the state, found none")
	}
	s.state = text[0][0]
	for i, to := range []*uint64{&s.tracer, &s.blocked, &s.switches[0], &s.switches[1]} {
		base := 10
		if to == &s.blocked {
			base = 16
		}
		n, err := strconv.ParseUint(string(text[i+1]), base, 64)
		if err != nil {
			return s, fmt.Errorf("line %q: %w", fields[i+1][1:], err)
		}
		*to = n
	}
	return s, nil
}

// parseSyscall reads a line of /proc/self/task/TID/syscall (proc_pid_syscall(5)): "running";
// "-1 SP PC"; or a system call's number, six arguments, SP and PC.
func parseSyscall(b []byte) (s sight, running bool, err error) {
	f := bytes.Fields(b)
	if len(f) == 1 && string(f[0]) == "running" {
		return s, true, nil
	}
	if len(f) != 3 && len(f) != 9 {
		return s, false, fmt.Errorf("expected \"running\", 3 or 9 fields, found %q", b)
	}
	call, err := strconv.ParseInt(string(f[0]), 10, 64)
	sp, err2 := strconv.ParseUint(string(f[len(f)-2]), 0, 64)
	pc, err3 := strconv.ParseUint(string(f[len(f)-1]), 0, 64)
	return sight{call: call, sp: uintptr(sp), pc: uintptr(pc)}, false, errors.Join(err, err2, err3)
}

// kind is what a look has found.
type kind int

const (
	gone    kind = iota // the thread has ended, or runs no user code
	waits               // in the kernel: the sight holds
	runs                // or is about to, and can get our signal
	unknown             // it moved under the look, or cannot get our signal
)

// looker reads about threads; its memory is used again.
type looker struct{ buf []byte }

// look finds out what the thread does, without its noticing.
//
// The mask and the registers are in two files, and have to be of one moment. The number of
// context switches shows that they are: the kernel counts one when a thread is switched
// out (__schedule), and gives registers only of a thread that is (wait_task_inactive, under
// the lock of its run queue). So one that had run between the first status and the registers
// would have been switched out again, and counted, before the last status.
func (l *looker) look(tid int) (kind, sight, error) {
	var st [3]status
	var s sight
	f, err := l.open(tid, "status")
	if err != nil {
		return l.failed(tid, status{}, err)
	}
	defer f.close()
	for i := range st {
		if i == 2 {
			running, err := l.registers(tid, &s)
			if err != nil || running {
				return l.failed(tid, st[1], err)
			}
		}
		if st[i], err = l.status(f); err != nil {
			return l.failed(tid, st[0], err)
		}
		switch {
		case st[i].state == 'Z' || st[i].state == 'X':
			return gone, s, nil
		case st[i].tracer != 0: // who may move it from one frame to another
			return unknown, s, nil
		case st[i].state == 'R':
			return l.failed(tid, st[i], nil)
		}
	}
	if st[0].switches != st[2].switches {
		return unknown, s, nil
	}
	s.blocked = st[1].blocked
	return waits, s, nil
}

// failed tells why there is no sight of the thread: it has ended (its directory is not
// there, ENOENT, or not any more, ESRCH), runs, or something is wrong.
func (l *looker) failed(tid int, st status, err error) (kind, sight, error) {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return gone, sight{}, nil
	case err != nil:
		return unknown, sight{}, err
	case st.blocked&urgBit == 0:
		return runs, sight{}, nil
	case l.worker(tid):
		return gone, sight{}, nil
	}
	return unknown, sight{}, nil
}

func (l *looker) status(f file) (status, error) {
	b, err := l.read(f)
	if err != nil {
		return status{}, err
	}
	s, err := parseStatus(b)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.name, err)
	}
	return s, err
}

func (l *looker) registers(tid int, s *sight) (running bool, err error) {
	b, err := l.readAll(tid, "syscall")
	if err != nil {
		return false, err
	}
	if *s, running, err = parseSyscall(b); err != nil {
		err = fmt.Errorf("%s/%d/syscall: %w", taskDir, tid, err)
	}
	return running, err
}

// worker reports whether the thread is one of io_uring's, which live in the kernel: the
// flag PF_IO_WORKER (include/linux/sched.h), field 9 of proc_pid_stat(5), which meant something else
// before Linux 5.12, so the name has to be right, too (io_uring/sqpoll.c, io-wq.c).
func (l *looker) worker(tid int) bool {
	const flags, fromState, ioWorker = 9, 3, 0x10
	b, err := l.readAll(tid, "stat")
	end := bytes.LastIndexByte(b, ')')
	if err != nil || !bytes.Contains(b, []byte("(iou-")) || end < 0 {
		return false
	}
	f := bytes.Fields(b[end+1:])
	if len(f) <= flags-fromState {
		return false
	}
	n, err := strconv.ParseUint(string(f[flags-fromState]), 10, 64)
	return err == nil && n&ioWorker != 0
}

// file is one of those of a thread.
type file struct {
	fd   int
	name string
}

func (f file) close() { _ = unix.Close(f.fd) }

func (f file) failed(err error) error { return &os.PathError{Op: "read", Path: f.name, Err: err} }

func (l *looker) open(tid int, name string) (file, error) {
	f := file{name: taskDir + "/" + strconv.Itoa(tid) + "/" + name}
	var err error
	if f.fd, err = unix.Open(f.name, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return f, f.failed(err)
	}
	return f, nil
}

// read returns what the file says now, valid until the next call.
func (l *looker) read(f file) ([]byte, error) {
	if l.buf == nil {
		l.buf = make([]byte, 32<<10) // a status has a line for the nodes of memory, of a few kilobytes
	}
	for n := 0; n < len(l.buf); {
		m, err := unix.Pread(f.fd, l.buf[n:], int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, f.failed(err)
		case m == 0:
			return l.buf[:n], nil
		default:
			n += m
		}
	}
	return nil, f.failed(unix.EFBIG)
}

func (l *looker) readAll(tid int, name string) ([]byte, error) {
	f, err := l.open(tid, name)
	if err != nil {
		return nil, err
	}
	defer f.close()
	return l.read(f)
}

// listingsMax is how often threads are listed before giving up. Two listings are the rule.
const listingsMax = 16

// threads lists the threads that have been there since the call. One listing may miss
// some: when the thread at which it stands ends, the kernel ends the listing, or goes on by
// position in a list that has moved up (fs/proc/base.c, next_tid and first_tid). Both take the end of a
// thread that was listed before, so a listing is whole if the next one is the same.
func threads() ([]int, error) {
	var before []int
	for range listingsMax {
		now, err := listOnce()
		if err != nil {
			return nil, err
		}
		if before != nil && slices.Equal(before, now) {
			return now, nil
		}
		before = now
	}
	return nil, fmt.Errorf("%w: %d listings of %s differ: threads come and go too fast", ErrUnseen, listingsMax, taskDir)
}

func listOnce() ([]int, error) {
	dir, err := os.Open(taskDir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnable, err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnable, err)
	}
	tids := make([]int, 0, len(names))
	for _, name := range names {
		tid, err := strconv.Atoi(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: expected numbers of threads, found %q", ErrUnable, taskDir, name)
		}
		tids = append(tids, tid)
	}
	slices.Sort(tids)
	return tids, nil
}

// sameNamespace returns an error if /proc counts threads otherwise than system calls do: a
// line NSpid of /proc/self/status with more than one number.
func sameNamespace() error {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnable, err)
	}
	_, line, found := bytes.Cut(b, []byte("\nNSpid:"))
	line, _, _ = bytes.Cut(line, []byte("\n"))
	f := bytes.Fields(line)
	if !found || len(f) != 1 || string(f[0]) != strconv.Itoa(os.Getpid()) {
		return fmt.Errorf("%w: expected process %d, found %q for it: /proc belongs to another PID namespace", ErrUnable, os.Getpid(), line)
	}
	return nil
}
