// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* For tests only: stacks with what another unwinder needs to find the same ones. */
#include "stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PAGE 4096ULL
#define PAGES 32

struct stack_dump {
	__u32 pid, tid, bytes, pad;
	__u64 start; /* address of memory */
	__u64 ip, sp, registers[6]; /* rbp, rbx, r12 to r15 */
	__u16 kernel_depth, user_depth, python_depth, stack_status;
	__u64 words[WB_STACK_WORDS];
	__u8 memory[PAGES * PAGE];
};
WB_EVENT(stack_dump);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY); /* a per-CPU one holds 32 KiB */
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct stack_dump);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 20);
} dumps SEC(".maps");

struct pt_regs___all {
	unsigned long r15, r14, r13, r12, bp, bx, ip, sp;
} __attribute__((preserve_access_index));

static long dump_page(__u32 i, struct stack_dump **dump)
{
	struct stack_dump *d = *dump;

	if (i >= PAGES || bpf_probe_read_user(d->memory + i * PAGE, PAGE,
					      (void *)(d->start + i * PAGE)))
		return 1;
	d->bytes = (i + 1) * PAGE;
	return 0;
}

static __always_inline int dump(void *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs___all *r;
	struct stack_dump *d;
	__u32 cpu = bpf_get_smp_processor_id();

	if (wb_selected(id >> 32) != WB_TARGET_ACTIVE)
		return 0;
	d = bpf_map_lookup_elem(&scratch, &cpu);
	if (!d)
		return 0;
	r = (void *)bpf_task_pt_regs(task);
	d->pid = id >> 32;
	d->tid = id;
	d->ip = BPF_CORE_READ(r, ip);
	d->sp = BPF_CORE_READ(r, sp);
	d->registers[0] = BPF_CORE_READ(r, bp);
	d->registers[1] = BPF_CORE_READ(r, bx);
	d->registers[2] = BPF_CORE_READ(r, r12);
	d->registers[3] = BPF_CORE_READ(r, r13);
	d->registers[4] = BPF_CORE_READ(r, r14);
	d->registers[5] = BPF_CORE_READ(r, r15);
	wb_stack(ctx, task, WB_STACK_HEAD(d), d->words, WB_STACK_USER);
	d->bytes = 0;
	d->start = (d->sp - 128) & -PAGE; /* with the red zone */
	bpf_loop(PAGES, dump_page, &d, 0);
	bpf_ringbuf_output(&dumps, d, sizeof(*d), 0);
	return 0;
}

SEC("perf_event")
int on_clock(void *ctx)
{
	return dump(ctx);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev)
{
	return dump(ctx);
}

SEC("uprobe")
int on_call(void *ctx)
{
	return dump(ctx);
}

SEC("raw_tp/sys_enter")
int on_syscall(void *ctx)
{
	return dump(ctx);
}

SEC("tp/syscalls/sys_enter_nanosleep") /* loaded only: to attach it, tracefs must be mounted */
int on_tracepoint(void *ctx)
{
	return dump(ctx);
}
