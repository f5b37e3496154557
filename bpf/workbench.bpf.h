/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What every capture program shares: typedefs that carry meaning, the target filter, and an
 * emit path that counts what it produced and what it dropped.
 *
 * An event is defined once, as a C struct of an object; user space reads its layout, units and
 * meanings from the object's BTF. Hence WB_EVENT() is mandatory (clang drops the BTF of structs
 * that only functions use) and each field takes a wb_ typedef and a WB_DOC() text.
 */
#ifndef WORKBENCH_BPF_H
#define WORKBENCH_BPF_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

typedef _Bool bool;
#define true 1
#define false 0

/* Column meanings; workbench/schema.py gives each its Arrow type and unit. */
typedef __u64 wb_time_ns;     /* bpf_ktime_get_boot_ns() */
typedef __u64 wb_duration_ns;
typedef __u32 wb_pid;         /* thread group id, what user space calls pid */
typedef __u32 wb_tid;         /* what the kernel calls pid */
typedef __u16 wb_cpu;
typedef __u16 wb_flag;
typedef __u16 wb_syscall_nr;
typedef __s64 wb_retval;
typedef __u64 wb_arg;
typedef __u64 wb_count;
typedef __u64 wb_bytes;

/* Text of a column, kept in BTF as a declaration tag (clang >= 14; libbpf removes the tags
 * before it hands the BTF to kernels older than 5.16, which do not know them). */
#define WB_DOC(text) __attribute__((btf_decl_tag(text)))
#define WB_EVENT(type) struct type *wb_event_##type __attribute__((unused))

/* The few kernel fields that are used; CO-RE finds their places on the running kernel. */
struct signal_struct {
	struct {
		int counter;
	} live;
	int group_exit_code;
} __attribute__((preserve_access_index));

struct mm_struct {
	unsigned long arg_start, arg_end;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
	int tgid;
	int exit_code;
	struct task_struct *real_parent;
	struct signal_struct *signal;
	struct mm_struct *mm;
	char comm[16];
} __attribute__((preserve_access_index));

/* ---- target filter: every condition that is set must hold ---- */

const volatile __u32 wb_by_tree = 0;   /* tgid is in wb_targets */
const volatile __u32 wb_by_cgroup = 0; /* task is in or below the cgroup in wb_cgroup */
const volatile __u32 wb_by_comm = 0;   /* thread name equals wb_comm */
const volatile char wb_comm[16] = {};
const volatile __u32 wb_self = 0;      /* the recorder, never traced */

enum wb_target_state {
	WB_TARGET_ACTIVE = 1,
	WB_TARGET_HELD = 2, /* a command before its first instruction: counts from its execve on */
};

/* Shared by all objects of a session: process.bpf.c follows forks and exits in it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} wb_targets SEC(".maps");

/* Grows with each change of wb_targets; shared as that is. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} wb_epoch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} wb_cgroup SEC(".maps");

#define WB_MAX_CPUS 1024

/* What a CPU last found in wb_targets: tgid << 32 | epoch << 2 | state, one word, as a program may
 * interrupt another one of the same object. Most events are of the process that the last event
 * was of, and looking it up in the hash costs 60 ns between two system calls. */
struct wb_last {
	__u64 found;
} __attribute__((aligned(64)));
struct wb_last wb_last[WB_MAX_CPUS];

static __always_inline __u32 wb_look_up(__u32 tgid)
{
	__u32 *found = bpf_map_lookup_elem(&wb_targets, &tgid);

	return found ? *found : 0;
}

static __always_inline __u32 wb_target(__u32 tgid)
{
	struct wb_last *last = &wb_last[bpf_get_smp_processor_id() & (WB_MAX_CPUS - 1)];
	__u32 zero = 0, *epoch = bpf_map_lookup_elem(&wb_epoch, &zero);
	__u64 wanted, found = last->found;

	if (!epoch)
		return wb_look_up(tgid);
	wanted = (__u64)tgid << 32 | (__u32)(*epoch << 2);
	if ((found & ~3ULL) == wanted)
		return found & 3;
	found = wanted | (wb_look_up(tgid) & 3);
	last->found = found;
	return found & 3;
}

/* Whether the current task has the cgroup and the name that are asked for. */
static __always_inline bool wb_matches(void)
{
	if (wb_by_cgroup && bpf_current_task_under_cgroup(&wb_cgroup, 0) != 1)
		return false;
	if (wb_by_comm) {
		char comm[16];

		if (bpf_get_current_comm(comm, sizeof(comm)))
			return false;
		for (int i = 0; i < 16; i++) {
			if (comm[i] != wb_comm[i])
				return false;
			if (!comm[i])
				break;
		}
	}
	return true;
}

