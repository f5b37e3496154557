// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Waits for locks: of programs, by the futex system call, and of the kernel, where it has the
 * tracepoints contention_begin and contention_end (Linux 5.19). What a program gets without a wait
 * costs no system call, and is not seen.
 *
 * Kernel sources: kernel/futex/, kernel/locking/. With WB_STACKS each event has a stack: of the
 * thread that waited or released, taken at the end of its wait or call.
 */
#ifdef WB_STACKS
#include "stack.bpf.h"
#endif
#include "task.bpf.h"
#include "syscall.bpf.h"
#include "lock.bpf.h"
#include "aggregate.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __s32 nr_futex = -1;
const volatile __u32 aggregate = 0; /* 1: counts and histograms in the kernel, no events */
const volatile __u64 min_ns = 0; /* shorter waits are left out */

enum wb_lock_event {
	WB_LOCK_WAIT,
	WB_LOCK_WAKE,
};
enum wb_lock_event *wb_enum_lock_event __attribute__((unused));

typedef __u16 wb_lock_event;
typedef __u64 wb_lock_address;

struct locks_event {
	wb_time_ns ts WB_DOC("beginning of the wait, or of the call that wakes, UTC");
	wb_duration_ns waited WB_DOC("of wait: until the thread went on");
	wb_duration_ns held WB_DOC("of wake: since this thread got the lock after a wait; 0 if not known");
	wb_retval ret WB_DOC("result of futex: of wake, threads woken; -4095 to -1 is a negated errno");
	wb_lock_address lock WB_DOC("address: of the futex in the process, or of a lock of the kernel");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread that waited, or that woke others");
	wb_tid owner_tid WB_DOC("thread that held the lock when the wait began; 0 if not known");
	wb_tid waker_tid WB_DOC("thread that ended the wait; 0: none, or not known");
	wb_cpu cpu WB_DOC("CPU that recorded the event");
	wb_lock_event event WB_DOC("wait or wake");
	wb_lock_type type WB_DOC("futex, futex_pi, or a lock of the kernel: spinlock, mutex, ...");
	wb_flag open WB_DOC("1: it waited still when the capture ended, which is the end of the times");
#ifdef WB_STACKS
	WB_STACK_FIELDS;
#endif
};
WB_EVENT(locks_event);

struct aggregate_key {
	wb_lock_address lock WB_DOC("address: of the futex in the process, or of a lock of the kernel");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_lock_type type WB_DOC("futex, futex_pi, or a lock of the kernel: spinlock, mutex, ...");
	__u16 pad;
};
WB_EVENT(aggregate_key);

struct aggregate_value {
	wb_count events WB_DOC("waits that ended, and calls that wake");
	wb_count waits WB_DOC("waits that ended");
	wb_count holds WB_DOC("releases by threads that had waited for the lock");
	wb_duration_ns waited_sum WB_DOC("sum of the waits");
	wb_duration_ns held_sum WB_DOC("for how long they had had it, together");
	wb_count waited_hist[HIST_SLOTS] WB_DOC("waits that took [2^i, 2^(i+1)) ns");
};
WB_EVENT(aggregate_value);

WB_AGGREGATES(16384)

#define EAGAIN 11

/* A thread's futex call. */
struct call {
	__u64 ts;
	__u64 lock;
	__u32 pid, tid;
	__u32 owner_tid;
	__u32 waker_tid;
	__u16 event;
	__u16 type;
	__u16 is_lock; /* it has the lock when it goes on */
	__u16 pad;
};
WB_EVENT(call);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* thread id */
	__type(value, struct call);
} calls SEC(".maps");

struct thread_lock {
	__u64 lock;
	__u32 tid;
	__u32 pad;
};

/* Since when threads have locks that they had waited for. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct thread_lock);
	__type(value, __u64);
} holders SEC(".maps");

struct contention {
	__u64 ts;
	__u32 owner_tid;
	__u32 flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct thread_lock);
	__type(value, struct contention);
} contentions SEC(".maps");

/* Non-zero while a program of this object runs on a CPU: the locks of maps and buffers that it waits
 * for are not the target's, and where they end the room below is in use. */
