// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Follows the target's processes: part of every session, whatever its kinds.
 *
 * Keeps wb_targets in step with forks and exits (the fork hook runs before the child does, so no
 * child is missed) and reports fork, exec, rename and exit, from which the table `processes` and
 * the comm of every event are made.
 */
#define WB_CHANGES_TARGETS /* so does user space, while these programs run: nothing is remembered */
#include "workbench.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 wb_follow = 1; /* children of the target belong to it */

struct linux_binprm {
	const char *filename;
} __attribute__((preserve_access_index));

enum wb_process_event {
	WB_PROCESS_SNAPSHOT,
	WB_PROCESS_FORK,
	WB_PROCESS_EXEC,
	WB_PROCESS_RENAME,
	WB_PROCESS_EXIT,
};

#define WB_PATH_SIZE 256
#define WB_ARGS_SIZE 512

struct process_event {
	wb_time_ns ts;
	wb_pid pid;
	wb_tid tid;
	wb_pid ppid;
	__s32 exit_code;
	wb_cpu cpu;
	__u16 event;
	__u16 args_size;
	__u16 pad;
	char comm[16];
	char filename[WB_PATH_SIZE];
	char args[WB_ARGS_SIZE]; /* argv, separated by NUL */
};
WB_EVENT(process_event);
enum wb_process_event *wb_enum_process_event __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct process_event);
} scratch SEC(".maps");

/* To be called after each change of wb_targets. */
static __always_inline void targets_changed(void)
{
	__u32 zero = 0, *epoch = bpf_map_lookup_elem(&wb_epoch, &zero);

	if (epoch)
		__sync_fetch_and_add(epoch, 1);
}

static __always_inline struct process_event *begin(struct task_struct *task, __u16 event)
{
	__u32 zero = 0;
	struct process_event *e = bpf_map_lookup_elem(&scratch, &zero);

	if (!e)
		return 0;
	e->ts = bpf_ktime_get_boot_ns();
	e->pid = task->tgid;
	e->tid = task->pid;
	e->ppid = BPF_CORE_READ(task, real_parent, tgid);
	e->exit_code = 0;
	e->cpu = bpf_get_smp_processor_id();
	e->event = event;
	e->args_size = 0;
	e->filename[0] = 0;
	bpf_probe_read_kernel(e->comm, sizeof(e->comm), task->comm);
	return e;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 tgid = parent->tgid, child_tgid = child->tgid;
	__u32 state = wb_selected(tgid);
	struct process_event *e;

	if (!state)
		return 0;
	if (child_tgid != tgid && wb_by_tree) {
		if (!wb_follow)
			return 0;
		if (bpf_map_update_elem(&wb_targets, &child_tgid, &state, BPF_ANY)) {
			wb_lose(WB_DROP_MAP_FULL);
			return 0;
		}
		targets_changed();
	}
	e = begin(child, WB_PROCESS_FORK);
	if (e)
		wb_output(ctx, e, sizeof(*e));
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 tgid = task->tgid, active = WB_TARGET_ACTIVE;
	__u32 state = wb_selected(tgid);
	unsigned long start, size;
	struct process_event *e;

	if (!state)
		return 0;
	if (state == WB_TARGET_HELD) {
		bpf_map_update_elem(&wb_targets, &tgid, &active, BPF_ANY);
		targets_changed();
	}
	e = begin(task, WB_PROCESS_EXEC);
	if (!e)
		return 0;
	bpf_probe_read_kernel_str(e->filename, sizeof(e->filename), bprm->filename);
	start = BPF_CORE_READ(task, mm, arg_start);
	size = BPF_CORE_READ(task, mm, arg_end) - start;
	if (size > WB_ARGS_SIZE)
		size = WB_ARGS_SIZE;
	if (!bpf_probe_read_user(e->args, size, (void *)start))
		e->args_size = size;
	wb_output(ctx, e, sizeof(*e));
	return 0;
}

SEC("tp_btf/task_rename")
int BPF_PROG(process_rename, struct task_struct *task, const char *comm)
{
	struct process_event *e;

	if (!wb_selected(task->tgid))
		return 0;
	e = begin(task, WB_PROCESS_RENAME);
	if (!e)
		return 0;
	bpf_probe_read_kernel_str(e->comm, sizeof(e->comm), comm);
	wb_output(ctx, e, sizeof(*e));
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	__u32 tgid = task->tgid;
	struct process_event *e;

	/* do_exit() has counted this thread out already: 0 is left when the process is gone. */
	if (signal->live.counter || !wb_selected(tgid))
		return 0;
	e = begin(task, WB_PROCESS_EXIT);
	if (e) {
		e->exit_code = signal->group_exit_code ?: task->exit_code;
		wb_output(ctx, e, sizeof(*e));
	}
	if (wb_by_tree) {
		bpf_map_delete_elem(&wb_targets, &tgid);
		targets_changed();
	}
	return 0;
}
