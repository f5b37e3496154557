// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Where threads wait: one event for each time that a thread was off the CPU, sent when it runs
 * again, with the stack that it left and, if asked for, the stack of the thread that woke it.
 *
 * The stack is taken at the switch away, while the thread's memory is still the current one, and
 * waits in `slots`. Kernel sources: kernel/sched/core.c, __schedule() and try_to_wake_up().
 */
#include "stack.bpf.h"
#include "task.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 kernel_stacks = 1;
const volatile __u32 user_stacks = 1;
const volatile __u32 python_stacks = 1;
const volatile __u32 waker_stacks = 0;
const volatile __u64 min_ns = 0;

struct offcpu_event {
	wb_time_ns ts WB_DOC("when the thread left the CPU, UTC");
	wb_duration_ns blocked WB_DOC("time from there to the wake-up; 0 for preempted threads");
	wb_duration_ns runnable WB_DOC("time from the wake-up until it ran: it waited for a CPU");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
	wb_pid waker_pid WB_DOC("process that woke it; 0: an interrupt, or not known");
	wb_tid waker_tid WB_DOC("thread that woke it; 0: an interrupt, or not known");
	wb_cpu cpu WB_DOC("CPU on which it ran again; that it left, if it did not");
	wb_off_state state WB_DOC("why it left the CPU");
	wb_waker_context waker WB_DOC("in what the wake-up happened: task, softirq, interrupt");
	wb_flag open WB_DOC("1: it was still off when the capture ended, which is the end of the times");
	__u16 waker_kernel_depth WB_DOC("kernel addresses at the start of the waker's words");
	__u16 waker_user_depth WB_DOC("user words behind them");
	__u16 waker_python_depth WB_DOC("Python frames behind them, two words each");
	wb_stack_status waker_stack_status WB_DOC("whether the waker's stack is whole");
	WB_STACK_FIELDS; /* behind the thread's words come the waker's */
};
WB_EVENT(offcpu_event);
#define WAKER_HEAD(event) ((struct wb_stack_head *)&(event)->waker_kernel_depth)

#define EVENT_WORDS (sizeof(struct offcpu_event) / sizeof(__u64))

struct waker_stack {
	struct wb_stack_head head;
	__u64 words[WB_STACK_WORDS];
};

/* A thread. The CPU that switches to or from it writes here, under the lock of its run queue; the
 * fields wake_* belong to the CPU that wakes it, which may still see the thread running. */
struct slot {
	__u64 woken; /* 0: not woken yet */
	__u64 wake_ts;
	__u32 wake_pid, wake_tid;
	__u16 wake_context;
	__u16 pad;
	__u32 off;
	__u32 bytes; /* of the words in event */
	__u32 confirmed; /* wake_* are those of the wake-up that ended this period */
	__u64 event[EVENT_WORDS + WB_STACK_WORDS];
};
WB_EVENT(slot);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* thread id */
	__type(value, struct slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* thread id of the one that is woken */
	__type(value, struct waker_stack);
} wakers SEC(".maps");

/* New entries are copies of these, and the place where an event and two stacks are put together.
 * Programs on scheduler tracepoints run with interrupts off. */