__u8 busy[WB_MAX_CPUS];

static __always_inline __u8 *busy_here(void)
{
	return &busy[bpf_get_smp_processor_id() & (WB_MAX_CPUS - 1)];
}

#ifdef WB_STACKS
WB_STACK_RECORD(locks_event)

static __always_inline void send(void *ctx, struct locks_event *made)
{
	struct locks_event *e = wb_stack_record();
	long bytes;

	if (!e)
		return;
	__builtin_memcpy(e, made, __builtin_offsetof(struct locks_event, kernel_depth));
	bytes = wb_stack(ctx, bpf_get_current_task_btf(), WB_STACK_HEAD(e), e->words,
			 WB_STACK_KERNEL | WB_STACK_USER | WB_STACK_PYTHON);
	wb_output(ctx, e, sizeof(*e) + bytes);
}
#else
static __always_inline void send(void *ctx, struct locks_event *made)
{
	wb_output(ctx, made, sizeof(*made));
}
#endif

static __always_inline void count(struct locks_event *e)
{
	struct aggregate_key key = { .lock = e->lock, .pid = e->pid, .type = e->type };
	struct aggregate_value *value;
	bool is_new;

	value = aggregate_of(&key, &is_new);
	if (!value)
		return;
	WB_ADD(value, events, 1);
	if (e->event == WB_LOCK_WAIT) {
		WB_ADD(value, waits, 1);
		WB_ADD(value, waited_sum, e->waited);
		WB_ADD_LOG2(value, waited_hist, e->waited);
	} else if (e->held) {
		WB_ADD(value, holds, 1);
		WB_ADD(value, held_sum, e->held);
	}
}

static __always_inline void report(void *ctx, struct locks_event *e)
{
	if (e->event == WB_LOCK_WAIT && e->waited < min_ns)
		return;
	if (aggregate)
		count(e);
	else
		send(ctx, e);
}

static __always_inline bool describe(struct call *call, __u32 command, __u32 value)
{
	call->event = WB_LOCK_WAIT;
	call->type = WB_TYPE_FUTEX;
	switch (command) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		call->is_lock = value == CONTENDED;
		if (call->is_lock)
			call->owner_tid = mutex_owner(call->lock);
		return true;
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		call->is_lock = 1;
		call->owner_tid = futex_word(call->lock) & FUTEX_TID_MASK;
		call->type = WB_TYPE_FUTEX_PI;
		return true;
	case FUTEX_WAIT_REQUEUE_PI:
		return true;
	case FUTEX_UNLOCK_PI:
		call->type = WB_TYPE_FUTEX_PI;
		/* fall through */
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
	case FUTEX_WAKE_OP:
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
	case FUTEX_CMP_REQUEUE_PI:
		call->event = WB_LOCK_WAKE;
		return true;
	}
	return false;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(futex_enter, struct pt_regs *regs, long id)
{
	__u8 *mine = busy_here();
	struct call call = {};
	struct task_struct *task;
	__u64 args[6];
	__u32 tid;

	if (id != nr_futex)
		return 0;
	task = (void *)bpf_get_current_task_btf();
	if (compat(task) || wb_selected(task->tgid) != WB_TARGET_ACTIVE)
		return 0;
	read_arguments(args, regs, 3);
	call.lock = args[0];
	if (!describe(&call, args[1] & FUTEX_CMD_MASK, args[2]))
		return 0;
	tid = task->pid;
	call.pid = task->tgid;
	call.tid = tid;
	call.ts = bpf_ktime_get_boot_ns();
	++*mine;
	if (bpf_map_update_elem(&calls, &tid, &call, BPF_ANY))
		wb_lose(WB_DROP_MAP_FULL);
	--*mine;
	return 0;
}

/* In the context of the waker. */
SEC("tp_btf/sched_waking")
int BPF_PROG(task_waking, struct task_struct *task)
{
	__u32 tid = task->pid;
	struct call *call = bpf_map_lookup_elem(&calls, &tid);

	if (call)
		call->waker_tid = context() == WB_WAKER_TASK ? (__u32)bpf_get_current_pid_tgid() : 0;
	return 0;
}

