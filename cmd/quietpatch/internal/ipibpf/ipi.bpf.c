//go:build ignore

/* Who sends IPIs to the watched CPUs, counted in the kernel. doc.go has the whole story. */
#include "ipi.bpf.h"
#include "state.bpf.h"
#include "origin.bpf.h"
#include "count.bpf.h"
#include "send.bpf.h"

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
	find(&fresh->pending, c, 0, level);
	fresh->pending.known = !goes_on(work, level);
	fresh->func = func_of(work);
	known = bpf_map_lookup_elem(&works, &work);
	if (known) {
		__builtin_memcpy(&known->pending, &fresh->pending, sizeof(known->pending));
		known->func = fresh->func;
	} else {
		bpf_map_update_elem(&works, &work, fresh, BPF_ANY);
	}
	return 0;
}

/* workqueue_execute_start(work): who queued it is good for one run. Items on stacks, by which others wait for a
 * work (kernel/workqueue.c, insert_wq_barrier), are queued without an event, maybe where another item was.
 */
SEC("raw_tracepoint/workqueue_execute_start")
int work_starts(struct bpf_raw_tracepoint_args *ctx)
{
	u64 work = ctx->args[0];
	struct work *w = bpf_map_lookup_elem(&works, &work);

	if (!w)
		return 0;
	__builtin_memcpy(&w->running, &w->pending, sizeof(w->running));
	if (w->func != func_of(work))
		w->running.known = 0;
	w->pending.known = 0;
	return 0;
}

#include "victim.bpf.h"

/* sched_process_fork(parent, child): the children of processes that were asked for are, too. Threads
 * have the number of their process.
 */
SEC("raw_tracepoint/sched_process_fork")
int forked(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = bpf_get_current_task_btf(), *child = (void *)ctx->args[1];
	u32 from = number(parent->group_leader, parent->tgid), to = 0, first = 0;
	u8 *as = bpf_map_lookup_elem(&tgids, &from), asked = 1;
	struct pid *p = 0;

	if (!as || !(*as & 1))
		return 0;
	bpf_probe_read_kernel(&first, sizeof(first), &child->tgid);
	if (first == parent->tgid)
		return 0;
	bpf_probe_read_kernel(&p, sizeof(p), &child->thread_pid);
	to = number_of(p, first);
	as = bpf_map_lookup_elem(&tgids, &to);
	if (as)
		asked |= *as;
	if (to && bpf_map_update_elem(&tgids, &to, &asked, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

/* sched_process_exit(task): what a thread closes at its end comes after this, and as long as nobody has waited
 * for it the number is its own. So the number is kept until the thread is freed.
 */
SEC("raw_tracepoint/sched_process_exit")
int exits(void *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct ids ids = {};
	u64 key = (u64)t;

	ids.tid = number(t, t->pid);
	if (t->pid == t->tgid)
		ids.tgid = ids.tid;
	if (ids.tgid && bpf_map_lookup_elem(&tgids, &ids.tgid))
		bpf_map_update_elem(&dying, &key, &ids, BPF_ANY);
	else if (ids.tid && bpf_map_lookup_elem(&pids, &ids.tid))
		bpf_map_update_elem(&dying, &key, &ids, BPF_ANY);
	return 0;
}

/* lives_on tells whether the process of a thread that is freed has others. A leader is freed last, unless another
 * thread calls exec, which then is the leader and has its number (fs/exec.c, de_thread). That may be long after the
 * leader's end, and the thread can be killed while it still waits for others to end.
 */
inline_always int lives_on(struct task_struct *t)
{
	struct signal_struct *signal = 0;
	s32 threads = 0;

	bpf_probe_read_kernel(&signal, sizeof(signal), &t->signal);
	bpf_probe_read_kernel(&threads, sizeof(threads), &signal->nr_threads);
	return threads > 0;
}

/* sched_process_free(task): others may have its number now. */
SEC("raw_tracepoint/sched_process_free")
int freed(struct bpf_raw_tracepoint_args *ctx)
{
	u64 key = ctx->args[0];
	struct ids *ids = bpf_map_lookup_elem(&dying, &key);

	if (!ids)
		return 0;
	if (!ids->tgid || !lives_on((void *)key)) {
		if (ids->tgid)
			bpf_map_delete_elem(&tgids, &ids->tgid);
		bpf_map_delete_elem(&pids, &ids->tid);
	}
	bpf_map_delete_elem(&dying, &key);
	return 0;
}

/* Run once at the start: in which PID namespace the tracer is, and as whom that knows it; and where the
 * kernel has the map of CPUs.
 */
SEC("raw_tracepoint/whoami")
int whoami(void *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct pid *p = t->thread_pid;
	u32 level = p ? p->level : 0;
	struct upid in = {};

	if (p)
		bpf_probe_read_kernel(&in, sizeof(in), (char *)&p->numbers + level * sizeof(in));
	ns = (u64)in.ns;
	ns_level = level;
	whoami_tgid = number(t->group_leader, t->tgid);
	cpus_map = (u64)&cpus;
	bpf_probe_read_kernel(&cpus_at, sizeof(cpus_at), (void *)*(volatile u64 *)&cpus_map + field_offset(struct bpf_array, pptrs));
	return 0;
}

/* Run by tests only: whether the filter lets the record of the slot pass. The arguments are the victim, and
 * whether the IPI is for all CPUs in judged.
 */
SEC("raw_tracepoint/judge")
int judge(struct bpf_raw_tracepoint_args *ctx)
{
	struct record r = {.cpu = ctx->args[0], .many = ctx->args[1], .mask = judged};
	u32 level = 0;

	r.slot = bpf_map_lookup_elem(&slots, &level);
	if (!r.slot)
		return -1;
	if (r.many && by_mask)
		bpf_loop(mask_words, each_mask_word, &r, 0);
	return passes(&r);
}

char dual_license[] SEC("license") = "Dual MIT/GPL";
