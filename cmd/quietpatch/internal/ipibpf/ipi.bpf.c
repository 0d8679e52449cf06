//go:build ignore

/* Who sends IPIs to the watched CPUs, counted in the kernel. doc.go has the whole story. */
#include "ipi.bpf.h"

/* Of the kernel, include/linux/sched.h and arch/x86/include/asm/thread_info.h. */
#define PF_WQ_WORKER 0x00000020
#define PF_KTHREAD 0x00200000
#define TS_COMPAT 0x0002

#define WORDS 128 /* 8192 CPUs, the most that x86 can have */

enum kind { KIND_CALL, KIND_RESCHED, KIND_IRQ_WORK, KIND_OTHER };

/* Where the code runs that sends. The order is that of who interrupts whom. */
enum context { CTX_SYSCALL, CTX_USER, CTX_KTHREAD, CTX_SOFTIRQ, CTX_TIMER, CTX_IRQ };

enum level { LEVEL_TASK, LEVEL_SOFTIRQ, LEVEL_IRQ, LEVELS };

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
};

/* What one CPU is doing. */
struct cpu {
	u8 hard; /* CTX_TIMER or CTX_IRQ, 0: no interrupt */
	u8 soft; /* a softirq runs */
	u8 vec;  /* which */
	u8 cost_kind;
	u32 soft_tid; /* in this thread: with PREEMPT_RT softirqs are preempted */
	u64 since;    /* begin of what is paid for; 0: nothing */
	u64 func;     /* that is paid for; 0: not known yet */
};

/* What was queued last on this CPU. The IPI that follows is for this. */
struct slot {
	struct key key;
	u32 state; /* one of the next line */
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

/* Set before the programs are loaded. */
volatile const u64 victims[WORDS];
volatile const u64 senders[WORDS];
volatile const u32 words = WORDS;
volatile const u8 by_tgid;
volatile const u8 by_pid;
volatile const u8 with_stacks;

/* Written while they run. */
volatile u32 counting;  /* 0: only the tracer's own */
volatile u32 self_tgid; /* whose IPIs are the tracer's own; 0: nobody's */
u64 self_ipis;
u64 self_queued;
u64 lost;
u32 whoami_tgid;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct key);
	__type(value, struct value);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct cost_key);
	__type(value, struct cost);
} costs SEC(".maps");

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

inline_always int has(const volatile u64 *set, u32 cpu)
{
	u32 word = cpu / 64;

	return word < WORDS && set[word] >> (cpu % 64) & 1;
}

inline_always struct cpu *this_cpu(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&cpus, &zero);
}

inline_always int in_softirq(const struct cpu *c)
{
	return c->soft && c->soft_tid == (u32)bpf_get_current_pid_tgid();
}

inline_always u32 level_of(const struct cpu *c)
{
	if (c->hard)
		return LEVEL_IRQ;
	return in_softirq(c) ? LEVEL_SOFTIRQ : LEVEL_TASK;
}

/* detail picks the argument that says what a system call is asked for (numbers of
 * arch/x86/entry/syscalls/syscall_64.tbl). origin.go knows the names. */
inline_always u64 detail(s32 nr, struct pt_regs *regs)
{
	switch (nr) {
	case 54: /* setsockopt: level and option */
		return regs->si << 32 | (u32)regs->dx;
	case 28: /* madvise */
		return (u32)regs->dx;
	case 202: /* futex */
	case 16: /* ioctl */
	case 72: /* fcntl */
		return (u32)regs->si;
	case 324: /* membarrier: flags and command */
		return regs->si << 32 | (u32)regs->di;
	case 321: /* bpf */
	case 157: /* prctl */
	case 158: /* arch_prctl */
		return (u32)regs->di;
	}
	return 0;
}

inline_always void nobody(struct origin *o)
{
	__builtin_memset(o, 0, sizeof(*o));
	o->nr = -1;
}

inline_always void of_task(struct origin *o, struct task_struct *t)
{
	struct task_struct *leader = t->group_leader;

	o->tgid = t->tgid;
	o->tid = t->pid;
	bpf_probe_read_kernel(o->thread, sizeof(o->thread), &t->comm);
	bpf_probe_read_kernel(o->comm, sizeof(o->comm), &leader->comm);
}

