/* Who is behind what a CPU does: threads, kworkers, softirqs. A part of ipi.bpf.c. */

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

/* preempt_count is that of this CPU. Its address is found by that of a value of a map, which are at the
 * same distance from what the kernel calls their addresses (include/linux/percpu-defs.h, per_cpu_ptr).
 */
inline_always u32 preempt_count(struct cpu *c)
{
	u32 count = 0;

	if (!c->preempt) {
		c->self = (u64)c;
		c->preempt = *(volatile u64 *)&c->self - cpus_at + preempt_at;
	}
	bpf_probe_read_kernel(&count, sizeof(count), (void *)c->preempt);
	if (by_kprobes && count & COUNT_NMI)
		count -= COUNT_OF_INT3;
	return count;
}

/* With PREEMPT_RT threads have softirqs in their hands (kernel/softirq.c, __local_bh_disable_ip). */
inline_always u32 softirq_count(u32 count)
{
	struct task_struct *t = bpf_get_current_task_btf();

	return field_exists(t->softirq_disable_cnt) ? (u32)t->softirq_disable_cnt : count;
}

inline_always u32 level_of(struct cpu *c)
{
	u32 count;

	if (!preempt_at) {
		if (c->hard)
			return LEVEL_IRQ;
		return in_softirq(c) ? LEVEL_SOFTIRQ : LEVEL_TASK;
	}
	count = preempt_count(c);
	if (count & COUNT_NMI)
		return LEVEL_NMI;
	if (count & COUNT_HARD)
		return LEVEL_IRQ;
	return softirq_count(count) & COUNT_SOFT ? LEVEL_SOFTIRQ : LEVEL_TASK;
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

/* number_of is that of a thread in the tracer's PID namespace, 0 if it is not in there
 * (include/linux/pid.h). first is its number in the first namespace.
 */
inline_always u32 number_of(struct pid *p, u32 first)
{
	u32 level = ns_level, own = 0;
	struct upid in = {};

	if (!level)
		return first;
	if (!p || bpf_probe_read_kernel(&own, sizeof(own), &p->level) || own < level)
		return 0;
	bpf_probe_read_kernel(&in, sizeof(in), (char *)&p->numbers + level * sizeof(in));
	return (u64)in.ns == ns ? in.nr : 0;
}

inline_always u32 number(struct task_struct *t, u32 first)
{
	return ns_level ? number_of(t->thread_pid, first) : first;
}

/* until_zero keeps the bytes before the first that is 0: that, and maybe some behind it, lose their
 * highest bit if 1 is taken from each.
 */
inline_always u64 until_zero(u64 v)
{
	u64 zeros = (v - 0x0101010101010101) & ~v & 0x8080808080808080;

	return zeros ? v & (((zeros & -zeros) >> 7) - 1) : v;
}

inline_always void name(char to[16], const char *from)
{
	u64 *words = (u64 *)to, first;

	bpf_probe_read_kernel(to, 16, from);
	first = until_zero(words[0]);
	words[1] = first >> 56 ? until_zero(words[1]) : 0;
	words[0] = first;
}

/* names has zeros behind the names: they are parts of keys, and filters compare them as numbers.
 * The idle threads of all CPUs have one name.
 */
inline_always void names(char comm[16], char thread[16], struct task_struct *t)
{
	struct task_struct *leader = t->group_leader;

	if (!t->pid) {
		((u64 *)comm)[0] = ((u64 *)thread)[0] = SWAPPER;
		((u64 *)comm)[1] = ((u64 *)thread)[1] = 0;
		return;
	}
	name(thread, t->comm);
	name(comm, leader->comm);
}

inline_always void of_task(struct origin *o, struct task_struct *t)
{
	o->tgid = number(t->group_leader, t->tgid);
	o->tid = number(t, t->pid);
	names(o->comm, o->thread, t);
}

inline_always struct worker *worker_of(struct task_struct *t)
{
	struct kthread *k = t->worker_private;
	struct worker *w = 0;

	bpf_probe_read_kernel(&w, sizeof(w), &k->data);
	return w;
}

inline_always u64 work_of(const struct worker *w)
{
	u64 work = 0;

	if (w)
		bpf_probe_read_kernel(&work, sizeof(work), &w->current_work);
	return work;
}

/* of_kworker finds who queued the work that a kworker does now. */
inline_always int of_kworker(struct origin *o, struct task_struct *t)
{
	struct worker *w = worker_of(t);
	u64 work = work_of(w), func = 0;
	struct work *known;

	if (!work)
		return 0;
	bpf_probe_read_kernel(&func, sizeof(func), &w->current_func);
	known = bpf_map_lookup_elem(&works, &work);
	if (known && known->running.known) {
		__builtin_memcpy(o, &known->running, sizeof(*o));
		o->work = func;
		return 1;
	}
	o->work = func;
	return 0;
}

/* goes_on tells whether a work item queues itself again, from its own run: nobody asked for that. */
inline_always int goes_on(u64 work, u32 level)
{
	struct task_struct *t = bpf_get_current_task_btf();

	return level == LEVEL_TASK && t->flags & PF_WQ_WORKER && work_of(worker_of(t)) == work;
}

inline_always u64 func_of(u64 work)
{
	u64 func = 0;

	bpf_probe_read_kernel(&func, sizeof(func), &((struct work_struct *)work)->func);
	return func;
}

/* is_worker knows the threads that the kernel makes for a process, of io_uring and vhost (kernel/fork.c,
 * create_io_thread; kernel/vhost_task.c). They are in no system call: the registers are a copy of those of the
 * thread that made them, and stay so (arch/x86/kernel/process.c, copy_thread).
 */
inline_always int is_worker(const struct task_struct *t) { return (t->flags & (PF_IO_WORKER | PF_USER_WORKER)) != 0; }

/* find says who is behind what this CPU does now. */
no_inline void find(struct origin *o, const struct cpu *c, char via[16], u32 level)
{
	struct task_struct *t;
	struct pt_regs *regs;

	nobody(o);
	if (level >= LEVEL_IRQ) {
		o->context = level == LEVEL_IRQ && c->hard ? c->hard : CTX_IRQ;
		return;
	}
	if (level == LEVEL_SOFTIRQ) {
		o->context = CTX_SOFTIRQ;
		o->softirq = c->vec;
		return;
	}
	t = bpf_get_current_task_btf();
	if (t->flags & PF_WQ_WORKER) {
		if (via)
			name(via, t->comm);
		if (of_kworker(o, t))
			return;
	}
	of_task(o, t);
	if (t->flags & PF_KTHREAD) {
		o->context = CTX_KTHREAD;
		return;
	}
	o->cgroup = bpf_get_current_cgroup_id();
	if (is_worker(t)) {
		o->context = CTX_WORKER;
		return;
	}
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
