// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* When threads run: one event for each time that a thread had a CPU, with how long it had waited
 * in a run queue before, who had woken it and from which CPU it came; or the same as counts and
 * histograms made in the kernel.
 *
 * Kernel sources: kernel/sched/core.c, __schedule(), try_to_wake_up() and set_task_cpu().
 */
#include "task.bpf.h"
#include "aggregate.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 aggregate = 0; /* 1: counts and histograms in the kernel, no events */
const volatile __u64 min_ns = 0;    /* events of shorter latency are left out */

/* How a thread became ready to run; event_texts.py has the same names. */
enum wb_run_cause {
	WB_RUN_WOKEN,
	WB_RUN_PREEMPTED, /* it had left the CPU ready to go on */
	WB_RUN_NEW,
	WB_RUN_UNKNOWN,   /* it waited when the capture began, or its wake-up was not seen */
};
enum wb_run_cause *wb_enum_run_cause __attribute__((unused));
typedef __u16 wb_run_cause;

struct sched_event {
	wb_time_ns ts WB_DOC("when the thread got the CPU, UTC");
	wb_duration_ns latency WB_DOC("time that it had waited in a run queue before; 0 if not known");
	wb_duration_ns ran WB_DOC("time from ts until it left the CPU");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
	wb_pid waker_pid WB_DOC("process that woke it; 0: an interrupt, or none");
	wb_tid waker_tid WB_DOC("thread that woke it; 0: an interrupt, or none");
	wb_cpu cpu WB_DOC("CPU on which it ran");
	wb_cpu from_cpu WB_DOC("CPU on which it ran before; cpu if that is not known");
	__u16 migrations WB_DOC("times that it was moved to another CPU since it ran before");
	wb_run_cause cause WB_DOC("how it had become ready: woken, preempted, new, unknown");
	wb_off_state state WB_DOC("why it left the CPU; none: it had not when the capture ended");
	wb_waker_context waker WB_DOC("in what the wake-up happened: task, softirq, interrupt");
	wb_flag open WB_DOC("1: it ran or waited still when the capture ended, which is the end of the times");
	__u16 pad;
};
WB_EVENT(sched_event);

struct aggregate_key {
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
};
WB_EVENT(aggregate_key);

struct aggregate_value {
	wb_count runs WB_DOC("times that it had a CPU, and left it");
	wb_count preempted WB_DOC("runs at whose end it could have gone on");
	wb_count migrations WB_DOC("times that it was moved to another CPU");
	wb_duration_ns ran_sum WB_DOC("sum of the times on a CPU");
	wb_duration_ns latency_sum WB_DOC("sum of the times in a run queue");
	wb_duration_ns latency_max WB_DOC("longest time in a run queue");
	wb_count latency_hist[HIST_SLOTS] WB_DOC("runs after [2^i, 2^(i+1)) ns in a run queue, where that is known");
};
WB_EVENT(aggregate_value);

#define EVENT_WORDS (sizeof(struct sched_event) / sizeof(__u64))

enum phase {
	UNKNOWN,
	BLOCKED,
	QUEUED,
	RUNNING,
};

/* A thread. The CPU that switches to or from it writes here, under the lock of its run queue; the
 * fields wake_* belong to the CPU that wakes it, which may still see the thread running. */
struct slot {
	__u64 ready; /* since when it is queued */
	__u64 left;  /* when it was last switched away from */
	__u64 wake_ts;
	__u32 wake_pid, wake_tid;
	__u16 wake_context;
	__u16 phase;
	__u16 last_cpu;
	__u16 ran_before; /* last_cpu is known */
	__u64 event[EVENT_WORDS];
};
WB_EVENT(slot);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* thread id */
	__type(value, struct slot);
} slots SEC(".maps");

WB_AGGREGATES(16384, WB_ROOM_AT_ONCE)

static __always_inline struct slot *slot_of(struct task_struct *task)
{
	static const struct slot fresh;
	__u32 tid = task->pid;
	struct slot *slot = bpf_map_lookup_elem(&slots, &tid);

	if (slot)
		return slot;
	bpf_map_update_elem(&slots, &tid, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&slots, &tid);
}

/* The slot of a thread that is not the current one: whether it matches a comm or a cgroup shows
 * only when it runs. */
static __always_inline struct slot *slot_of_other(struct task_struct *task)
{
	__u32 tid = task->pid;

	if (wb_by_tree && !wb_by_comm && !wb_by_cgroup && wb_look_up(task->tgid) == WB_TARGET_ACTIVE)
		return slot_of(task);
	return bpf_map_lookup_elem(&slots, &tid);
}

/* Whether the thread that leaves the CPU is one of the target. A process stops to be one when it
 * exits (process.bpf.c), and it runs on for a while. */
static __always_inline bool follows(struct task_struct *task)
{
	__u32 tid = task->pid;

	if (!wb_by_comm && !wb_by_cgroup && bpf_map_lookup_elem(&slots, &tid))
		return true;
	return wb_selected(task->tgid) == WB_TARGET_ACTIVE;
}

