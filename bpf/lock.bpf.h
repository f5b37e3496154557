/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Locks of programs and of the kernel: what kinds there are, and who has one. */
#ifndef WORKBENCH_LOCK_H
#define WORKBENCH_LOCK_H

#include "workbench.bpf.h"

/* event_texts.py has the same names. */
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

typedef __u16 wb_lock_type;

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
#define FUTEX_WAITERS 0x80000000

/* include/trace/events/lock.h */
#define LCB_F_SPIN 1
#define LCB_F_READ 2
#define LCB_F_WRITE 4
#define LCB_F_RT 8
#define LCB_F_PERCPU 16
#define LCB_F_MUTEX 32

#define PID_MAX_LIMIT (1 << 22) /* include/linux/threads.h */

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

static __always_inline __u32 futex_word(__u64 address)
{
	__u32 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)address);
	return word;
}

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

#endif
