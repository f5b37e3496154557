// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Every system call of the target: an event each, or counts and histograms made in the kernel.
 * With WB_STACKS each event has its caller's stack: an object of its own, syscalls_stacks.bpf.o, so that
 * captures without stacks pay nothing for them. */
#ifdef WB_STACKS
#include "stack.bpf.h"
#else
#include "workbench.bpf.h"
#endif
#include "aggregate.bpf.h"
#include "syscall.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define MAX_NR 0x7fff    /* stands for all higher numbers */
#define COMPAT_NR 0x1000 /* added to the number of a 32-bit call: its numbers are others */

const volatile __u32 aggregate = 0;   /* 1: counts and histograms in the kernel, no events */
const volatile __u32 by_syscall = 0;  /* 1: only those in syscall_set */
const volatile __u64 syscall_set[8] = {};
const volatile __s32 nr_exit = -1;    /* calls that never return are reported at entry */
const volatile __s32 nr_exit_group = -1;
const volatile __s32 nr_execve = -1;
const volatile __s32 nr_execveat = -1;

struct syscalls_event {
	wb_time_ns ts WB_DOC("entry into the system call, UTC");
	wb_duration_ns latency WB_DOC("time from entry to return; 0 for calls that do not return");
	wb_retval ret WB_DOC("return value; -4095 to -1 is a negated errno");
	wb_arg args[6] WB_DOC("argument registers; those that the call does not take are 0");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
	wb_syscall_nr nr WB_DOC("system call number; 4096 is added for 32-bit calls, 32767 is any higher one");
	wb_cpu cpu WB_DOC("CPU on which the call returned");
#ifdef WB_STACKS
	__u16 pad[2];
	WB_STACK_FIELDS;
#endif
};
WB_EVENT(syscalls_event);

struct aggregate_key {
	wb_pid pid WB_DOC("process (thread group) id");
	__u16 pad;
	wb_syscall_nr nr WB_DOC("system call number; 4096 is added for 32-bit calls, 32767 is any higher one");
};
WB_EVENT(aggregate_key);

struct aggregate_value {
	wb_count calls WB_DOC("calls that returned");
	wb_count errors WB_DOC("calls that returned an errno");
	wb_duration_ns latency_sum WB_DOC("sum of the latencies");
	wb_count latency_hist[HIST_SLOTS] WB_DOC("calls with a latency in [2^i, 2^(i+1)) ns");
};
WB_EVENT(aggregate_value);

struct call {
	__u64 ts;
	__u64 args[6];
	__u32 tid; /* who owns the slot, 0: nobody; in task storage: the slot to give back */
	__s16 nr; /* -1: no call that is to be reported */
	__u8 active;
	__u8 elsewhere; /* of a slot: the call that runs is in task storage */
};

/* The call that each thread is in. A slot is found without a helper, which saves 60 ns a hook
 * against task storage. A thread keeps the slot of its number until it exits; if another one has
 * it (there are more numbers than slots) it uses task storage. Only its owner touches a slot, and
 * programs on system call tracepoints are not preempted (include/trace/bpf_probe.h; Linux < 6.13:
 * the tracepoint itself). */
#define SLOTS 8192 /* of one cache line each */
struct call slots[SLOTS] __attribute__((aligned(64)));

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct call);
} calls SEC(".maps");

WB_AGGREGATES(16384)

/* Number of arguments of each call: the other registers hold leftovers of the program. */
const volatile __u8 arity[512] = {};

static __always_inline bool wanted(__u32 nr)
{
	return !by_syscall || (nr < 512 && syscall_set[nr >> 6 & 7] >> (nr & 63) & 1);
}

static __always_inline void read_args(struct call *call, void *regs, __u32 nr)
{
	read_arguments(call->args, regs, nr < 512 ? arity[nr] : 6);
}

static __always_inline void add(struct call *call, __u32 tgid, __u64 latency, long ret)
{
	struct aggregate_key key = { .pid = tgid, .nr = call->nr };
	struct aggregate_value *value;
	bool is_new;

	value = aggregate_of(&key, &is_new);
	if (!value)
		return;
	WB_ADD(value, calls, 1);
	if (ret < 0 && ret >= -4095)
		WB_ADD(value, errors, 1);
	WB_ADD(value, latency_sum, latency);
	WB_ADD_LOG2(value, latency_hist, latency);
}

static __always_inline void fill(struct syscalls_event *e, struct call *call,
				 struct task_struct *task, __u64 latency, long ret)
{
	e->ts = call->ts;
	e->latency = latency;
	e->ret = ret;
	for (int i = 0; i < 6; i++)
		e->args[i] = call->args[i];
	e->pid = task->tgid;
	e->tid = task->pid;
	e->nr = call->nr;
	e->cpu = bpf_get_smp_processor_id();
}

#ifdef WB_STACKS
/* Programs on system call tracepoints are not preempted. */
WB_STACK_RECORD(syscalls_event)

