/* What the programs know: structures, settings, tables. A part of ipi.bpf.c. */

/* Of the kernel, include/linux/sched.h and arch/x86/include/asm/thread_info.h. */
#define PF_IO_WORKER 0x00000010
#define PF_WQ_WORKER 0x00000020
#define PF_USER_WORKER 0x00004000 /* since Linux 6.4; nothing before */
#define PF_KTHREAD 0x00200000
#define TS_COMPAT 0x0002

/* Bits of preempt_count (include/linux/preempt.h): interrupts and NMIs; a softirq that runs, not one that
 * is kept from it.
 */
#define COUNT_NMI 0xf00000
#define COUNT_HARD 0x0f0000
#define COUNT_SOFT 0x000100
#define COUNT_OF_INT3 0x110000 /* by which a kprobe may have come (arch/x86/kernel/traps.c, exc_int3) */

#define SWAPPER 0x72657070617773 /* the name of the idle threads, as bytes */

#define WORDS 128 /* 8192 CPUs, the most that x86 can have */
#define STEPS 32  /* comparisons of a filter */
#define SETS 8    /* different sets of CPUs in them */

enum kind { KIND_CALL, KIND_RESCHED, KIND_IRQ_WORK, KIND_OTHER };

/* Where the code runs that sends. The order is that of who interrupts whom. */
enum context { CTX_SYSCALL, CTX_USER, CTX_KTHREAD, CTX_WORKER, CTX_SOFTIRQ, CTX_TIMER, CTX_IRQ };

enum level { LEVEL_TASK, LEVEL_SOFTIRQ, LEVEL_IRQ, LEVEL_NMI, LEVELS };

/* The origin of an IPI or of a work item. No holes: it is part of a key. */
struct origin {
	u64 cgroup;
	u64 work;   /* the function that a kworker ran; 0: it was no kworker */
	u64 detail; /* of the system call, see detail() */
	s32 nr;     /* system call; -1: none */
	u32 tgid;   /* 0: nobody in particular */
	u32 tid;
	u8 context;
	u8 softirq;
	u8 compat; /* nr is of the 32-bit table */
	u8 known;  /* somebody was found who queued the work */
	char comm[16];   /* of the process */
	char thread[16];
};

struct key {
	struct origin origin;
	char via[16]; /* the kworker */
	u64 func;
	u32 cpu; /* victim */
	s32 stack;
	u32 kind;
	u32 unused;
};

struct value {
	u64 ipis;
	u64 queued;
};

/* A work item: who queued it, and who queued the run of it that goes on now. */
struct work {
	struct origin pending;
	struct origin running;
	u64 func; /* of the pending one */
};

/* The numbers that a thread has in the sets of processes and threads. */
struct ids {
	u32 tgid; /* 0: it is not the leader */
	u32 tid;
};

/* What one CPU is doing. */
struct cpu {
	u8 hard; /* CTX_TIMER or CTX_IRQ, 0: no interrupt that has events */
	u8 soft; /* a softirq runs */
	u8 vec;  /* which */
	u8 cost_kind;
	u32 soft_tid; /* in this thread: with PREEMPT_RT softirqs are preempted */
	u64 since;    /* begin of what is paid for; 0: nothing */
	u64 func;     /* that is paid for; 0: not known yet */
	u64 counted;  /* node of a call that was counted, and is about to be queued */
	u64 self;     /* address of this structure */
	u64 preempt;  /* and of the CPU's preempt_count; 0: not known yet */
};

/* What was queued last on this CPU. The IPI that follows is for this. */
struct slot {
	struct key key;
	u32 state;  /* one of the next line */
	u32 late;   /* only the function is known yet, and nothing is counted */
	u32 judged; /* by the filter: the victim, and 1; 0: not yet */
	u32 passed;
};

enum { SLOT_EMPTY, SLOT_COUNT, SLOT_SELF, SLOT_SKIP };

struct cost_key {
	u64 func;
	u32 cpu;
	u32 kind;
};

struct cost {
	u64 runs;
	u64 ns;
};

/* Which thread was interrupted. */
struct thread_key {
	u64 func;
	u32 cpu;
	u32 kind;
	u32 tgid;
	u32 tid;
	char comm[16];
	char thread[16];
};

/* A comparison of a filter, as the kernel has them (kernel/trace/trace_events_filter.c,
 * struct prog_entry): if it is what when says, the next one is target, else the one behind it.
 */
struct step {
	u64 value[2]; /* the second one for names */
	u8 field;
	u8 op;
	u8 when;
	u8 target;
	u32 set; /* instead of value */
};

enum field {
	FIELD_CPU,
	FIELD_SENDER,
	FIELD_TID,
	FIELD_TGID,
	FIELD_KIND,
	FIELD_FUNC, /* the last number; it has no sign */
	FIELD_THREAD,
	FIELD_COMM,
	FIELD_CPU_IN, /* a set */
	FIELD_SENDER_IN,
	FIELD_MASK,
};

/* In the order of package ipifilter. */
enum op { OP_NE, OP_EQ, OP_LE, OP_LT, OP_GE, OP_GT, OP_AND };

/* Set before the programs are loaded. */
volatile const u64 victims[WORDS];
volatile const u64 senders[WORDS];
volatile const u32 words = WORDS; /* with victims */
volatile const u32 mask_words = WORDS; /* of a mask of the kernel */
volatile const u8 by_tgid; /* 1: of the options, 2: of the filter; so are the values of tgids */
volatile const u8 by_pid;
volatile const u8 with_stacks;
volatile const u8 with_interrupted;
volatile const u8 by_kprobes; /* calls are found by kprobes */
volatile const u64 preempt_at; /* preempt_count, for __per_cpu_offset to be added; 0: not known */
volatile const u64 ttwu_func; /* what __smp_call_single_queue queues for a wakeup */
volatile const u32 steps;     /* of the filter; 0: none */
volatile const u32 filter_sets;
volatile const u8 by_mask; /* it looks at all victims of an IPI */
volatile const struct step filter[STEPS];
volatile const u64 sets[SETS][WORDS];

/* Written while they run. */
volatile u32 counting;  /* 0: only the tracer's own */
volatile u32 self_tgid; /* whose IPIs are the tracer's own; 0: nobody's */
u64 self_ipis;
u64 self_queued;
u64 lost;
u32 used; /* rows of the table */
u32 whoami_tgid;
u64 cpus_map; /* address of the map cpus, */
u64 cpus_at;  /* and of its values, for __per_cpu_offset to be added */
volatile u32 ns_level; /* of the tracer's PID namespace; 0: the first one */
volatile u64 ns;
volatile u32 first_step; /* 0, which the verifier must not know */
u64 judged[WORDS]; /* by judge */

struct table {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(key_size, sizeof(struct key));
	__uint(value_size, sizeof(struct value));
};

/* The table that is filled now. The tracer changes it for an empty one before it is full. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, u32);
	__array(values, struct table);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct cost_key);
	__type(value, struct cost);
} costs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct thread_key);
	__type(value, struct cost);
} interrupted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct work);
} works SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, u8);
} tgids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, u8);
} pids SEC(".maps");

/* Threads, by their address, that have ended and are in the sets above. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct ids);
} dying SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu);
} cpus SEC(".maps");

/* Slots of function calls for each level, then those of reschedules. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * LEVELS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

/* Space to put work items together; what runs is never filled in here. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LEVELS);
	__type(key, u32);
	__type(value, struct work);
} queued_now SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 32768); /* two stacks can want the same place: the second is not kept */
	__uint(key_size, sizeof(u32));
	__uint(value_size, 48 * sizeof(u64));
} stacks SEC(".maps");
