// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Life of processes: forks, programs that they execute or fail to, exits.
 *
 * Threads are no processes: only a process that begins or ends is told of. Kernel sources:
 * kernel/fork.c, fs/exec.c, kernel/exit.c.
 */
#include "syscall.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __s32 nr_execve = -1;
const volatile __s32 nr_execveat = -1;

/* What happened; event_texts.py has the same names. */
enum wb_exec_event {
	WB_EXEC_FORK,
	WB_EXEC_EXEC,
	WB_EXEC_FAILED,
	WB_EXEC_EXIT,
};
enum wb_exec_event *wb_enum_exec_event __attribute__((unused));
typedef __u16 wb_exec_event;

#define PATH_BYTES 256
#define ARGS_BYTES 4096
#define ARG_BYTES 1024 /* of an argument of an execve that failed */
#define MAX_ARGS 64    /* likewise */

struct exec_event {
	wb_time_ns ts WB_DOC("time of the event, UTC");
	wb_duration_ns duration WB_DOC("time since the process began; 0 for fork");
	wb_retval ret WB_DOC("result of execve: 0, or a negated errno; else 0");
	wb_pid pid WB_DOC("process (thread group) id; of fork: the new one");
	wb_tid tid WB_DOC("thread id; of exit: the last thread of the process");
	wb_pid ppid WB_DOC("process id of the parent at that time");
	wb_tid by_tid WB_DOC("thread that called fork or execve: its id before the call");
	__s32 exit_code WB_DOC("of exit: wait status, code << 8 | signal; else 0");
	wb_cpu cpu WB_DOC("CPU that recorded the event");
	wb_exec_event event WB_DOC("fork, exec, failed (execve returned an error) or exit");
	__u16 args_size WB_DOC("bytes of arguments behind the event, each ended by NUL");
	wb_flag cut WB_DOC("1: there were more arguments than were kept (4096 bytes)");
	char filename[PATH_BYTES] WB_DOC("path that execve was called with; else empty");
	__u64 words[];
};
WB_EVENT(exec_event);

struct linux_binprm {
	const char *filename;
} __attribute__((preserve_access_index));

/* task->start_boottime was called real_start_time before Linux 5.5. */
struct task_struct___start {
	__u64 start_boottime;
	struct task_struct___start *group_leader;
} __attribute__((preserve_access_index));

struct task_struct___real_start {
	__u64 real_start_time;
} __attribute__((preserve_access_index));

#define ROOM_BYTES (ARGS_BYTES + ARG_BYTES)

struct room {
	__u64 words[(sizeof(struct exec_event) + ROOM_BYTES) / sizeof(__u64)];
};
#define EVENT(room) ((struct exec_event *)(room))
#define ARGS(room) ((char *)(room) + sizeof(struct exec_event))

