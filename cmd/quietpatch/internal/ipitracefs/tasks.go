package ipitracefs

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipinames"
)

// tasks knows threads by their numbers: from events, and from /proc for those that were there
// before.
type tasks struct {
	proc    string // "" if /proc has other numbers than the events
	threads map[int32]*task
	ended   []int32
}

type task struct {
	tgid   int32
	comm   string
	kernel bool
	asked  bool // /proc was
	ended  bool
	goes   bool // a Go program
	cgroup string
}

const (
	endedMax    = 4096
	cloneThread = 0x00010000 // CLONE_THREAD, include/uapi/linux/sched.h
	pfKthread   = 0x00200000 // PF_KTHREAD, include/linux/sched.h
)

func newTasks(proc string) *tasks {
	t := &tasks{proc: proc, threads: make(map[int32]*task)}
	t.threads[0] = &task{comm: "swapper", kernel: true, asked: true} // the idle threads
	return t
}

// scan notes which thread is of which process, while it is there to be asked.
func (t *tasks) scan() {
	if t.proc == "" {
		return
	}
	for _, tgid := range numbers(t.proc) {
		for _, tid := range numbers(fmt.Sprintf("%s/%d/task", t.proc, tgid)) {
			t.threads[tid] = &task{tgid: tgid}
		}
	}
}

func numbers(dir string) (list []int32) {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	for _, name := range names {
		if n, err := strconv.ParseInt(name, 10, 32); err == nil {
			list = append(list, int32(n))
		}
	}
	return list
}

// foresee looks through records before they are counted, for the names of threads that are
// gone by now.
func (t *tasks) foresee(records []record) {
	for i := range records {
		r := &records[i]
		switch r.what {
		case taskNew:
			if known := t.threads[int32(r.target)]; known == nil || known.ended {
				t.born(r)
			}
		case taskEnds:
			if known := t.of(int32(r.target)); known.comm == "" {
				known.comm = r.comm
			}
		}
	}
}

// note takes a record about a task. It returns those that have ended and are now forgotten.
func (t *tasks) note(r *record) (forgotten []int32) {
	switch r.what {
	case taskNew:
		if known := t.threads[int32(r.target)]; known == nil || known.ended || !known.asked {
			t.born(r)
		}
	case taskRenamed:
		known := t.of(int32(r.target))
		known.comm, known.asked = r.comm, false // exec: ask again what it runs
	case taskEnds:
		t.of(int32(r.target)).ended = true
		t.ended = append(t.ended, int32(r.target))
		if len(t.ended) > endedMax {
			for _, pid := range t.ended[:endedMax/2] {
				if known := t.threads[pid]; known != nil && known.ended {
					delete(t.threads, pid)
					forgotten = append(forgotten, pid)
				}
			}
			t.ended = append(t.ended[:0], t.ended[endedMax/2:]...)
		}
	}
	return forgotten
}

func (t *tasks) born(r *record) {
	child := &task{tgid: int32(r.target), comm: r.comm}
	parent := t.ask(r.pid)
	if r.work&cloneThread != 0 {
		child.tgid = parent.tgid
	}
	child.kernel = parent.kernel && r.pid != 0
	t.threads[int32(r.target)] = child
}

func (t *tasks) of(pid int32) *task {
	known := t.threads[pid]
	if known == nil {
		known = &task{}
		t.threads[pid] = known
	}
	return known
}

// ask returns a thread, with what /proc says of it if that was not asked.
func (t *tasks) ask(pid int32) *task {
	known := t.of(pid)
	if known.asked {
		return known
	}
	known.asked = true
	if t.proc == "" {
		return known
	}
	dir := fmt.Sprintf("%s/%d/", t.proc, pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return known
	}
	if tgid, err := strconv.ParseInt(line(status, "Tgid:"), 10, 32); err == nil {
		known.tgid = int32(tgid)
	}
	if known.comm == "" {
		known.comm = line(status, "Name:")
	}
	stat, _ := os.ReadFile(dir + "stat")
	known.kernel = statFlags(string(stat))&pfKthread != 0
	if known.kernel {
		known.comm = kworker(known.comm)
		return known
	}
	cgroups, _ := os.ReadFile(dir + "cgroup")
	known.cgroup = line(cgroups, "0::")
	known.goes = ipinames.IsGo(dir + "exe")
	return known
}

// line returns the rest of the line that begins with a word.
func line(text []byte, word string) string {
	for l := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(l, word); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// statFlags returns the field flags of proc_pid_stat(5). The name before it can have
// parentheses of its own.
func statFlags(stat string) uint64 {
	const state, flags = 3, 9
	_, rest, _ := cutLast(stat, ')')
	fields := strings.Fields(rest)
	if len(fields) <= flags-state {
		return 0
	}
	n, _ := strconv.ParseUint(fields[flags-state], 10, 64)
	return n
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// kworker drops what /proc adds to the name of a kworker, its work queue (kernel/workqueue.c,
// wq_worker_comm).
func kworker(comm string) string {
	i := strings.IndexByte(comm, ':')
	if i < 0 || !strings.HasPrefix(comm, "kworker/") {
		return comm
	}
	if j := strings.IndexAny(comm[i:], "-+"); j >= 0 {
		return comm[:i+j]
	}
	return comm
}

// sender says who a thread is.
func (t *tasks) sender(pid int32) (s ipi.Sender, k *task) {
	k = t.ask(pid)
	s = ipi.Sender{PID: int(k.tgid), TID: int(pid), Comm: k.comm, Thread: k.comm, Cgroup: k.cgroup}
	if k.tgid != pid {
		leader := t.ask(k.tgid)
		s.Comm = leader.comm
		if k.tgid == 0 { // not known
			s.Comm = k.comm
		}
	}
	return s, k
}
