/* The events of victims: what an interrupt costs, and in which interrupt a CPU is. A part of ipi.bpf.c. */

/* interrupts says which thread paid. */
no_inline void interrupts(const struct cost_key *cost, u64 ns)
{
	struct thread_key k = {.func = cost->func, .cpu = cost->cpu, .kind = cost->kind};
	struct task_struct *t = bpf_get_current_task_btf();
	struct cost first = {}, *v;

	k.tgid = number(t->group_leader, t->tgid);
	k.tid = number(t, t->pid);
	names(k.comm, k.thread, t);
	v = bpf_map_lookup_elem(&interrupted, &k);
	if (!v) {
		bpf_map_update_elem(&interrupted, &k, &first, BPF_NOEXIST);
		v = bpf_map_lookup_elem(&interrupted, &k);
	}
	if (!v) {
		__sync_fetch_and_add(&lost, 1);
		return;
	}
	v->runs++;
	v->ns += ns;
}

inline_always void pay(struct cpu *c, u64 now)
{
	struct cost_key k = {.func = c->func, .cpu = bpf_get_smp_processor_id(), .kind = c->cost_kind};
	struct cost first = {}, *v;

	if (!counting)
		return;
	v = bpf_map_lookup_elem(&costs, &k);
	if (!v) {
		bpf_map_update_elem(&costs, &k, &first, BPF_NOEXIST);
		v = bpf_map_lookup_elem(&costs, &k);
	}
	if (v) {
		v->runs++;
		v->ns += now - c->since;
	} else {
		__sync_fetch_and_add(&lost, 1);
	}
	if (with_interrupted)
		interrupts(&k, now - c->since);
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
	struct record r = {};
	struct slot *s;

	enters(KIND_IRQ_WORK);
	if (!by_kprobes)
		return 0; /* seen when it was sent */
	s = bpf_map_lookup_elem(&slots, &level);
	if (!s || !counting || !has(victims, cpu) || !sends())
		return 0;
	/* Who made the CPU send it to itself is not known. */
	nobody(&s->key.origin);
	__builtin_memset(s->key.via, 0, sizeof(s->key.via));
	s->key.origin.context = CTX_IRQ;
	s->key.func = 0;
	s->key.stack = -1;
	s->key.kind = KIND_IRQ_WORK;
	s->judged = 0;
	if (by_tgid && !wanted(&tgids, by_tgid, 0, 0, &s->key.origin))
		return 0;
	if (by_pid && !wanted(&pids, by_pid, 0, 0, &s->key.origin))
		return 0;
	s->state = SLOT_COUNT;
	count(s, &r, cpu, 1, 0);
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