/* Whether the thread has the lock now, and gives it back by a system call: the value 2 says that this
 * has to be (it may have to wait again before: the last time counts), and of others FUTEX_WAITERS. */
static __always_inline bool known_holder(struct call *call, __s64 ret)
{
	if (call->type == WB_TYPE_FUTEX_PI)
		return ret == 0 && futex_word(call->lock) & FUTEX_WAITERS;
	return ret == 0 || ret == -EAGAIN;
}

static __always_inline void finish_wait(struct locks_event *e, struct call *call, __u64 now)
{
	struct thread_lock key = { .lock = call->lock, .tid = call->tid };

	e->waited = now - call->ts;
	e->owner_tid = call->owner_tid;
	e->waker_tid = e->ret == 0 ? call->waker_tid : 0; /* else a signal, or the end of a time */
	if (!call->is_lock)
		return;
	if (known_holder(call, e->ret))
		bpf_map_update_elem(&holders, &key, &now, BPF_ANY);
	else
		bpf_map_delete_elem(&holders, &key);
}

static __always_inline void finish_wake(struct locks_event *e, struct call *call)
{
	struct thread_lock key = { .lock = call->lock, .tid = call->tid };
	__u64 *since = bpf_map_lookup_elem(&holders, &key);

	if (!since)
		return;
	e->held = call->ts > *since ? call->ts - *since : 0;
	bpf_map_delete_elem(&holders, &key);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(futex_exit, struct pt_regs *regs, long ret)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct locks_event e = {};
	__u8 *mine = busy_here();
	struct call *found, call;

	if (syscall_number(regs) != nr_futex)
		return 0;
	found = bpf_map_lookup_elem(&calls, &tid);
	if (!found)
		return 0;
	call = *found;
	++*mine;
	bpf_map_delete_elem(&calls, &tid);
	e.ts = call.ts;
	e.ret = ret;
	e.lock = call.lock;
	e.pid = call.pid;
	e.tid = tid;
	e.cpu = bpf_get_smp_processor_id();
	e.event = call.event;
	e.type = call.type;
	if (call.event == WB_LOCK_WAKE)
		finish_wake(&e, &call);
	else
		finish_wait(&e, &call, bpf_ktime_get_boot_ns());
	report(ctx, &e);
	--*mine;
	return 0;
}

/* ---- locks of the kernel ---- */

SEC("tp_btf/contention_begin")
int BPF_PROG(contention_begin, void *lock, unsigned int flags)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct thread_lock key = { .lock = (__u64)lock, .tid = (__u32)id };
	struct contention begun = { .flags = flags }, *before;
	__u8 *mine = busy_here();

	if (*mine || !key.tid || wb_selected(id >> 32) != WB_TARGET_ACTIVE)
		return 0;
	before = bpf_map_lookup_elem(&contentions, &key);
	if (before) { /* it has spun for a mutex, and goes to sleep for it now */
		before->flags = flags;
		return 0;
	}
	begun.owner_tid = kernel_owner(lock, flags);
	begun.ts = bpf_ktime_get_boot_ns();
	++*mine;
	if (bpf_map_update_elem(&contentions, &key, &begun, BPF_NOEXIST))
		wb_lose(WB_DROP_MAP_FULL);
	--*mine;
	return 0;
}

SEC("tp_btf/contention_end")
int BPF_PROG(contention_end, void *lock, int ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct thread_lock key = { .lock = (__u64)lock, .tid = (__u32)id };
	struct contention *begun = bpf_map_lookup_elem(&contentions, &key);
	struct locks_event e = {};
	__u8 *mine = busy_here();

	if (*mine || !begun)
		return 0;
	++*mine;
	e.ts = begun->ts;
	e.waited = bpf_ktime_get_boot_ns() - begun->ts;
	e.ret = ret;
	e.lock = (__u64)lock;
	e.pid = id >> 32;
	e.tid = (__u32)id;
	e.owner_tid = begun->owner_tid;
	e.cpu = bpf_get_smp_processor_id();
	e.event = WB_LOCK_WAIT;
	e.type = type_of(begun->flags);
	bpf_map_delete_elem(&contentions, &key);
	report(ctx, &e);
	--*mine;
	return 0;
}