/* of_kworker finds who queued the work that a kworker does now. */
inline_always int of_kworker(struct origin *o, struct task_struct *t)
{
	struct kthread *k = t->worker_private;
	struct worker *w = 0;
	struct work *known;
	u64 work = 0, func = 0;

	if (bpf_probe_read_kernel(&w, sizeof(w), &k->data) || !w)
		return 0;
	bpf_probe_read_kernel(&work, sizeof(work), &w->current_work);
	bpf_probe_read_kernel(&func, sizeof(func), &w->current_func);
	if (!work)
		return 0;
	known = bpf_map_lookup_elem(&works, &work);
	if (known && known->running.known) {
		__builtin_memcpy(o, &known->running, sizeof(*o));
		o->work = func;
		return 1;
	}
	o->work = func;
	return 0;
}

/* find says who is behind what this CPU does now. */
inline_always void find(struct origin *o, const struct cpu *c, char via[16])
{
	struct task_struct *t;
	struct pt_regs *regs;

	nobody(o);
	if (c->hard) {
		o->context = c->hard;
		return;
	}
	if (in_softirq(c)) {
		o->context = CTX_SOFTIRQ;
		o->softirq = c->vec;
		return;
	}
	t = bpf_get_current_task_btf();
	if (t->flags & PF_WQ_WORKER) {
		if (via)
			bpf_probe_read_kernel(via, 16, &t->comm);
		if (of_kworker(o, t))
			return;
	}
	of_task(o, t);
	if (t->flags & PF_KTHREAD) {
		o->context = CTX_KTHREAD;
		return;
	}
	o->cgroup = bpf_get_current_cgroup_id();
	regs = bpf_task_pt_regs(t);
	o->nr = (s32)regs->orig_ax;
	if (o->nr < 0) { /* an exception or interrupt of user mode */
		o->nr = -1;
		o->context = CTX_USER;
		return;
	}
	if (t->thread_info.status & TS_COMPAT)
		o->compat = 1;
	else
		o->detail = detail(o->nr, regs);
}

/* wanted looks a thread up in a set, as who is blamed or as who sends itself. */
inline_always int wanted(void *set, u32 blamed, u32 sends, const struct origin *o)
{
	if (bpf_map_lookup_elem(set, &blamed))
		return 1;
	return o->context < CTX_SOFTIRQ && bpf_map_lookup_elem(set, &sends);
}

/* fill says in a slot who sends, and whether that is to be counted. */
inline_always void fill(struct slot *s, const struct cpu *c, void *ctx)
{
	struct origin *o = &s->key.origin;
	u64 now = bpf_get_current_pid_tgid();
	u32 self = self_tgid;

	__builtin_memset(s->key.via, 0, sizeof(s->key.via));
	find(o, c, s->key.via);
	s->key.stack = -1;
	if (self && o->tgid == self) {
		s->state = SLOT_SELF;
		return;
	}
	s->state = SLOT_SKIP;
	if (!counting)
		return;
	if (by_tgid && !wanted(&tgids, o->tgid, now >> 32, o))
		return;
	if (by_pid && !wanted(&pids, o->tid, (u32)now, o))
		return;
	s->state = SLOT_COUNT;
	if (with_stacks) {
		s->key.stack = bpf_get_stackid(ctx, &stacks, 0);
		if (s->key.stack < 0)
			s->key.stack = -1;
	}
}

inline_always void count(struct slot *s, u32 cpu, u64 ipis, u64 queued)
{
	struct value first = {}, *v;

	if (s->state == SLOT_SELF) {
		__sync_fetch_and_add(&self_ipis, ipis);
		__sync_fetch_and_add(&self_queued, queued);
		return;
	}
	if (s->state != SLOT_COUNT)
		return;
	s->key.cpu = cpu;
	v = bpf_map_lookup_elem(&rows, &s->key);
	if (!v) {
		bpf_map_update_elem(&rows, &s->key, &first, BPF_NOEXIST);
		v = bpf_map_lookup_elem(&rows, &s->key);
	}
	if (!v) {
		__sync_fetch_and_add(&lost, ipis + queued);
		return;
	}
	if (ipis)
		__sync_fetch_and_add(&v->ipis, ipis);
	if (queued)
		__sync_fetch_and_add(&v->queued, queued);
}

inline_always int sends(void) { return has(senders, bpf_get_smp_processor_id()); }

/* csd_queue_cpu(cpu, callsite, func, csd): why. */
SEC("raw_tracepoint/csd_queue_cpu")
int queue(struct bpf_raw_tracepoint_args *ctx)
{
	u32 cpu = ctx->args[0], level;
	struct slot *s;
	struct cpu *c;

	if (!has(victims, cpu) || !sends())
		return 0;
	c = this_cpu();
	if (!c)
		return 0;
	level = level_of(c);
	s = bpf_map_lookup_elem(&slots, &level);
	if (!s)
		return 0;
	fill(s, c, ctx);
	s->key.func = ctx->args[2];
	s->key.kind = KIND_CALL;
	count(s, cpu, 0, 1);
	return 0;
}

