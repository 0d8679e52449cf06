/* The events of senders: calls that are queued, interrupts that go out. A part of ipi.bpf.c. */

inline_always int sends(void) { return has(senders, bpf_get_smp_processor_id()); }

/* slot_at is where what is queued now is kept for the IPI that may follow; from LEVELS on, where what is
 * for nothing that was queued is put together.
 */
inline_always struct slot *slot_at(u32 level) { return bpf_map_lookup_elem(&slots, &level); }

inline_always int queues(void *ctx, u32 cpu, u64 func)
{
	struct record r = {};
	struct slot *s;
	struct cpu *c;
	u32 level;

	if (!has(victims, cpu) || !sends())
		return 0;
	c = this_cpu();
	if (!c)
		return 0;
	level = level_of(c);
	s = slot_at(level);
	if (!s)
		return 0;
	fill(s, c, ctx, level);
	s->late = 0;
	s->key.func = func;
	s->key.kind = KIND_CALL;
	count(s, &r, cpu, 0, 1);
	return 0;
}

/* csd_queue_cpu(cpu, callsite, func, csd): why. */
SEC("raw_tracepoint/csd_queue_cpu")
int queue(struct bpf_raw_tracepoint_args *ctx) { return queues(ctx, ctx->args[0], ctx->args[2]); }

/* slot_of_ipi finds what an IPI is for: what this CPU has queued last in the same
 * context. Reschedules are for nothing that is queued. While the tracer starts and stops, the event
 * that says what is queued may be off, and who sends is looked up again.
 */
inline_always struct slot *slot_of_ipi(void *ctx, int call)
{
	struct cpu *c = this_cpu();
	struct slot *s;
	u32 level;
	u64 func = 0;

	if (!c)
		return 0;
	level = level_of(c);
	s = slot_at(call ? level : LEVELS + level);
	if (!s)
		return 0;
	if (by_kprobes && call && s->late)
		func = s->key.func;
	else if (call && s->state != SLOT_EMPTY && counting)
		return s;
	fill(s, c, ctx, level);
	s->key.func = func;
	s->key.kind = call ? KIND_CALL : KIND_RESCHED;
	return s;
}

inline_always u64 queued_with(const struct slot *s) { return by_kprobes && s->late; }

inline_always int sends_one(void *ctx, u32 cpu, int call)
{
	struct record r = {};
	struct slot *s;

	if (!has(victims, cpu) || !sends())
		return 0;
	s = slot_of_ipi(ctx, call);
	if (!s)
		return 0;
	count(s, &r, cpu, 1, queued_with(s));
	s->late = 0;
	s->state = SLOT_EMPTY;
	return 0;
}

/* works_later is for irq_work, which a CPU sends to itself (kernel/irq_work.c, irq_work_raise): func will
 * do the work. That is for nothing that was queued.
 */
inline_always int works_later(void *ctx, u32 cpu, u64 func)
{
	struct cpu *c = this_cpu();
	struct record r = {};
	struct slot *s;
	u32 level;

	if (!c || !has(victims, cpu) || !sends())
		return 0;
	level = level_of(c);
	s = slot_at(LEVELS + level);
	if (!s)
		return 0;
	fill(s, c, ctx, level);
	s->key.func = func;
	s->key.kind = KIND_IRQ_WORK;
	count(s, &r, cpu, 1, 0);
	s->state = SLOT_EMPTY;
	return 0;
}

/* ipi_send_cpu(cpu, callsite, callback): an interrupt went out. The callback is that of all calls, or 0
 * for a reschedule, or the function of an irq_work.
 */
SEC("raw_tracepoint/ipi_send_cpu")
int send_one(struct bpf_raw_tracepoint_args *ctx)
{
	u32 cpu = ctx->args[0];
	u64 callback = ctx->args[2];

	if (callback && cpu == bpf_get_smp_processor_id())
		return works_later(ctx, cpu, callback);
	return sends_one(ctx, cpu, callback != 0);
}

struct walk {
	struct record record;
	const u64 *mask;
	struct slot *slot;
	u64 bits;
	u32 first;
};

/* A loop of no rounds must not be there: the verifier takes its function for dead code, and then misses
 * it (Linux 6.18, jit_subprogs).
 */