struct scratch {
	struct slot slot;
	struct waker_stack waker;
	__u64 record[EVENT_WORDS + 2 * WB_STACK_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

static __always_inline __u32 stack_flags(void)
{
	return (kernel_stacks ? WB_STACK_KERNEL : 0) | (user_stacks ? WB_STACK_USER : 0) |
	       (python_stacks ? WB_STACK_PYTHON : 0);
}

static __always_inline struct scratch *scratch_space(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

/* The slot of a thread that is to be watched. Without one its period is lost, and counted. */
static __always_inline struct slot *slot_of(__u32 tid)
{
	struct slot *slot = bpf_map_lookup_elem(&slots, &tid);
	struct scratch *s;

	if (slot)
		return slot;
	s = scratch_space();
	if (s) {
		bpf_map_update_elem(&slots, &tid, &s->slot, BPF_NOEXIST);
		slot = bpf_map_lookup_elem(&slots, &tid);
	}
	if (!slot)
		wb_lose(WB_DROP_MAP_FULL);
	return slot;
}

static __always_inline struct offcpu_event *begin(struct slot *slot, struct task_struct *task,
						  __u16 state)
{
	struct offcpu_event *e = (void *)slot->event;

	e->ts = bpf_ktime_get_boot_ns();
	e->pid = task->tgid;
	e->tid = task->pid;
	e->cpu = bpf_get_smp_processor_id();
	e->state = state;
	slot->confirmed = 0;
	return e;
}

static __always_inline void leave(void *ctx, struct task_struct *task, __u16 state)
{
	struct slot *slot = slot_of(task->pid);
	struct offcpu_event *e;

	if (!slot)
		return;
	/* Some machines keep programs from running in the context of their init process: its switch
	 * to this thread was not seen (Firecracker guest, Linux 6.18: each such switch). */
	if (slot->off)
		wb_lose(WB_DROP_UNSEEN);
	/* The stack comes last: the verifier walks it anew for each value that is still needed. */
	e = begin(slot, task, state);
	slot->woken = state == WB_OFF_PREEMPTED ? e->ts : 0;
	slot->off = 1;
	slot->bytes = wb_stack(ctx, task, WB_STACK_HEAD(e), e->words, stack_flags());
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

static __always_inline void take_waker_stack(void *ctx, struct slot *slot, __u32 tid)
{
	struct waker_stack *waker;
	struct scratch *s;

	if (!waker_stacks)
		return;
	waker = bpf_map_lookup_elem(&wakers, &tid);
	if (!waker) {
		s = scratch_space();
		if (s)
			bpf_map_update_elem(&wakers, &tid, &s->waker, BPF_NOEXIST);
		waker = bpf_map_lookup_elem(&wakers, &tid);
		if (!waker)
			return;
	}
	waker->head = (struct wb_stack_head){ .stack_status = WB_STACK_KERNEL_ONLY };
	if (slot->wake_tid)
		wb_stack(ctx, bpf_get_current_task_btf(), &waker->head, waker->words,
			 stack_flags());
}

static __always_inline __u32 words_bytes(struct wb_stack_head *head)
{
	return (head->kernel_depth + head->user_depth + 2 * head->python_depth) * sizeof(__u64);
}

/* Send an event with the waker's words behind the thread's own. */
static __always_inline void send_both(void *ctx, struct slot *slot, struct waker_stack *waker)
{
	struct scratch *s = scratch_space();
	__u32 bytes = slot->bytes, more;
	struct offcpu_event *e;

	if (!s || bytes > WB_STACK_BYTES)
		return;
	e = (void *)s->record;
	bpf_probe_read_kernel(e, sizeof(*e) + bytes, slot->event);
	*WAKER_HEAD(e) = waker->head;
	more = words_bytes(&waker->head);
	if (more > WB_STACK_BYTES)
		return;
	bpf_probe_read_kernel((void *)e->words + bytes, more, waker->words);
	wb_output(ctx, e, sizeof(*e) + bytes + more);
}

static __always_inline void add_waker(struct slot *slot, struct offcpu_event *e)
{
	bool known = slot->confirmed && slot->wake_ts;

	e->waker_pid = known ? slot->wake_pid : 0;
	e->waker_tid = known ? slot->wake_tid : 0;
	e->waker = known ? slot->wake_context : WB_WAKER_NONE;
	*WAKER_HEAD(e) = (struct wb_stack_head){ .stack_status = WB_STACK_KERNEL_ONLY };
}

static __always_inline void come_back(void *ctx, struct slot *slot)
{
	struct offcpu_event *e = (void *)slot->event;
	__u64 now = bpf_ktime_get_boot_ns(), ts = e->ts, woken = slot->woken;
	struct waker_stack *waker = 0;
	__u32 bytes = slot->bytes;

	if (!woken) /* no wake-up was needed: a signal was pending when it went to sleep */
		woken = ts;
	e->blocked = woken - ts;
	e->runnable = now - woken;
	e->cpu = bpf_get_smp_processor_id();
	add_waker(slot, e);
	slot->off = 0;
	slot->wake_ts = 0;
	if (now - ts < min_ns || bytes > WB_STACK_BYTES)
		return;
	if (waker_stacks && e->waker_tid) {
		__u32 tid = e->tid;

		waker = bpf_map_lookup_elem(&wakers, &tid);
	}
	if (waker)
		send_both(ctx, slot, waker);
	else
		wb_output(ctx, e, sizeof(*e) + bytes);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(task_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	__u32 tid = next->pid, prev_tid = prev->pid;
	__u32 state = state_argument ? prev_state : state_of(prev);
	struct slot *slot;

	if (prev_tid) {
		if (state & TASK_DEAD) {
			bpf_map_delete_elem(&slots, &prev_tid);
			if (waker_stacks)
				bpf_map_delete_elem(&wakers, &prev_tid);
		} else if (wb_selected(prev->tgid) == WB_TARGET_ACTIVE) {
			leave(ctx, prev, reason(prev, preempt, state));
		}
	}
	if (!tid)
		return 0;
	slot = bpf_map_lookup_elem(&slots, &tid);
	if (!slot)
		return 0;
	if (slot->off)
		come_back(ctx, slot);
	else if (wb_by_tree && !wb_by_comm && !wb_by_cgroup &&
		 wb_look_up(next->tgid) == WB_TARGET_ACTIVE)
		wb_lose(WB_DROP_UNSEEN); /* one of the target, so it was to be noted when it left */
	return 0;
}

/* In the context of the waker, and possibly before the thread has left its CPU. */
SEC("tp_btf/sched_waking")
int BPF_PROG(task_waking, struct task_struct *task)
{
	__u32 tid = task->pid;
	struct slot *slot = bpf_map_lookup_elem(&slots, &tid);

	if (!slot)
		return 0;
	remember_waker(slot);
	take_waker_stack(ctx, slot, tid);
	return 0;
}

/* Under the lock of the run queue, so after the switch away: from here on it waits for a CPU. */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(task_wakeup, struct task_struct *task)
{
	__u32 tid = task->pid;
	struct slot *slot = bpf_map_lookup_elem(&slots, &tid);
	struct offcpu_event *e;

	if (!slot)
		return 0;
	if (!slot->off) { /* woken before it had left: no period */
		slot->wake_ts = 0;
		return 0;
	}
	if (slot->woken)
		return 0;
	e = (void *)slot->event;
	slot->woken = slot->wake_ts ?: bpf_ktime_get_boot_ns();
	if (slot->woken < e->ts)
		slot->woken = e->ts;
	slot->confirmed = 1;
	return 0;
}

/* A new thread waits for its first time on a CPU; the one that made it runs here. */
SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(task_new, struct task_struct *task)
{
	struct offcpu_event *e;
	struct slot *slot;

	if (wb_selected(task->tgid) != WB_TARGET_ACTIVE)
		return 0;
	slot = slot_of(task->pid);
	if (!slot)
		return 0;
	e = begin(slot, task, WB_OFF_NEW);
	*WB_STACK_HEAD(e) = (struct wb_stack_head){ .stack_status = WB_STACK_KERNEL_ONLY };
	slot->bytes = 0;
	slot->woken = e->ts;
	remember_waker(slot);
	take_waker_stack(ctx, slot, task->pid);
	slot->confirmed = 1;
	slot->off = 1;
	return 0;
}
