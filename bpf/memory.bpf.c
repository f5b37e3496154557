// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Memory of the target: what its allocators hand out and get back, sampled by bytes; what it maps;
 * its page faults; processes that the kernel ends for want of memory.
 *
 * Sampling: allocations are sampled as points of a Poisson process over the bytes that are handed
 * out, one in `sample_bytes` on average, so that large ones are seen more often than small ones.
 * An allocation of n bytes is seen with probability 1 - exp(-n / sample_bytes); user space derives
 * its weight from that. Only a sampled one costs a stack and an event, and only its end is told.
 *
 * Sampling is done here, at probes on the allocator, which trap at each call; or in the program
 * itself, by the library of workbench/preload/memory.c: then the programs told_... run for what is sampled.
 */
#include "stack.bpf.h"
#include "syscall.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

typedef __u64 wb_user_address;
typedef __u16 wb_memory_op;

const volatile __u32 kernel_stacks = 0;
const volatile __u32 user_stacks = 1;
const volatile __u32 python_stacks = 1;
const volatile __u64 sample_bytes = 0; /* 0: every allocation */
/* Waiting times of the Poisson process in units of sample_bytes / 2^16: the means of as many equal
 * parts of the exponential distribution as there are entries, made by user space. */
#define WAITS 1024
const volatile __u32 waits[WAITS] = {};

/* What happened; event_texts.py has the same names. */
enum wb_memory_op {
	WB_MEMORY_ALLOC, /* malloc and the like */
	WB_MEMORY_FREE,  /* the end of an allocation whose begin is an event */
	WB_MEMORY_MAP,   /* mmap, and brk upwards */
	WB_MEMORY_UNMAP, /* munmap, and brk downwards */
	WB_MEMORY_FAULT, /* a page that was touched and was not there */
	WB_MEMORY_OOM,   /* the kernel ends the process: no memory is left */
};
enum wb_memory_op *wb_enum_memory_op __attribute__((unused));

struct memory_event {
	wb_time_ns ts WB_DOC("when it happened, UTC");
	wb_time_ns born WB_DOC("when the memory was allocated, UTC: that of the row which it ends");
	wb_user_address address WB_DOC("address in the process");
	wb_bytes size WB_DOC("bytes that were asked for");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
	wb_cpu cpu WB_DOC("CPU on which it happened");
	wb_memory_op op WB_DOC("what happened: alloc, free, map, unmap, fault, oom");
	__u16 pad[2];
	WB_STACK_FIELDS;
};
WB_EVENT(memory_event);

WB_STACK_RECORD(memory_event)

/* A call that has not returned. Where one calls another (realloc calls malloc) the inner one is
 * the one that hands memory out, for the outer one, which finds nothing when it returns. */
struct pending {
	__u64 size;
	__u64 replaced; /* realloc: what it got, freed if it succeeds */
	__u64 where;    /* posix_memalign: where it writes the address */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* thread id */
	__type(value, struct pending);
} pending SEC(".maps");

/* An address space is told by its mm: threads share it, a process gets a new one with execve(). */
struct block {
	__u64 mm, address;
};

struct allocation {
	__u64 born, size;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 20);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct block);
	__type(value, struct allocation);
} live SEC(".maps");

/* Bytes that each CPU hands out until the next sample. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __s64);
} left SEC(".maps");

static __always_inline bool selected(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	return tgid && wb_selected(tgid) == WB_TARGET_ACTIVE;
}

static __always_inline __s64 wait(void)
{
	__u64 bytes = (sample_bytes * waits[bpf_get_prandom_u32() & (WAITS - 1)]) >> 16;

	return bytes ?: 1;
}

static __always_inline bool sampled(__u64 size)
{
	__u32 zero = 0;
	__s64 *bytes, rest;

	if (!sample_bytes)
		return true;
	bytes = bpf_map_lookup_elem(&left, &zero);
	if (!bytes)
		return false;
	rest = (*bytes ?: wait()) - size; /* 0: the first on this CPU */
	*bytes = rest > 0 ? rest : wait();
	return rest <= 0;
}

#define NO_STACK ~0U

/* `more`: flags of wb_stack() besides those that the settings ask for, or NO_STACK. */
static __always_inline void send(void *ctx, struct memory_event *e, __u32 more)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 flags = (kernel_stacks ? WB_STACK_KERNEL : 0) | (user_stacks ? WB_STACK_USER : 0) |
		      (python_stacks ? WB_STACK_PYTHON : 0);
	long bytes = 0;

	e->pid = id >> 32;
	e->tid = id;
	e->cpu = bpf_get_smp_processor_id();
	*WB_STACK_HEAD(e) = (struct wb_stack_head){ .stack_status = WB_STACK_KERNEL_ONLY };
	if (more != NO_STACK)
		bytes = wb_stack(ctx, bpf_get_current_task_btf(), WB_STACK_HEAD(e), e->words,
				 flags | more);
	wb_output(ctx, e, sizeof(*e) + bytes);
}

