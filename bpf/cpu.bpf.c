// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Where CPU time goes: kernel and user stack of the target at each tick of a sampling clock. */
#include "stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 kernel_stacks = 1;
const volatile __u32 user_stacks = 1;
const volatile __u32 python_stacks = 1;

struct cpu_event {
	wb_time_ns ts WB_DOC("time of the sample, UTC");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
	wb_cpu cpu WB_DOC("CPU that was sampled");
	__u16 pad[3];
	WB_STACK_FIELDS;
};
WB_EVENT(cpu_event);

WB_STACK_RECORD(cpu_event)

SEC("perf_event")
int cpu_sample(struct bpf_perf_event_data *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 flags = 0, tgid = id >> 32;
	struct cpu_event *e;
	long bytes;

	if (!tgid || wb_selected(tgid) != WB_TARGET_ACTIVE)
		return 0;
	e = wb_stack_record();
	if (!e)
		return 0;
	if (kernel_stacks)
		flags |= WB_STACK_KERNEL;
	if (user_stacks)
		flags |= WB_STACK_USER;
	if (python_stacks)
		flags |= WB_STACK_PYTHON;
	bytes = wb_stack(ctx, bpf_get_current_task_btf(), WB_STACK_HEAD(e), e->words, flags);
	e->ts = bpf_ktime_get_boot_ns();
	e->pid = tgid;
	e->tid = id;
	e->cpu = bpf_get_smp_processor_id();
	wb_output(ctx, e, sizeof(*e) + bytes);
	return 0;
}
