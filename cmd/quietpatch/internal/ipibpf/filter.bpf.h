/* Filters: the comparisons that filter.go has compiled, run for each call and each victim. A part of
 * ipi.bpf.c, whose structures and constants it uses.
 */
/* What a filter looks at beyond the slot. */
struct record {
	const struct slot *slot;
	const u64 *mask; /* of an IPI to several CPUs */
	u32 cpu;
	u32 sender;
	u32 next;   /* step */
	u32 common; /* a bit for each set: the IPI goes to some of it; */
	u32 differ; /* not just to it */
	u32 many;   /* these bits count */
	u32 word;
	u64 bits;
};

inline_always int compare(u8 op, u64 a, u64 b)
{
	switch (op) {
	case OP_NE:
		return a != b;
	case OP_EQ:
		return a == b;
	case OP_LE:
		return (s64)a <= (s64)b;
	case OP_LT:
		return (s64)a < (s64)b;
	case OP_GE:
		return (s64)a >= (s64)b;
	case OP_GT:
		return (s64)a > (s64)b;
	}
	return (a & b) != 0;
}

inline_always int is_name(const char *name, const volatile struct step *s)
{
	const u64 *words = (const u64 *)name;
	int same = words[0] == s->value[0] && words[1] == s->value[1];

	return s->op == OP_EQ ? same : !same;
}

inline_always int in_set(u32 set, u32 cpu) { return has(sets[set & (SETS - 1)], cpu); }

/* mask_is compares all victims with a set. */
inline_always int mask_is(const volatile struct step *s, const struct record *r)
{
	u32 set = s->set & (SETS - 1);
	int common, same;

	if (r->many) {
		common = r->common >> set & 1;
		same = !(r->differ >> set & 1);
	} else {
		common = in_set(set, r->cpu);
		same = common && s->value[0] == 1; /* CPUs in the set */
	}
	switch (s->op) {
	case OP_EQ:
		return same;
	case OP_NE:
		return !same;
	}
	return common;
}

inline_always int holds(const volatile struct step *s, const struct record *r)
{
	const struct key *k = &r->slot->key;
	u64 v = 0;

	switch (s->field) {
	case FIELD_CPU:
		v = r->cpu;
		break;
	case FIELD_SENDER:
		v = r->sender;
		break;
	case FIELD_TID:
		v = (s64)(s32)k->origin.tid;
		break;
	case FIELD_TGID:
		v = (s64)(s32)k->origin.tgid;
		break;
	case FIELD_KIND:
		v = k->kind;
		break;
	case FIELD_FUNC: /* s64 orders numbers without a sign if their highest bits are inverted */
		v = k->func;
		if (s->op >= OP_LE && s->op <= OP_GT)
			v ^= 1ull << 63;
		break;
	case FIELD_THREAD:
		return is_name(k->origin.thread, s);
	case FIELD_COMM:
		return is_name(k->origin.comm, s);
	case FIELD_CPU_IN:
		return in_set(s->set, r->cpu);
	case FIELD_SENDER_IN:
		return in_set(s->set, r->sender);
	case FIELD_MASK:
		return mask_is(s, r);
	}
	return compare(s->op, v, s->value[0]);
}

static long each_step(u32 i, struct record *r)
{
	u32 at = r->next;
	const volatile struct step *s = &filter[at & (STEPS - 1)];

	if (at >= steps)
		return 1;
	r->next = holds(s, r) == s->when ? s->target : at + 1;
	return 0;
}

/* passes runs the filter: it ends behind the last step if it is true, and one behind that if not.
 * The verifier of Linux 6.1 looks at the function of a loop once, with what is known at the begin: the
 * first step would be all that it leaves of the code. So it must not know which one is first.
 */
inline_always int passes(struct record *r)
{
	r->next = first_step;
	r->sender = bpf_get_smp_processor_id();
	if (steps)
		bpf_loop(steps, each_step, r, 0);
	return r->next == steps;
}

/* lets_pass runs the filter once for a call and its IPI. */
inline_always int lets_pass(struct slot *s, struct record *r, u32 cpu)
{
	if (s->judged == cpu + 1 && !r->many)
		return s->passed;
	r->slot = s;
	r->cpu = cpu;
	s->passed = passes(r);
	s->judged = r->many ? 0 : cpu + 1;
	return s->passed;
}

static long each_set(u32 i, struct record *r)
{
	u64 word;

	if (i >= SETS || r->word >= WORDS)
		return 1;
	word = sets[i][r->word];
	if (word & r->bits)
		r->common |= 1 << i;
	if (word != r->bits)
		r->differ |= 1 << i;
	return 0;
}

static long each_mask_word(u32 i, struct record *r)
{
	r->bits = 0;
	bpf_probe_read_kernel(&r->bits, sizeof(r->bits), r->mask + i);
	r->word = i;
	bpf_loop(filter_sets, each_set, r, 0);
	return 0;
}