static __always_inline struct block block_at(__u64 address)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return (struct block){ .mm = (__u64)task->mm, .address = address };
}

/* An allocation that is sampled. */
static __always_inline void allocated(void *ctx, __u64 address, __u64 size, __u32 more)
{
	struct allocation made = { .born = bpf_ktime_get_boot_ns(), .size = size };
	struct block block = block_at(address);
	struct memory_event *e;

	/* Without its entry its end would not be seen: then it is lost as a whole. */
	if (bpf_map_update_elem(&live, &block, &made, BPF_ANY)) {
		wb_lose(WB_DROP_MAP_FULL);
		return;
	}
	e = wb_stack_record();
	if (!e)
		return;
	e->ts = e->born = made.born;
	e->address = address;
	e->size = size;
	e->op = WB_MEMORY_ALLOC;
	send(ctx, e, more);
}

/* The end of an allocation. */
static __always_inline void ended(void *ctx, __u64 address, struct allocation *known)
{
	struct memory_event *e = wb_stack_record();

	if (!e)
		return;
	e->ts = bpf_ktime_get_boot_ns();
	e->born = known->born;
	e->address = address;
	e->size = known->size;
	e->op = WB_MEMORY_FREE;
	send(ctx, e, NO_STACK);
}

static __always_inline void freed(void *ctx, __u64 address)
{
	struct block block = block_at(address);
	struct allocation *found, known;

	if (!address)
		return;
	found = bpf_map_lookup_elem(&live, &block);
	if (!found)
		return;
	known = *found;
	bpf_map_delete_elem(&live, &block);
	ended(ctx, address, &known);
}

static __always_inline int enter(__u64 size, __u64 replaced, __u64 where)
{
	struct pending call = { .size = size, .replaced = replaced, .where = where };
	__u32 tid = bpf_get_current_pid_tgid();
	struct pending *outer;

	if (!selected())
		return 0;
	outer = bpf_map_lookup_elem(&pending, &tid);
	if (outer && !replaced)
		call.replaced = outer->replaced;
	bpf_map_update_elem(&pending, &tid, &call, BPF_ANY);
	return 0;
}

SEC("uprobe")
int malloc_enter(struct pt_regs *ctx)
{
	return enter(PT_REGS_PARM1(ctx), 0, 0);
}

SEC("uprobe")
int calloc_enter(struct pt_regs *ctx)
{
	return enter(PT_REGS_PARM1(ctx) * PT_REGS_PARM2(ctx), 0, 0);
}

SEC("uprobe")
int realloc_enter(struct pt_regs *ctx)
{
	return enter(PT_REGS_PARM2(ctx), PT_REGS_PARM1(ctx), 0);
}

SEC("uprobe")
int reallocarray_enter(struct pt_regs *ctx)
{
	return enter(PT_REGS_PARM2(ctx) * PT_REGS_PARM3(ctx), PT_REGS_PARM1(ctx), 0);
}

/* memalign(), aligned_alloc() */
SEC("uprobe")
int memalign_enter(struct pt_regs *ctx)
{
	return enter(PT_REGS_PARM2(ctx), 0, 0);
}

SEC("uprobe")
int posix_memalign_enter(struct pt_regs *ctx)
{
	return enter(PT_REGS_PARM3(ctx), 0, PT_REGS_PARM1(ctx));
}

/* Return of all of them. */
SEC("uprobe")
int alloc_return(struct pt_regs *ctx)
{
	__u64 address = PT_REGS_RC(ctx);
	__u32 tid = bpf_get_current_pid_tgid();
	struct pending *found = bpf_map_lookup_elem(&pending, &tid), call;

	if (!found)
		return 0;
	call = *found;
	bpf_map_delete_elem(&pending, &tid);
	if (call.where) {
		if (address || bpf_probe_read_user(&address, sizeof(address), (void *)call.where))
			return 0;
	}
	/* realloc() with a size of 0 frees; one that fails leaves what it got. */
	if (call.replaced && (address || !call.size))
		freed(ctx, call.replaced);
	if (address && sampled(call.size))
		allocated(ctx, address, call.size, 0);
	return 0;
}

SEC("uprobe")
int free_enter(struct pt_regs *ctx)
{
	if (selected())
		freed(ctx, PT_REGS_PARM1(ctx));
	return 0;
}

/* ---- the library of workbench/preload/memory.c has sampled ---- */

/* What realloc() is about to end: until it has, another thread may be given the address. */
struct move {
	__u64 address;
	struct allocation known;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* thread id */
	__type(value, struct move);
} moves SEC(".maps");

SEC("uprobe")
int told_allocated(struct pt_regs *ctx)
{
	if (selected())
		allocated(ctx, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), WB_STACK_CALLER);
	return 0;
}

SEC("uprobe")
int told_freed(struct pt_regs *ctx)
{
	if (selected())
		freed(ctx, PT_REGS_PARM1(ctx));
	return 0;
}