/* State of the task under the filter: 0 not selected, else enum wb_target_state. */
static __always_inline __u32 wb_selected(__u32 tgid)
{
	__u32 state = WB_TARGET_ACTIVE;

	if (wb_self && tgid == wb_self)
		return 0;
	if (wb_by_tree) {
#ifdef WB_CHANGES_TARGETS
		state = wb_look_up(tgid);
#else
		state = wb_target(tgid);
#endif
		if (!state)
			return 0;
	}
	return wb_matches() ? state : 0;
}

/* ---- emit: produced = delivered + dropped, per CPU and reason ---- */

/* User space takes the names of the reasons from this enum's BTF. */
enum wb_drop {
	WB_DROP_RING_FULL,
	WB_DROP_MAP_FULL,
	WB_DROP_STACK,
	WB_DROP_UNSEEN, /* the kernel did not run the program where the event began or ended */
	WB_DROP_REASONS = 6,
};

struct wb_stats {
	__u64 produced;
	__u64 dropped[WB_DROP_REASONS];
	__u64 unannounced; /* bytes sent since this CPU last woke the recorder */
};

/* In .bss, which libbpf maps into the recorder: read without a system call. One cache line a
 * CPU; atomic, as a program may interrupt another one of the same object. */
struct wb_stats wb_stats[WB_MAX_CPUS] __attribute__((aligned(64)));
enum wb_drop *wb_enum_drop __attribute__((unused));

enum wb_transport {
	WB_TRANSPORT_RING,
	WB_TRANSPORT_PERF, /* kernels before 5.8 */
};
const volatile __u32 wb_transport = WB_TRANSPORT_RING;
const volatile __u64 wb_watermark = 0; /* bytes of a CPU that wake the recorder; 0: never */

/* A ring for each CPU (or a few), made by user space: producers of one ring share its spinlock,
 * which costs as much as all the rest once two CPUs send. */
struct wb_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, WB_MAX_CPUS);
	__type(key, __u32);
	__array(values, struct wb_ring);
} wb_rings SEC(".maps");
const volatile __u32 wb_ring_count = 1; /* a power of two */

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} wb_perf SEC(".maps");

static __always_inline struct wb_stats *wb_cpu_stats(void)
{
	return &wb_stats[bpf_get_smp_processor_id() & (WB_MAX_CPUS - 1)];
}

/* Ring of this CPU. */
static __always_inline void *wb_ring(void)
{
	__u32 index = bpf_get_smp_processor_id() & (wb_ring_count - 1);

	return bpf_map_lookup_elem(&wb_rings, &index);
}

static __always_inline void wb_dropped(struct wb_stats *stats, enum wb_drop reason)
{
	__sync_fetch_and_add(&stats->dropped[reason], 1);
}

/* An event that cannot be made, for want of memory or because it was not seen. */
static __always_inline void wb_lose(enum wb_drop reason)
{
	struct wb_stats *stats = wb_cpu_stats();

	__sync_fetch_and_add(&stats->produced, 1);
	wb_dropped(stats, reason);
}

/* Wake the recorder once in wb_watermark bytes. A wake-up for each record costs the traced
 * program up to 30 times its speed; asking the ring for its fill costs 10 ns a record. The
 * recorder drains on a timer as well, so a lost update here does no harm. */
static __always_inline __u64 wb_wakeup(struct wb_stats *stats, __u64 size)
{
	if (!wb_watermark)
		return BPF_RB_NO_WAKEUP;
	stats->unannounced += size;
	if (stats->unannounced < wb_watermark)
		return BPF_RB_NO_WAKEUP;
	stats->unannounced = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/* Send a finished record. One of the two branches is dead: the verifier sees wb_transport as
 * the constant that was set before loading. */
static __always_inline void wb_output(void *ctx, void *record, __u64 size)
{
	struct wb_stats *stats = wb_cpu_stats();
	long err = -1;

	__sync_fetch_and_add(&stats->produced, 1);
	if (wb_transport == WB_TRANSPORT_RING) {
		void *ring = wb_ring();

		if (ring)
			err = bpf_ringbuf_output(ring, record, size, wb_wakeup(stats, size));
	} else {
		err = bpf_perf_event_output(ctx, &wb_perf, BPF_F_CURRENT_CPU, record, size);
	}
	if (err)
		wb_dropped(stats, WB_DROP_RING_FULL);
}

#endif