static long each_bit(u32 i, struct walk *w)
{
	if (w->bits >> (i & 63) & 1)
		count(w->slot, &w->record, w->first + i, 1, queued_with(w->slot));
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

/* any_word looks for a victim. What cannot be read is for each_word to say. */
static long any_word(u32 i, struct walk *w)
{
	u64 word = ~0ull;

	if (i >= WORDS || !victims[i])
		return 0;
	bpf_probe_read_kernel(&word, sizeof(word), w->mask + i);
	w->first = (word & victims[i]) != 0;
	return w->first;
}

inline_always int sends_many(void *ctx, const u64 *mask)
{
	struct walk w = {.mask = mask};

	if (!words || !sends())
		return 0;
	bpf_loop(words, any_word, &w, 0);
	if (!w.first)
		return 0; /* it is not worth looking who sends */
	w.slot = slot_of_ipi(ctx, 1);
	if (!w.slot)
		return 0;
	if (steps && by_mask) {
		w.record.mask = mask;
		w.record.many = 1;
		bpf_loop(mask_words, each_mask_word, &w.record, 0);
	}
	bpf_loop(words, each_word, &w, 0);
	w.slot->late = 0;
	w.slot->state = SLOT_EMPTY;
	return 0;
}

/* ipi_send_cpumask(mask, callsite, callback): the same for several CPUs. */
SEC("raw_tracepoint/ipi_send_cpumask")
int send_many(struct bpf_raw_tracepoint_args *ctx) { return sends_many(ctx, (const u64 *)ctx->args[0]); }

/* Kernels without these events have functions that do the same: those that send in
 * arch/x86/kernel/smp.c, and those that queue in kernel/smp.c.
 */

/* native_smp_send_reschedule(cpu) */
SEC("kprobe/native_smp_send_reschedule")
int probe_resched(struct entry_regs *ctx) { return sends_one(ctx, ctx->di, 0); }

/* native_send_call_func_single_ipi(cpu) */
SEC("kprobe/native_send_call_func_single_ipi")
int probe_single(struct entry_regs *ctx) { return sends_one(ctx, ctx->di, 1); }

/* native_send_call_func_ipi(mask) */
SEC("kprobe/native_send_call_func_ipi")
int probe_many(struct entry_regs *ctx) { return sends_many(ctx, (const u64 *)ctx->di); }

/* generic_exec_single(cpu, csd) queues by __smp_call_single_queue, which the compiler may have put
 * into it. What has been counted here is not counted there. A call for the own CPU is not queued.
 */
SEC("kprobe/generic_exec_single")
int probe_exec(struct entry_regs *ctx)
{
	const struct __call_single_data *csd = (void *)ctx->si;
	u32 cpu = ctx->di;
	struct cpu *c = this_cpu();
	u64 func = 0;

	if (!c || cpu == bpf_get_smp_processor_id())
		return 0;
	bpf_probe_read_kernel(&func, sizeof(func), &csd->func);
	c->counted = (u64)&csd->node.llist;
	return queues(ctx, cpu, func);
}

/* Of kernel/smp.c and include/linux/smp_types.h. */
#define CSD_FLAG_TYPE_MASK 0xf0
#define CSD_TYPE_TTWU 0x30

/* __smp_call_single_queue(cpu, node): also for irq_work, which has its function in the same
 * place, and for wakeups, which have none.
 */
SEC("kprobe/__smp_call_single_queue")
int probe_queue(struct entry_regs *ctx)
{
	const struct __call_single_data *csd = (void *)ctx->si;
	struct cpu *c = this_cpu();
	u64 func = ttwu_func;
	u32 flags = 0;

	if (!c)
		return 0;
	if (c->counted == ctx->si) {
		c->counted = 0;
		return 0;
	}
	bpf_probe_read_kernel(&flags, sizeof(flags), &csd->node.u_flags);
	if ((flags & CSD_FLAG_TYPE_MASK) != CSD_TYPE_TTWU)
		bpf_probe_read_kernel(&func, sizeof(func), &csd->func);
	return queues(ctx, ctx->di, func);
}

/* smp_call_function_many_cond(mask, func, ...): to which of the CPUs it will queue, only it knows. The
 * calls are counted with their IPIs.
 */
SEC("kprobe/smp_call_function_many_cond")
int probe_calls(struct entry_regs *ctx)
{
	struct cpu *c = this_cpu();
	struct slot *s;

	if (!c || !sends())
		return 0;
	s = slot_at(level_of(c));
	if (!s)
		return 0;
	s->key.func = ctx->si;
	s->late = 1;
	return 0;
}