SEC("uprobe")
int told_moving(struct pt_regs *ctx)
{
	struct move move = { .address = PT_REGS_PARM1(ctx) };
	struct block block = block_at(move.address);
	__u32 tid = bpf_get_current_pid_tgid();
	struct allocation *found;

	if (!selected())
		return 0;
	found = bpf_map_lookup_elem(&live, &block);
	if (!found)
		return 0;
	move.known = *found;
	/* Where there is no room it stays, and seems to be live: a loss. */
	if (bpf_map_update_elem(&moves, &tid, &move, BPF_ANY))
		wb_lose(WB_DROP_MAP_FULL);
	else
		bpf_map_delete_elem(&live, &block);
	return 0;
}

SEC("uprobe")
int told_moved(struct pt_regs *ctx)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct move *found = bpf_map_lookup_elem(&moves, &tid), move;
	struct block block;

	if (!found)
		return 0;
	move = *found;
	bpf_map_delete_elem(&moves, &tid);
	block = block_at(move.address);
	if ((__u32)PT_REGS_PARM1(ctx))
		ended(ctx, move.address, &move.known);
	else if (bpf_map_update_elem(&live, &block, &move.known, BPF_ANY))
		wb_lose(WB_DROP_MAP_FULL);
	return 0;
}

/* ---- mappings, faults, ends for want of memory ---- */

const volatile __s32 nr_mmap = -1;
const volatile __s32 nr_munmap = -1;
const volatile __s32 nr_brk = -1;

struct mapping_call {
	__u64 nr, address, size;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* thread id */
	__type(value, struct mapping_call);
} mapping_calls SEC(".maps");

struct mm_struct___memory {
	unsigned long brk;
} __attribute__((preserve_access_index));

static __always_inline void happened(void *ctx, __u64 address, __u64 size, __u16 op)
{
	struct memory_event *e = wb_stack_record();

	if (!e)
		return;
	e->ts = e->born = bpf_ktime_get_boot_ns();
	e->address = address;
	e->size = size;
	e->op = op;
	send(ctx, e, 0);
}

static __always_inline __u64 program_break(void)
{
	struct mm_struct___memory *mm = (void *)bpf_get_current_task_btf()->mm;

	return mm ? BPF_CORE_READ(mm, brk) : 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(mapping_enter, struct pt_regs *regs, long nr)
{
	struct mapping_call call = { .nr = nr };
	__u64 args[6] = {};
	__u32 tid = bpf_get_current_pid_tgid();

	if ((nr != nr_mmap && nr != nr_munmap && nr != nr_brk) || !selected())
		return 0;
	read_arguments(args, regs, 2);
	call.address = nr == nr_brk ? program_break() : args[0];
	call.size = args[1];
	bpf_map_update_elem(&mapping_calls, &tid, &call, BPF_ANY);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(mapping_exit, struct pt_regs *regs, long ret)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct mapping_call *found = bpf_map_lookup_elem(&mapping_calls, &tid), call;

	if (!found)
		return 0;
	call = *found;
	bpf_map_delete_elem(&mapping_calls, &tid);
	if (ret < 0 && ret >= -4095)
		return 0;
	if (call.nr == nr_mmap)
		happened(ctx, ret, call.size, WB_MEMORY_MAP);
	else if (call.nr == nr_munmap)
		happened(ctx, call.address, call.size, WB_MEMORY_UNMAP);
	else if ((__u64)ret > call.address)
		happened(ctx, call.address, ret - call.address, WB_MEMORY_MAP);
	else if ((__u64)ret < call.address)
		happened(ctx, ret, call.address - ret, WB_MEMORY_UNMAP);
	return 0;
}

/* x86: arch/x86/include/asm/trace/exceptions.h, also for faults of the kernel on user memory that
 * page_fault_kernel shows. Its first argument is the address. */
SEC("tp_btf/page_fault_user")
int BPF_PROG(page_fault, unsigned long address)
{
	if (selected())
		happened(ctx, address & ~4095UL, 4096, WB_MEMORY_FAULT);
	return 0;
}

/* include/trace/events/oom.h: the first argument is a process id, or its task_struct (Linux 6.8).
 * Runs in the process that wanted memory. */
SEC("raw_tp/mark_victim")
int out_of_memory(struct bpf_raw_tracepoint_args *ctx)
{
	struct memory_event *e;
	__u64 victim = ctx->args[0];
	__u32 tgid = victim;

	if (victim >> 32)
		tgid = BPF_CORE_READ((struct task_struct *)victim, tgid);
	if (wb_by_tree && wb_look_up(tgid) != WB_TARGET_ACTIVE)
		return 0;
	e = wb_stack_record();
	if (!e)
		return 0;
	e->ts = e->born = bpf_ktime_get_boot_ns();
	e->address = e->size = 0;
	e->pid = e->tid = tgid;
	e->cpu = bpf_get_smp_processor_id();
	e->op = WB_MEMORY_OOM;
	*WB_STACK_HEAD(e) = (struct wb_stack_head){ .stack_status = WB_STACK_KERNEL_ONLY };
	wb_output(ctx, e, sizeof(*e));
	return 0;
}
