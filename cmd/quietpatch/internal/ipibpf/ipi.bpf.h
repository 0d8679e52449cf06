/* What the programs need of the kernel, by hand: the types of vmlinux.h that they read, and the
 * helpers they call. Offsets are looked up when the programs are loaded (CO-RE), so a struct
 * lists only the fields that are read. Neither libbpf's headers nor a generated vmlinux.h are
 * needed, and their versions do not change the object.
 */
#ifndef IPI_BPF_H
#define IPI_BPF_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define inline_always static inline __attribute__((always_inline))
#define no_inline static __attribute__((noinline))
#define __uint(name, val) int(*name)[val]
#define __array(name, val) typeof(val) *name[]
#define __type(name, val) typeof(val) *name

/* Whether the kernel has a field, and where (clang, BPF_FIELD_EXISTS and BPF_FIELD_BYTE_OFFSET). */
#define field_exists(field) __builtin_preserve_field_info(field, 2)
#define field_offset(type, field) __builtin_preserve_field_info(((type *)0)->field, 0)

/* include/uapi/linux/bpf.h */
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_STACK_TRACE = 7,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
};

struct bpf_raw_tracepoint_args {
	u64 args[0];
};

/* What a kprobe sees at the entry of a function: struct pt_regs of x86-64, which user space
 * relies on, too (arch/x86/include/uapi/asm/ptrace.h). The arguments are in di, si, dx, cx.
 */
struct entry_regs {
	u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct thread_info {
	u32 status;
};

struct signal_struct {
	s32 nr_threads;
};

struct task_struct {
	struct thread_info thread_info;
	u32 flags;
	s32 pid;
	s32 tgid;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct signal_struct *signal;
	void *worker_private;
	char comm[16];
	s32 softirq_disable_cnt;
};

struct upid {
	s32 nr;
	void *ns;
};

struct pid {
	u32 level;
	struct upid numbers[1];
};

struct llist_node {
	void *next;
};

struct __call_single_node {
	struct llist_node llist;
	u32 u_flags;
};

struct __call_single_data {
	struct __call_single_node node;
	void *func;
};

struct pt_regs {
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
};

struct kthread {
	void *data;
};

struct bpf_array {
	void *pptrs[1];
};

struct work_struct {
	void *func;
};

struct worker {
	void *current_work;
	void *current_func;
};

#pragma clang attribute pop

/* The helpers of bpf-helpers(7), by number. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*const bpf_get_stackid)(void *ctx, void *map, u64 flags) = (void *)27;
static u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;
static long (*const bpf_probe_read_kernel)(void *dst, u32 size, const void *from) = (void *)113;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;
static struct pt_regs *(*const bpf_task_pt_regs)(struct task_struct *task) = (void *)175;
static long (*const bpf_loop)(u32 nr, void *callback, void *ctx, u64 flags) = (void *)181;

#endif