/* The value of a thread is written by one CPU at a time, under the lock of its run queue. */
static __always_inline void count(struct sched_event *e)
{
	struct aggregate_key key = { .pid = e->pid, .tid = e->tid };
	struct aggregate_value *value;
	bool is_new;

	value = aggregate_of(&key, &is_new);
	if (!value)
		return;
	value->runs++;
	value->preempted += e->state == WB_OFF_PREEMPTED;
	value->migrations += e->migrations;
	value->ran_sum += e->ran;
	if (e->cause == WB_RUN_UNKNOWN)
		return;
	value->latency_sum += e->latency;
	if (e->latency > value->latency_max)
		value->latency_max = e->latency;
	value->latency_hist[log2_slot(e->latency) & (HIST_SLOTS - 1)]++;
}

static __always_inline void queued(struct slot *slot, __u64 since, __u16 cause)
{
	struct sched_event *e = (void *)slot->event;
	bool by_waker = cause == WB_RUN_WOKEN || cause == WB_RUN_NEW;

	slot->phase = QUEUED;
	slot->ready = since;
	e->cause = cause;
	by_waker = by_waker && slot->wake_ts;
	e->waker = by_waker ? slot->wake_context : WB_WAKER_NONE;
	e->waker_pid = by_waker ? slot->wake_pid : 0;
	e->waker_tid = by_waker ? slot->wake_tid : 0;
	slot->wake_ts = 0;
}

/* The thread of the slot leaves the CPU. */
static __always_inline void leave(void *ctx, struct slot *slot, __u64 now, __u16 state)
{
	struct sched_event *e = (void *)slot->event;

	if (slot->phase == RUNNING) {
		e->ran = now - e->ts;
		e->state = state;
		if (aggregate)
			count(e);
		else if (e->latency >= min_ns)
			wb_output(ctx, e, sizeof(*e));
	} else if (slot->phase != UNKNOWN) {
		/* It got the CPU unseen: some machines keep programs from running in the context of
		 * their init process (Firecracker guest, Linux 6.18), so not its switches either. */
		wb_lose(WB_DROP_UNSEEN);
	}
	slot->left = now;
	slot->last_cpu = bpf_get_smp_processor_id();
	slot->ran_before = 1;
	e->migrations = 0;
}

static __always_inline void get(struct slot *slot, struct task_struct *task, __u64 now)
{
	struct sched_event *e = (void *)slot->event;

	if (slot->phase != QUEUED)
		queued(slot, now, WB_RUN_UNKNOWN);
	slot->phase = RUNNING;
	e->ts = now;
	e->latency = now - slot->ready;
	e->pid = task->tgid;
	e->tid = task->pid;
	e->cpu = bpf_get_smp_processor_id();
	e->from_cpu = slot->ran_before ? slot->last_cpu : e->cpu;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(task_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	__u32 state = state_argument ? prev_state : state_of(prev), tid = prev->pid;
	__u64 now = bpf_ktime_get_boot_ns();
	struct slot *slot;
	__u16 why;

	if (tid && follows(prev)) {
		why = state & TASK_DEAD ? WB_OFF_EXITED : reason(prev, preempt, state);
		slot = slot_of(prev);
		if (!slot) {
			wb_lose(WB_DROP_MAP_FULL);
		} else {
			leave(ctx, slot, now, why);
			if (why == WB_OFF_PREEMPTED)
				queued(slot, now, WB_RUN_PREEMPTED);
			else
				slot->phase = BLOCKED;
		}
	}
	if (state & TASK_DEAD)
		bpf_map_delete_elem(&slots, &tid);
	if (!next->pid)
		return 0;
	slot = slot_of_other(next);
	if (slot)
		get(slot, next, now);
	return 0;
}

static __always_inline void remember_waker(struct slot *slot)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u16 in = context();

	slot->wake_context = in;
	slot->wake_pid = in == WB_WAKER_INTERRUPT ? 0 : id >> 32;
	slot->wake_tid = in == WB_WAKER_INTERRUPT ? 0 : (__u32)id;
	slot->wake_ts = bpf_ktime_get_boot_ns();
}

/* In the context of the waker, and possibly before the thread has left its CPU. */
SEC("tp_btf/sched_waking")
int BPF_PROG(task_waking, struct task_struct *task)
{
	struct slot *slot = slot_of_other(task);

	if (slot)
		remember_waker(slot);
	return 0;
}

/* Under the lock of the run queue, so after the switch away: from here on it waits for a CPU. */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(task_wakeup, struct task_struct *task)
{
	struct slot *slot = slot_of_other(task);
	__u64 since;

	if (!slot)
		return 0;
	if (slot->phase == RUNNING) { /* woken before it had left */
		slot->wake_ts = 0;
	} else if (slot->phase != QUEUED) {
		since = slot->wake_ts ?: bpf_ktime_get_boot_ns();
		/* Its waker began when it was on its way off the CPU: it waits from then on. */
		if (since < slot->left)
			since = slot->left;
		queued(slot, since, WB_RUN_WOKEN);
	}
	return 0;
}

/* A new thread waits for its first time on a CPU; the one that made it runs here. */
SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(task_new, struct task_struct *task)
{
	struct slot *slot;

	if (wb_selected(task->tgid) != WB_TARGET_ACTIVE)
		return 0;
	slot = slot_of(task);
	if (!slot)
		return 0;
	remember_waker(slot);
	queued(slot, slot->wake_ts, WB_RUN_NEW);
	return 0;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(task_migrate, struct task_struct *task, int cpu)
{
	struct slot *slot = slot_of_other(task);
	struct sched_event *e;

	if (!slot)
		return 0;
	e = (void *)slot->event;
	if (e->migrations < 0xffff)
		e->migrations++;
	return 0;
}
