package ipitracefs

import (
	"encoding/binary"
	"strings"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipinames"
)

// blame says who is behind what a CPU does at a record.
func (c *counter) blame(s *cpuState, r *record) who {
	switch r.level() {
	case inIRQ:
		if s.timer {
			return who{origin: ipi.Origin{Path: "timer"}}
		}
		return who{origin: ipi.Origin{Path: "irq"}}
	case inSoftirq:
		return who{origin: ipi.Origin{Path: ipinames.Softirq(s.softirq)}}
	}
	w := c.blameThread(r)
	c.onStack(&w.origin, r.stack)
	return w
}

func (c *counter) blameThread(r *record) who {
	sender, task := c.tasks.sender(r.pid)
	run, works := c.running[r.pid]
	if works && run.work {
		w := run.who
		w.origin.Path, w.origin.Via = run.path, sender.Thread
		w.thread = true
		return w
	}
	w := who{sender: sender, thread: true}
	switch {
	case works:
		w.origin.Path = run.path
	case task.kernel:
		w.origin.Path = ipinames.Kthread(sender.Thread)
	}
	if goes := c.tasks.threads[task.tgid]; goes != nil && goes.goes {
		w.origin.Detail = "go"
	}
	return w
}

// onStack adds what a stack tells: the system call, and functions that remedies look for.
func (c *counter) onStack(o *ipi.Origin, stack []uint64) {
	functions := make([]string, len(stack)+1) // the last one is called by nothing that is known
	for i, addr := range stack {
		functions[i] = c.names.ReturnsTo(addr)
	}
	for i, f := range functions[:len(stack)] {
		if c.names.Telling(f) && !strings.Contains(" "+o.Detail+" ", " "+f+" ") {
			o.Detail = strings.TrimPrefix(o.Detail+" "+f, " ")
		}
		if name := syscallOf(f, functions[i+1]); name != "" && o.Syscall == "" {
			o.Syscall = name
		}
		// The entries of faults and interrupts of user mode (arch/x86/include/asm/idtentry.h); what
		// a kworker does began elsewhere.
		if o.Path == "" && o.Syscall == "" && strings.HasPrefix(f, "asm_exc_") {
			o.Path = "user"
		}
	}
}

// syscallOf knows the functions of system calls (arch/x86/include/asm/syscall_wrapper.h), and those to
// which they may jump at their end: then the stack has only these.
func syscallOf(function, caller string) string {
	if name, ok := strings.CutPrefix(function, "__x64_sys_"); ok {
		return name
	}
	if name, ok := strings.CutPrefix(function, "__ia32_sys_"); ok {
		return "i386 " + name
	}
	if caller != "do_syscall_64" && caller != "x64_sys_call" {
		return ""
	}
	for _, prefix := range []string{"__se_sys_", "__do_sys_", "ksys_", "__sys_"} {
		if name, ok := strings.CutPrefix(function, prefix); ok {
			return strings.TrimSuffix(name, "_pgoff") // of ksys_mmap_pgoff
		}
	}
	return ""
}

// work follows work items from who queues them to the kworker that has one in hand.
func (c *counter) work(s *cpuState, r *record) {
	switch r.what {
	case workQueued:
		if len(c.works) >= worksMax {
			clear(c.works) // those that were cancelled stay for ever
		}
		c.works[r.work] = c.blame(s, r)
	case workStarts:
		w, ok := c.works[r.work]
		delete(c.works, r.work)
		c.running[r.pid] = run{who: w, work: ok, cpu: r.cpu, path: "workqueue " + c.names.Function(r.addr)}
	case workEnds:
		delete(c.running, r.pid)
	}
}

// stacks gives numbers to stacks.
type stacks struct {
	ids   map[string]int32
	addrs [][]uint64
	named map[int32][]string
}

// stacksMax bounds the stacks that are kept.
const stacksMax = 32768

func newStacks() stacks {
	return stacks{ids: make(map[string]int32), named: make(map[int32][]string)}
}

// id returns the number of a stack, negative for none.
func (s *stacks) id(stack []uint64) int32 {
	if len(stack) == 0 {
		return -1
	}
	bytes := make([]byte, 0, 8*len(stack))
	for _, a := range stack {
		bytes = binary.LittleEndian.AppendUint64(bytes, a)
	}
	id, ok := s.ids[string(bytes)]
	if !ok {
		if len(s.addrs) >= stacksMax {
			return -1
		}
		id = int32(len(s.addrs))
		s.ids[string(bytes)] = id
		s.addrs = append(s.addrs, stack)
	}
	return id
}

// all names all stacks.
func (s *stacks) all(n *ipinames.Names) map[int32][]string {
	all := make(map[int32][]string, len(s.addrs))
	for i, stack := range s.addrs {
		id := int32(i)
		if s.named[id] == nil {
			for _, a := range stack {
				if f := n.ReturnsTo(a); len(s.named[id]) > 0 || !tracing(f) {
					s.named[id] = append(s.named[id], f)
				}
			}
		}
		all[id] = s.named[id]
	}
	return all
}

// tracing knows the functions between an event and its stack (kernel/trace/trace.c,
// kernel/trace/trace_events_trigger.c, include/trace/trace_events.h).
func tracing(function string) bool {
	for _, prefix := range []string{"trace_event_", "event_triggers_", "stacktrace_", "__trace_stack", "__ftrace_trace_stack", "ftrace_", "__traceiter_"} {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}
