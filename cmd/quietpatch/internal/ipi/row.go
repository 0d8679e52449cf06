package ipi

// Kind says by which vector a CPU is interrupted.
type Kind string

// The kinds. On x86, flushes of the TLB are function calls for the kernel, which counts
// them apart (arch/x86/mm/tlb.c, NR_TLB_REMOTE_FLUSH; row TLB of /proc/interrupts).
const (
	Call    Kind = "call"     // a function to run (kernel/smp.c)
	TLB     Kind = "tlb"      // a call that flushes the TLB
	Resched Kind = "resched"  // a wish to look at the run queue again
	IRQWork Kind = "irq_work" // work for interrupt context (kernel/irq_work.c)
	Other   Kind = "other"
)

// Kinds returns all kinds, in the order of reports.
func Kinds() []Kind { return []Kind{Call, TLB, Resched, IRQWork, Other} }

// Key is what one row counts. It can be a key of maps.
type Key struct {
	CPU     int // the victim
	Kind    Kind
	Cause   string // the function that the victim runs; "" if it is not known
	Sender  Sender
	Origin  Origin
	StackID int32 // of the backend; negative if there is no stack
}

// Sender is who is blamed: the thread that sent the IPI, or, if that was a kworker, the
// one that queued its work.
type Sender struct {
	PID, TID int    // process and thread; 0 if nobody in particular
	Comm     string // of the process
	Thread   string // of the thread
	Cgroup   string
}

// Origin says from where in the kernel the IPI came.
type Origin struct {
	Syscall string // such as setsockopt; "" outside of system calls
	// Detail is words that say more: options and commands of the system call as its manual
	// page has them (SO_TIMESTAMP), functions of the kernel on the way (static_key_enable),
	// and the word go if the process is a Go program. Package remedy knows which it looks for.
	Detail string
	// Path is how the kernel got there if not straight from a system call: the word
	// workqueue or softirq and a name ("workqueue netstamp_clear", "softirq NET_RX"),
	// or one of timer, irq (an interrupt handler), rcu, kthread, worker (a thread that the kernel
	// made for the process, of io_uring or vhost), and user (a fault or an exception of the process).
	Path string
	Via  string // the thread that sent it on behalf of the sender, such as kworker/0:1
}

// Row is a key and what was counted for it.
type Row struct {
	Key
	IPIs   uint64 // interrupts that went out
	Queued uint64 // calls that were queued, with an interrupt or without
	CostNS uint64 // spent in the handler, on the victim
	Remedy string // name of the remedy; "" if none is known
}