/* slot_of_ipi finds what an IPI is for: what this CPU has queued last in the same
 * context. Reschedules are for nothing that is queued. */
inline_always struct slot *slot_of_ipi(void *ctx, u64 callback)
{
	struct cpu *c = this_cpu();
	struct slot *s;
	u32 level;

	if (!c)
		return 0;
	level = level_of(c);
	if (!callback)
		level += LEVELS;
	s = bpf_map_lookup_elem(&slots, &level);
	if (!s)
		return 0;
	if (callback && s->state != SLOT_EMPTY)
		return s;
	fill(s, c, ctx);
	s->key.func = 0;
	s->key.kind = callback ? KIND_CALL : KIND_RESCHED;
	return s;
}

/* ipi_send_cpu(cpu, callsite, callback): an interrupt went out. */
SEC("raw_tracepoint/ipi_send_cpu")
int send_one(struct bpf_raw_tracepoint_args *ctx)
{
	u32 cpu = ctx->args[0];
	struct slot *s;

	if (!has(victims, cpu) || !sends())
		return 0;
	s = slot_of_ipi(ctx, ctx->args[2]);
	if (s)
		count(s, cpu, 1, 0);
	return 0;
}

struct walk {
	const u64 *mask;
	struct slot *slot;
	u64 bits;
	u32 first;
};

static long each_bit(u32 i, struct walk *w)
{
	if (w->bits >> (i & 63) & 1)
		count(w->slot, w->first + i, 1, 0);
	return 0;
}

static long each_word(u32 i, struct walk *w)
{
	u64 word = 0;

	if (i >= WORDS || !victims[i])
		return 0;
	if (bpf_probe_read_kernel(&word, sizeof(word), w->mask + i)) {
		__sync_fetch_and_add(&lost, 1);
		return 1;
	}
	w->bits = word & victims[i];
	if (!w->bits)
		return 0;
	w->first = i * 64;
	bpf_loop(64, each_bit, w, 0);
	return 0;
}

/* ipi_send_cpumask(mask, callsite, callback): the same for several CPUs. */
SEC("raw_tracepoint/ipi_send_cpumask")
int send_many(struct bpf_raw_tracepoint_args *ctx)
{
	struct walk w = {.mask = (const u64 *)ctx->args[0]};

	if (!sends())
		return 0;
	w.slot = slot_of_ipi(ctx, ctx->args[2]);
	if (!w.slot)
		return 0;
	bpf_loop(words, each_word, &w, 0);
	return 0;
}

/* workqueue_queue_work(req_cpu, pwq, work) */
SEC("raw_tracepoint/workqueue_queue_work")
int work_queued(struct bpf_raw_tracepoint_args *ctx)
{
	u64 work = ctx->args[2];
	struct cpu *c = this_cpu();
	struct work *fresh, *known;
	u32 level;

	if (!c)
		return 0;
	level = level_of(c);
	fresh = bpf_map_lookup_elem(&queued_now, &level);
	if (!fresh)
		return 0;
	find(&fresh->pending, c, 0);
	fresh->pending.known = 1;
	known = bpf_map_lookup_elem(&works, &work);
	if (known)
		__builtin_memcpy(&known->pending, &fresh->pending, sizeof(known->pending));
	else
		bpf_map_update_elem(&works, &work, fresh, BPF_ANY);
	return 0;
}

/* workqueue_execute_start(work) */
SEC("raw_tracepoint/workqueue_execute_start")
int work_starts(struct bpf_raw_tracepoint_args *ctx)
{
	u64 work = ctx->args[0];
	struct work *w = bpf_map_lookup_elem(&works, &work);

	if (w)
		__builtin_memcpy(&w->running, &w->pending, sizeof(w->running));
	return 0;
}

/* The rest runs on the victim: what an interrupt costs, and in which interrupt a CPU is. */

inline_always void pay(struct cpu *c, u64 now)
{
	struct cost_key k = {.func = c->func, .cpu = bpf_get_smp_processor_id(), .kind = c->cost_kind};
	struct cost first = {}, *v;

	v = bpf_map_lookup_elem(&costs, &k);
	if (!v) {
		bpf_map_update_elem(&costs, &k, &first, BPF_NOEXIST);
		v = bpf_map_lookup_elem(&costs, &k);
	}
	if (!v)
		return;
	v->runs++;
	v->ns += now - c->since;
}

