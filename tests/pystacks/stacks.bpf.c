/* Sends nothing but Python stacks: at a tick, at a system call, when a thread stops running. */
#include "python.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 wanted_syscall = 0;
const volatile __u32 max_frames = WB_PYTHON_FRAMES;

struct python_event {
	wb_time_ns ts;
	wb_pid pid;
	wb_tid tid;
	__u32 frames;
	__u32 source;
	__u64 words[];
};
WB_EVENT(python_event);

struct room {
	__u64 words[sizeof(struct python_event) / sizeof(__u64) + 2 * WB_PYTHON_FRAMES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct room);
} rooms SEC(".maps");

static __always_inline int send(void *ctx, __u32 source)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct python_event *e;
	long frames;

	if (!(id >> 32) || wb_selected(id >> 32) != WB_TARGET_ACTIVE)
		return 0;
	e = bpf_map_lookup_elem(&rooms, &source);
	if (!e)
		return 0;
	frames = wb_python_stack((void *)bpf_get_current_task(), e->words, WB_PYTHON_FRAMES);
	if (frames < 0 || frames > WB_PYTHON_FRAMES)
		return 0;
	e->ts = bpf_ktime_get_boot_ns();
	e->pid = id >> 32;
	e->tid = id;
	e->frames = frames;
	e->source = source;
	wb_output(ctx, e, sizeof(*e) + frames * 2 * sizeof(__u64));
	return 0;
}

SEC("perf_event")
int tick(void *ctx)
{
	return send(ctx, 0);
}

SEC("raw_tp/sys_enter")
int call(struct bpf_raw_tracepoint_args *ctx)
{
	return ctx->args[1] == wanted_syscall ? send(ctx, 1) : 0;
}

SEC("raw_tp/sched_switch")
int stop(void *ctx)
{
	return send(ctx, 2);
}