/* None of these programs is preempted, see syscalls.bpf.c. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct room);
} rooms SEC(".maps");

/* Processes whose exit is to be told. process.bpf.c takes a process out of wb_targets at its exit, and
 * may have done so when the exit is seen here. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} lives SEC(".maps");

static __always_inline __u64 age(struct task_struct *task, __u64 now)
{
	struct task_struct___start *leader = BPF_CORE_READ((struct task_struct___start *)task, group_leader);
	struct task_struct___real_start *old = (void *)leader;
	__u64 start;

	if (bpf_core_field_exists(leader->start_boottime))
		start = BPF_CORE_READ(leader, start_boottime);
	else
		start = BPF_CORE_READ(old, real_start_time);
	return now > start ? now - start : 0;
}

static __always_inline struct room *begin(struct task_struct *task, __u16 event)
{
	__u32 zero = 0;
	struct room *room = bpf_map_lookup_elem(&rooms, &zero);
	struct exec_event *e;

	if (!room)
		return 0;
	e = EVENT(room);
	e->ts = bpf_ktime_get_boot_ns();
	e->duration = event == WB_EXEC_FORK ? 0 : age(task, e->ts);
	e->ret = 0;
	e->pid = task->tgid;
	e->tid = task->pid;
	e->ppid = BPF_CORE_READ(task, real_parent, tgid);
	e->by_tid = task->pid;
	e->exit_code = 0;
	e->cpu = bpf_get_smp_processor_id();
	e->event = event;
	e->args_size = 0;
	e->cut = 0;
	e->filename[0] = 0;
	return room;
}

static __always_inline void send(void *ctx, struct room *room)
{
	__u32 size = (EVENT(room)->args_size + 7) & ~7;

	if (size <= ROOM_BYTES)
		wb_output(ctx, room, sizeof(struct exec_event) + size);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 tgid = child->tgid, one = 1;
	struct room *room;

	if (tgid == parent->tgid || wb_selected(parent->tgid) != WB_TARGET_ACTIVE)
		return 0;
	if (bpf_map_update_elem(&lives, &tgid, &one, BPF_ANY))
		wb_lose(WB_DROP_MAP_FULL); /* its exit */
	room = begin(child, WB_EXEC_FORK);
	if (!room)
		return 0;
	EVENT(room)->by_tid = parent->pid;
	send(ctx, room);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_tid, struct linux_binprm *bprm)
{
	__u32 tgid = task->tgid, one = 1;
	unsigned long start, size;
	struct exec_event *e;
	struct room *room;

	if (!wb_selected(tgid)) /* a command that was held begins here */
		return 0;
	bpf_map_update_elem(&lives, &tgid, &one, BPF_ANY);
	room = begin(task, WB_EXEC_EXEC);
	if (!room)
		return 0;
	e = EVENT(room);
	e->by_tid = old_tid;
	bpf_probe_read_kernel_str(e->filename, sizeof(e->filename), bprm->filename);
	start = BPF_CORE_READ(task, mm, arg_start);
	size = BPF_CORE_READ(task, mm, arg_end) - start;
	if (size > ARGS_BYTES) {
		size = ARGS_BYTES;
		e->cut = 1;
	}
	if (!bpf_probe_read_user(ARGS(room), size, (void *)start))
		e->args_size = size;
	send(ctx, room);
	return 0;
}

/* The arguments that execve was given: its memory is still the one that it was called from. */
static __always_inline void copy_arguments(struct room *room, const __u64 *argv)
{
	struct exec_event *e = EVENT(room);
	__u64 argument = 0;
	__u32 at = 0;
	long n;

	for (int i = 0; i < MAX_ARGS; i++) {
		if (bpf_probe_read_user(&argument, sizeof(argument), argv + i) || !argument)
			goto out;
		if (at >= ARGS_BYTES)
			break;
		n = bpf_probe_read_user_str(ARGS(room) + at, ARG_BYTES, (void *)argument);
		if (n <= 0 || n > ARG_BYTES)
			goto out;
		at += n;
		if (n == ARG_BYTES)
			break;
	}
	e->cut = 1;
out:
	e->args_size = at;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exec_failed, struct pt_regs *regs, long ret)
{
	struct task_struct *task;
	__s32 nr;
	__u64 args[6];
	struct room *room;
	__u32 path;

	if (ret >= 0)
		return 0;
	nr = syscall_number(regs);
	if (nr < 0 || (nr != nr_execve && nr != nr_execveat))
		return 0;
	task = (void *)bpf_get_current_task_btf();
	if (compat(task) || wb_selected(task->tgid) != WB_TARGET_ACTIVE)
		return 0;
	room = begin(task, WB_EXEC_FAILED);
	if (!room)
		return 0;
	EVENT(room)->ret = ret;
	path = nr == nr_execveat;
	read_arguments(args, regs, 3);
	bpf_probe_read_user_str(EVENT(room)->filename, PATH_BYTES, (void *)(path ? args[1] : args[0]));
	copy_arguments(room, (void *)(path ? args[2] : args[1]));
	send(ctx, room);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	__u32 tgid = task->tgid;
	struct room *room;

	/* do_exit() has counted this thread out already: 0 is left when the process is gone. */
	if (signal->live.counter)
		return 0;
	if (wb_by_tree) {
		if (bpf_map_delete_elem(&lives, &tgid) || !wb_matches())
			return 0;
	} else {
		bpf_map_delete_elem(&lives, &tgid);
		if (!wb_selected(tgid))
			return 0;
	}
	room = begin(task, WB_EXEC_EXIT);
	if (!room)
		return 0;
	EVENT(room)->exit_code = signal->group_exit_code ?: task->exit_code;
	send(ctx, room);
	return 0;
}