/* The kernel's part of the stack would be the same for all: the way to this program. */
static __always_inline void send(void *ctx, struct call *call, struct task_struct *task,
				 __u64 latency, long ret)
{
	struct syscalls_event *e = wb_stack_record();
	long bytes;

	if (!e)
		return;
	fill(e, call, task, latency, ret);
	bytes = wb_stack(ctx, bpf_get_current_task_btf(), WB_STACK_HEAD(e), e->words,
			 WB_STACK_USER | WB_STACK_PYTHON);
	wb_output(ctx, e, sizeof(*e) + bytes);
}
#else
static __always_inline void send(void *ctx, struct call *call, struct task_struct *task,
				 __u64 latency, long ret)
{
	if (wb_transport == WB_TRANSPORT_RING) {
		/* Written in place: half the cost of bpf_ringbuf_output()'s copy. */
		struct wb_stats *stats = wb_cpu_stats();
		struct syscalls_event *e = 0;
		void *ring = wb_ring();

		__sync_fetch_and_add(&stats->produced, 1);
		if (ring)
			e = bpf_ringbuf_reserve(ring, sizeof(*e), 0);
		if (!e) {
			wb_dropped(stats, WB_DROP_RING_FULL);
			return;
		}
		fill(e, call, task, latency, ret);
		bpf_ringbuf_submit(e, wb_wakeup(stats, sizeof(*e)));
	} else {
		struct syscalls_event e;

		fill(&e, call, task, latency, ret);
		wb_output(ctx, &e, sizeof(e));
	}
}
#endif

static __always_inline void report(void *ctx, struct call *call, struct task_struct *task,
				   __u64 latency, long ret)
{
	if (aggregate)
		add(call, task->tgid, latency, ret);
	else
		send(ctx, call, task, latency, ret);
}

static __always_inline struct call *slot_of(__u32 tid)
{
	return &slots[tid & (SLOTS - 1)];
}

static __always_inline struct call *stored(struct task_struct *task, __u64 flags)
{
	return bpf_task_storage_get(&calls, (void *)task, 0, flags);
}

/* Memory for the calls of a thread that is heard of for the first time. */
static __always_inline struct call *first_call(struct task_struct *task)
{
	struct call *slot = slot_of(task->pid);

	if (__sync_val_compare_and_swap(&slot->tid, 0, task->pid) == 0)
		return slot;
	return stored(task, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline void release(__u32 tid)
{
	struct call *slot = slot_of(tid);

	if (slot->tid != tid)
		return;
	slot->active = slot->elsewhere = false;
	slot->nr = -1;
	/* Atomic, so that it comes last: from here on another thread may take it. */
	__sync_val_compare_and_swap(&slot->tid, tid, 0);
}

/* Whether the thread may have another number when the call returns: execve gives it its leader's,
 * and so another slot. 32-bit execve has other numbers: all 32-bit calls count as such. */
static __always_inline bool may_renumber(__u32 nr)
{
	return nr & COMPAT_NR || nr == nr_execve || nr == nr_execveat;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(syscall_enter, struct pt_regs *regs, long id)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct call *slot = slot_of(task->pid), *call = slot;
	__u32 nr = id;

	if (slot->tid != task->pid)
		call = stored(task, 0);
	/* Whether a comm or cgroup matches can change; a member of the tree stays one. */
	if (!call || !call->active || wb_by_comm || wb_by_cgroup) {
		__u32 state = wb_selected(task->tgid);

		if (!state) {
			if (call)
				call->nr = -1;
			return 0;
		}
		if (!call)
			call = first_call(task);
		if (!call) {
			wb_lose(WB_DROP_MAP_FULL);
			return 0;
		}
		call->active = state == WB_TARGET_ACTIVE;
	}
	if (compat(task))
		nr |= COMPAT_NR;
	if (!wanted(nr)) {
		call->nr = -1;
		return 0;
	}
	if (may_renumber(nr) && slot->tid == task->pid) {
		call = stored(task, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (!call) {
			slot->nr = -1;
			wb_lose(WB_DROP_MAP_FULL);
			return 0;
		}
		slot->elsewhere = true;
		call->active = slot->active;
		call->tid = slot->tid;
	}
	call->nr = nr < MAX_NR ? nr : MAX_NR;
	if (!aggregate)
		read_args(call, regs, nr);
	call->ts = bpf_ktime_get_boot_ns();
	if (call->active && (nr == nr_exit || nr == nr_exit_group))
		report(ctx, call, task, 0, 0);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct call *call = slot_of(task->pid);

	if (call->tid != task->pid) {
		call = stored(task, 0);
		if (call && call->tid) { /* it had another number when it called */
			release(call->tid);
			call->tid = 0;
		}
	} else if (call->elsewhere) {
		call->elsewhere = false;
		call = stored(task, 0);
	}
	if (!call || call->nr < 0)
		return 0;
	/* The execve of a held command makes it active: process.bpf.c. */
	if (!call->active && wb_selected(task->tgid) != WB_TARGET_ACTIVE) {
		call->nr = -1;
		return 0;
	}
	report(ctx, call, task, bpf_ktime_get_boot_ns() - call->ts, ret);
	call->nr = -1;
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(thread_exit, struct task_struct *task)
{
	release(task->pid);
	return 0;
}
