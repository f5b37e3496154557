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

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __s32 nr_futex = -1;
const volatile __u64 min_ns = 0; /* shorter waits are left out */

enum wb_lock_event {
	WB_LOCK_WAIT,
	WB_LOCK_WAKE,
};
enum wb_lock_event *wb_enum_lock_event __attribute__((unused));

enum wb_lock_type {
	WB_TYPE_FUTEX,
	WB_TYPE_FUTEX_PI,
	WB_TYPE_SPINLOCK,
	WB_TYPE_RWLOCK_READ,
	WB_TYPE_RWLOCK_WRITE,
	WB_TYPE_MUTEX,
	WB_TYPE_RWSEM_READ,
	WB_TYPE_RWSEM_WRITE,
	WB_TYPE_RT_MUTEX,
	WB_TYPE_PERCPU_RWSEM,
	WB_TYPE_OTHER, /* semaphores */
};
enum wb_lock_type *wb_enum_lock_type __attribute__((unused));

typedef __u16 wb_lock_event;
typedef __u16 wb_lock_type;
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

/* include/uapi/linux/futex.h */
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define FUTEX_REQUEUE 3
#define FUTEX_CMP_REQUEUE 4
#define FUTEX_WAKE_OP 5
#define FUTEX_LOCK_PI 6
#define FUTEX_UNLOCK_PI 7
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAKE_BITSET 10
#define FUTEX_WAIT_REQUEUE_PI 11
#define FUTEX_CMP_REQUEUE_PI 12
#define FUTEX_LOCK_PI2 13
#define FUTEX_CMD_MASK 0x7f
#define FUTEX_TID_MASK 0x3fffffff

/* include/trace/events/lock.h */
#define LCB_F_SPIN 1
#define LCB_F_READ 2
#define LCB_F_WRITE 4
#define LCB_F_RT 8
#define LCB_F_PERCPU 16
#define LCB_F_MUTEX 32

#define EAGAIN 11
#define PID_MAX_LIMIT (1 << 22) /* include/linux/threads.h */

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

/* The owner that a mutex of the GNU C library notes behind its futex: sysdeps/nptl/bits/
 * struct_mutex.h. Only such a lock has the value 2 while somebody waits for it and, behind it,
 * an owner, users and a kind that make sense. */
struct pthread_mutex {
	__u32 lock;
	__u32 count;
	__u32 owner;
	__u32 users;
	__u32 kind;
};
#define CONTENDED 2
#define KIND_MASK 0x37f /* type 0 to 3, and flags */

static __always_inline __u32 mutex_owner(__u64 address)
{
	struct pthread_mutex mutex;

	if (bpf_probe_read_user(&mutex, sizeof(mutex), (void *)address))
		return 0;
	if (mutex.owner >= PID_MAX_LIMIT || !mutex.users || mutex.users > 0xffff ||
	    mutex.kind & ~KIND_MASK)
		return 0;
	return mutex.owner;
}

static __always_inline __u32 word_owner(__u64 address)
{
	__u32 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)address);
	return word & FUTEX_TID_MASK;
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
		call->owner_tid = word_owner(call->lock);
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

static __always_inline void finish_wait(struct locks_event *e, struct call *call, __u64 now)
{
	struct thread_lock key = { .lock = call->lock, .tid = call->tid };
	bool got = e->ret == 0 || (e->ret == -EAGAIN && call->type == WB_TYPE_FUTEX);

	e->waited = now - call->ts;
	e->owner_tid = call->owner_tid;
	e->waker_tid = e->ret == 0 ? call->waker_tid : 0; /* else a signal, or the end of a time */
	/* It may have to wait again: the last time counts. */
	if (call->is_lock && got)
		bpf_map_update_elem(&holders, &key, &now, BPF_ANY);
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
	if (call.event == WB_LOCK_WAKE || e.waited >= min_ns)
		send(ctx, &e);
	--*mine;
	return 0;
}

/* ---- locks of the kernel ---- */

typedef struct {
	long counter;
} wb_counter;

struct mutex {
	wb_counter owner;
} __attribute__((preserve_access_index));

struct rw_semaphore {
	wb_counter owner;
} __attribute__((preserve_access_index));

#define MUTEX_FLAGS 7     /* kernel/locking/mutex.h */
#define RWSEM_FLAGS 3     /* kernel/locking/rwsem.c; bit 0: readers have it */
#define RWSEM_READER_OWNED 1

static __always_inline __u32 kernel_owner(void *lock, __u32 flags)
{
	struct mutex *mutex = lock;
	struct rw_semaphore *rwsem = lock;
	struct task_struct *owner = 0;
	unsigned long word;

	if (flags & LCB_F_MUTEX && bpf_core_field_exists(mutex->owner)) {
		word = BPF_CORE_READ(mutex, owner.counter);
		owner = (void *)(word & ~MUTEX_FLAGS);
	} else if (flags & (LCB_F_READ | LCB_F_WRITE) && !(flags & (LCB_F_SPIN | LCB_F_PERCPU | LCB_F_RT)) &&
		   bpf_core_field_exists(rwsem->owner)) {
		word = BPF_CORE_READ(rwsem, owner.counter);
		if (!(word & RWSEM_READER_OWNED))
			owner = (void *)(word & ~RWSEM_FLAGS);
	}
	return owner ? BPF_CORE_READ(owner, pid) : 0;
}

static __always_inline __u16 type_of(__u32 flags)
{
	if (flags & LCB_F_MUTEX)
		return WB_TYPE_MUTEX;
	if (flags & LCB_F_PERCPU)
		return WB_TYPE_PERCPU_RWSEM;
	if (flags & LCB_F_READ)
		return flags & LCB_F_SPIN ? WB_TYPE_RWLOCK_READ : WB_TYPE_RWSEM_READ;
	if (flags & LCB_F_WRITE)
		return flags & LCB_F_SPIN ? WB_TYPE_RWLOCK_WRITE : WB_TYPE_RWSEM_WRITE;
	if (flags & LCB_F_RT)
		return WB_TYPE_RT_MUTEX;
	return flags & LCB_F_SPIN ? WB_TYPE_SPINLOCK : WB_TYPE_OTHER;
}

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
	if (e.waited >= min_ns)
		send(ctx, &e);
	--*mine;
	return 0;
}