inline_always int enters(u8 kind)
{
	struct cpu *c = this_cpu();

	if (!c)
		return 0;
	c->hard = CTX_IRQ;
	c->func = 0;
	c->cost_kind = kind;
	c->since = has(victims, bpf_get_smp_processor_id()) ? bpf_ktime_get_ns() : 0;
	return 0;
}

inline_always int leaves(void)
{
	struct cpu *c = this_cpu();

	if (!c)
		return 0;
	if (c->since)
		pay(c, bpf_ktime_get_ns());
	c->since = 0;
	c->hard = 0;
	return 0;
}

/* csd_function_entry(func, csd): the first function of an interrupt pays for entering it,
 * the last one for leaving it. Functions that an idle CPU runs without an interrupt
 * (kernel/smp.c, flush_smp_call_function_queue) cost nothing. */
SEC("raw_tracepoint/csd_function_entry")
int call_runs(struct bpf_raw_tracepoint_args *ctx)
{
	struct cpu *c = this_cpu();
	u64 now;

	if (!c || !c->since)
		return 0;
	if (c->func) {
		now = bpf_ktime_get_ns();
		pay(c, now);
		c->since = now;
	}
	c->func = ctx->args[0];
	return 0;
}

SEC("raw_tracepoint/call_function_single_entry")
int single_entry(void *ctx) { return enters(KIND_CALL); }

SEC("raw_tracepoint/call_function_single_exit")
int single_exit(void *ctx) { return leaves(); }

SEC("raw_tracepoint/call_function_entry")
int many_entry(void *ctx) { return enters(KIND_CALL); }

SEC("raw_tracepoint/call_function_exit")
int many_exit(void *ctx) { return leaves(); }

SEC("raw_tracepoint/reschedule_entry")
int resched_entry(void *ctx) { return enters(KIND_RESCHED); }

SEC("raw_tracepoint/reschedule_exit")
int resched_exit(void *ctx) { return leaves(); }

SEC("raw_tracepoint/irq_work_entry")
int irq_work_entry(void *ctx)
{
	u32 cpu = bpf_get_smp_processor_id(), level = LEVELS + LEVEL_IRQ;
	struct slot *s;

	enters(KIND_IRQ_WORK);
	s = bpf_map_lookup_elem(&slots, &level);
	if (!s || !counting || by_tgid || by_pid || !has(victims, cpu))
		return 0;
	/* A CPU sends these to itself, and who made it do so is not known. */
	nobody(&s->key.origin);
	__builtin_memset(s->key.via, 0, sizeof(s->key.via));
	s->key.origin.context = CTX_IRQ;
	s->key.func = 0;
	s->key.stack = -1;
	s->key.kind = KIND_IRQ_WORK;
	s->state = SLOT_COUNT;
	count(s, cpu, 1, 0);
	return 0;
}

SEC("raw_tracepoint/irq_work_exit")
int irq_work_exit(void *ctx) { return leaves(); }

inline_always int hard(u8 context)
{
	struct cpu *c = this_cpu();

	if (c)
		c->hard = context;
	return 0;
}

SEC("raw_tracepoint/local_timer_entry")
int timer_entry(void *ctx) { return hard(CTX_TIMER); }

SEC("raw_tracepoint/local_timer_exit")
int timer_exit(void *ctx) { return hard(0); }

SEC("raw_tracepoint/irq_handler_entry")
int irq_entry(void *ctx) { return hard(CTX_IRQ); }

SEC("raw_tracepoint/irq_handler_exit")
int irq_exit(void *ctx) { return hard(0); }

/* softirq_entry(vec) */
SEC("raw_tracepoint/softirq_entry")
int softirq_entry(struct bpf_raw_tracepoint_args *ctx)
{
	struct cpu *c = this_cpu();

	if (!c)
		return 0;
	c->soft = 1;
	c->vec = ctx->args[0];
	c->soft_tid = (u32)bpf_get_current_pid_tgid();
	return 0;
}

SEC("raw_tracepoint/softirq_exit")
int softirq_exit(void *ctx)
{
	struct cpu *c = this_cpu();

	if (c)
		c->soft = 0;
	return 0;
}

/* Run once at the start: as which process the first namespace knows the tracer. */
SEC("raw_tracepoint/whoami")
int whoami(void *ctx)
{
	whoami_tgid = bpf_get_current_pid_tgid() >> 32;
	return 0;
}

char dual_license[] SEC("license") = "Dual MIT/GPL";
