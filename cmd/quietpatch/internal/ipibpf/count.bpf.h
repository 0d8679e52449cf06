/* Whether an event counts, and counting it. A part of ipi.bpf.c. */

/* wanted looks a thread up in a set: for the filter, as who is blamed; for the options, as who
 * is blamed or sends itself.
 */
inline_always int wanted(void *set, u8 by, u32 blamed, u32 sends, const struct origin *o)
{
	u8 *found = bpf_map_lookup_elem(set, &blamed), as = found ? *found : 0;

	if (o->context < CTX_SOFTIRQ && sends != blamed && !(as & 1)) {
		found = bpf_map_lookup_elem(set, &sends);
		if (found)
			as |= *found & 1;
	}
	return (as & by) == by;
}

/* fill says in a slot who sends, and whether that is to be counted. */
no_inline void fill(struct slot *s, const struct cpu *c, void *ctx, u32 level)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct origin *o = &s->key.origin;
	u32 self = self_tgid;

	s->judged = 0;
	__builtin_memset(s->key.via, 0, sizeof(s->key.via));
	find(o, c, s->key.via, level);
	s->key.stack = -1;
	if (self && o->tgid == self) {
		s->state = SLOT_SELF;
		return;
	}
	s->state = SLOT_SKIP;
	if (!counting)
		return;
	if (by_tgid && !wanted(&tgids, by_tgid, o->tgid, number(t->group_leader, t->tgid), o))
		return;
	if (by_pid && !wanted(&pids, by_pid, o->tid, number(t, t->pid), o))
		return;
	s->state = SLOT_COUNT;
	if (with_stacks) {
		s->key.stack = bpf_get_stackid(ctx, &stacks, 0);
		if (s->key.stack < 0)
			s->key.stack = -1;
	}
}

#include "filter.bpf.h"

inline_always void count(struct slot *s, struct record *r, u32 cpu, u64 ipis, u64 queued)
{
	struct value first = {}, *v = 0;
	u32 zero = 0;
	void *table;

	if (s->state == SLOT_SELF) {
		__sync_fetch_and_add(&self_ipis, ipis);
		__sync_fetch_and_add(&self_queued, queued);
		return;
	}
	if (s->state != SLOT_COUNT)
		return;
	if (steps && !lets_pass(s, r, cpu))
		return;
	s->key.cpu = cpu;
	table = bpf_map_lookup_elem(&rows, &zero);
	if (table)
		v = bpf_map_lookup_elem(table, &s->key);
	if (table && !v) {
		if (!bpf_map_update_elem(table, &s->key, &first, BPF_NOEXIST))
			__sync_fetch_and_add(&used, 1);
		v = bpf_map_lookup_elem(table, &s->key);
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
