// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Where CPU time goes: kernel and user stack of the target at each tick of a sampling clock. */
#include "workbench.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 kernel_stacks = 1;
const volatile __u32 user_stacks = 1;

#define MAX_DEPTH 127 /* PERF_MAX_STACK_DEPTH, include/uapi/linux/perf_event.h */

struct cpu_event {
	wb_time_ns ts WB_DOC("time of the sample, UTC");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
	wb_cpu cpu WB_DOC("CPU that was sampled");
	__u16 kernel_depth WB_DOC("kernel addresses at the start of addresses");
	__u16 user_depth WB_DOC("user addresses behind them");
	__u16 pad;
	__u64 addresses[]; /* leaf first; kernel, then user */
};
WB_EVENT(cpu_event);

/* Room for the longest record. */
struct sample {
	__u64 words[sizeof(struct cpu_event) / sizeof(__u64) + 2 * MAX_DEPTH];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sample);
} scratch SEC(".maps");

#define STACK_BYTES (MAX_DEPTH * sizeof(__u64))

SEC("perf_event")
int cpu_sample(struct bpf_perf_event_data *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 zero = 0, tgid = id >> 32;
	long kernel = 0, user = 0;
	struct cpu_event *e;

	if (!tgid || wb_selected(tgid) != WB_TARGET_ACTIVE)
		return 0;
	e = bpf_map_lookup_elem(&scratch, &zero);
	if (!e)
		return 0;
	if (kernel_stacks)
		kernel = bpf_get_stack(ctx, e->addresses, STACK_BYTES, 0);
	if (kernel < 0 || kernel > STACK_BYTES) /* -EFAULT: the sample hit user code */
		kernel = 0;
	if (user_stacks)
		user = bpf_get_stack(ctx, (void *)e->addresses + kernel, STACK_BYTES,
				     BPF_F_USER_STACK);
	if (user < 0 || user > STACK_BYTES) /* a kernel thread, or one without memory at exit */
		user = 0;
	e->ts = bpf_ktime_get_boot_ns();
	e->pid = tgid;
	e->tid = id;
	e->cpu = bpf_get_smp_processor_id();
	e->kernel_depth = kernel / sizeof(__u64);
	e->user_depth = user / sizeof(__u64);
	wb_output(ctx, e, sizeof(*e) + kernel + user);
	return 0;
}
