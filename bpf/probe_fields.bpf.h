/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Fields of the user's own probes: fetched as constants say that user space sets before loading
 * (workbench/probing/plan.py), and compared with a filter. The verifier sees the constants and
 * walks only what a probe asks for, so a loop costs it no more than its turns. */
#ifndef WORKBENCH_PROBE_FIELDS_H
#define WORKBENCH_PROBE_FIELDS_H

#ifdef WB_STACKS
#include "stack.bpf.h"
#else
#include "workbench.bpf.h"
#endif

#define MAX_FETCHES 32  /* a bit of `missing` each */
#define MAX_VARIANTS 8  /* of a static probe: places that have their arguments elsewhere */
#define MAX_STEPS 8     /* pointers to follow, and the read at the end */
#define MAX_TERMS 16
#define MAX_TEXT 64
#define DATA_BYTES 1024
#define ALL_FETCHES (MAX_VARIANTS * MAX_FETCHES)

enum probe_source {
	SOURCE_CONTEXT, /* registers, or the record of a tracepoint, or the arguments in a row */
	SOURCE_TASK,
	SOURCE_CONSTANT,
	SOURCE_PID,
	SOURCE_TID,
	SOURCE_UID,
	SOURCE_GID,
	SOURCE_CPU,
	SOURCE_CGROUP,
	SOURCE_COMM,
	SOURCE_LATENCY,
};
enum probe_source *wb_enum_source __attribute__((unused));

enum probe_read {
	READ_NUMBER,
	READ_TEXT,
	READ_TEXT_AT, /* offset and length of a text in the record of a tracepoint: __data_loc */
};
enum probe_read *wb_enum_read __attribute__((unused));

enum probe_memory {
	MEMORY_KERNEL,
	MEMORY_USER,
	MEMORY_EITHER, /* as the address says */
};
enum probe_memory *wb_enum_memory __attribute__((unused));

enum probe_compare {
	COMPARE_EQ,
	COMPARE_NE,
	COMPARE_LT,
	COMPARE_LE,
	COMPARE_GT,
	COMPARE_GE,
};
enum probe_compare *wb_enum_compare __attribute__((unused));

/* Fields: those that the filter needs come first, those of the entry before those of the return. */
const volatile __u32 entry_needed = 0, entry_fetches = 0;
const volatile __u32 return_needed = 0, return_fetches = 0; /* ends, counted on from the entry's */
const volatile __u32 variants = 1;
const volatile __u8 fetch_source[ALL_FETCHES] = {};
const volatile __u8 fetch_read[ALL_FETCHES] = {};
const volatile __u8 fetch_size[ALL_FETCHES] = {};
const volatile __u8 fetch_signed[ALL_FETCHES] = {};
const volatile __u8 fetch_left[ALL_FETCHES] = {};  /* shifts that cut a bit field out */
const volatile __u8 fetch_right[ALL_FETCHES] = {};
const volatile __u8 fetch_steps[ALL_FETCHES] = {}; /* pointers to follow before the last read */
const volatile __u16 fetch_place[ALL_FETCHES] = {};
const volatile __u16 fetch_length[ALL_FETCHES] = {};
const volatile __s64 fetch_offset[ALL_FETCHES * MAX_STEPS] = {};
const volatile __u8 fetch_memory[ALL_FETCHES * MAX_STEPS] = {};

/* The filter: all terms must hold; those of the entry come first. */
const volatile __u32 entry_terms = 0, all_terms = 0;
const volatile __u8 term_compare[MAX_TERMS] = {};
const volatile __u8 term_size[MAX_TERMS] = {}; /* 0: a text */
const volatile __u8 term_signed[MAX_TERMS] = {};
const volatile __u16 term_place[MAX_TERMS] = {};
const volatile __u32 term_missing[MAX_TERMS] = {};
const volatile __u64 term_mask[MAX_TERMS] = {};
const volatile __u64 term_value[MAX_TERMS] = {};
const volatile char term_text[MAX_TERMS * MAX_TEXT] = {};

const volatile __u32 data_bytes = 8;  /* of all fields; a multiple of 8, as the next one */
const volatile __u32 sent_bytes = 0;  /* of those that are columns */

struct probe_event {
	wb_time_ns ts WB_DOC("time of the event, UTC; of a call whose return is waited for, its entry");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
	wb_cpu cpu WB_DOC("CPU on which the event happened, or the call returned");
	__u16 pad;
	__u32 pad_missing; /* bit of each field that could not be read */
};
WB_EVENT(probe_event);

#ifdef WB_STACKS
#define STACK_BYTES (sizeof(struct wb_stack_head) + WB_STACK_BYTES)
#define ROOMS 4
#else
#define STACK_BYTES 8
#define ROOMS 8
#endif

struct room {
	__u64 busy;
	struct probe_event event;
	char data[DATA_BYTES];
	char stack[STACK_BYTES];
};

/* Programs on uprobes can be preempted and others interrupted by a program of the same object, so
 * a room is taken and given back. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ROOMS);
	__type(key, __u32);
	__type(value, struct room);
} rooms SEC(".maps");

static __always_inline void count_lost(void)
{
	struct wb_stats *stats = wb_cpu_stats();

	__sync_fetch_and_add(&stats->produced, 1);
	wb_dropped(stats, WB_DROP_MAP_FULL);
}

static __always_inline struct room *take_room(void)
{
	for (__u32 i = 0; i < ROOMS; i++) {
		__u32 key = i;
		struct room *room = bpf_map_lookup_elem(&rooms, &key);

		if (room && __sync_val_compare_and_swap(&room->busy, 0, 1) == 0)
			return room;
	}
	count_lost();
	return 0;
}

static __always_inline void give_back(struct room *room)
{
	__sync_val_compare_and_swap(&room->busy, 1, 0);
}

/* What tells the kernel's half of the address space: on x86-64 the highest bit (with five levels of
 * page tables the next ones vary), on arm64 the highest one that is no tag. */
#ifdef __TARGET_ARCH_arm64
#define KERNEL_BIT 55
#else
#define KERNEL_BIT 63
#endif

static __always_inline bool of_kernel(void *from, __u32 memory)
{
	return memory == MEMORY_KERNEL || (memory == MEMORY_EITHER && (__u64)from >> KERNEL_BIT & 1);
}

static __always_inline long peek(void *to, __u32 size, void *from, __u32 memory)
{
	if (of_kernel(from, memory))
		return bpf_probe_read_kernel(to, size, from);
	return bpf_probe_read_user(to, size, from);
}

static __always_inline long peek_text(void *to, __u32 size, void *from, __u32 memory)
{
	if (of_kernel(from, memory))
		return bpf_probe_read_kernel_str(to, size, from);
	return bpf_probe_read_user_str(to, size, from);
}

static __always_inline __u64 load(const char *from, __u32 size, __u32 is_signed)
{
	switch (size) {
	case 1:
		return is_signed ? (__u64)(__s64)*(__s8 *)from : *(__u8 *)from;
	case 2:
		return is_signed ? (__u64)(__s64)*(__s16 *)from : *(__u16 *)from;
	case 4:
		return is_signed ? (__u64)(__s64)*(__s32 *)from : *(__u32 *)from;
	default:
		return *(__u64 *)from;
	}
}

static __always_inline void store(char *to, __u32 size, __u64 value)
{
	switch (size) {
	case 1:
		*(__u8 *)to = value;
		break;
	case 2:
		*(__u16 *)to = value;
		break;
	case 4:
		*(__u32 *)to = value;
		break;
	default:
		*(__u64 *)to = value;
	}
}

/* Read what lies at the end of a chain of pointers. */
static __always_inline long follow(void *ctx, char *to, __u32 i, __u64 *value)
{
	__u32 steps = fetch_steps[i], source = fetch_source[i], read = fetch_read[i];
	__u32 at = i * MAX_STEPS;
	void *base;

	if (source == SOURCE_CONTEXT)
		base = ctx;
	else
		base = (void *)bpf_get_current_task();
	for (__u32 s = 0; s < MAX_STEPS - 1; s++) {
		void *next = 0;

		if (s >= steps)
			break;
		if (peek(&next, sizeof(next), base + fetch_offset[at], fetch_memory[at]))
			return -1;
		base = next;
		at++;
	}
	if (read == READ_NUMBER)
		return peek(value, fetch_size[i], base + fetch_offset[at], fetch_memory[at]);
	if (read == READ_TEXT_AT) {
		__u32 place = 0;

		if (bpf_probe_read_kernel(&place, sizeof(place), base + fetch_offset[at]))
			return -1;
		base += place & 0xffff;
		return bpf_probe_read_kernel_str(to, fetch_length[i], base) < 0;
	}
	return peek_text(to, fetch_length[i], base + fetch_offset[at], fetch_memory[at]) < 0;
}

static __always_inline void fetch(void *ctx, struct room *room, __u32 i)
{
	char *to = room->data + fetch_place[i];
	__u64 value = 0;
	long failed = 0;

	switch (fetch_source[i]) {
	case SOURCE_CONSTANT:
		value = fetch_offset[i * MAX_STEPS];
		break;
	case SOURCE_PID:
		value = bpf_get_current_pid_tgid() >> 32;
		break;
	case SOURCE_TID:
		value = (__u32)bpf_get_current_pid_tgid();
		break;
	case SOURCE_UID:
		value = (__u32)bpf_get_current_uid_gid();
		break;
	case SOURCE_GID:
		value = bpf_get_current_uid_gid() >> 32;
		break;
	case SOURCE_CPU:
		value = bpf_get_smp_processor_id();
		break;
	case SOURCE_CGROUP:
		value = bpf_get_current_cgroup_id();
		break;
	case SOURCE_LATENCY:
		value = bpf_ktime_get_boot_ns() - room->event.ts;
		break;
	case SOURCE_COMM:
		bpf_get_current_comm(to, 16);
		return;
	default:
		failed = follow(ctx, to, i, &value);
	}
	/* In memory, where the verifier does not follow it: else each field would double its work. */
	if (failed)
		room->event.pad_missing |= 1U << (i & (MAX_FETCHES - 1));
	if (fetch_read[i] != READ_NUMBER)
		return;
	value <<= fetch_left[i] & 63;
	value = fetch_signed[i] ? (__u64)((__s64)value >> (fetch_right[i] & 63))
				: value >> (fetch_right[i] & 63);
	store(to, fetch_size[i], value);
}

static __noinline long fetch_all(void *ctx, struct room *room, __u32 from, __u32 to)
{
	if (!room)
		return 0;
	for (__u32 i = from; i < to && i < ALL_FETCHES; i++)
		fetch(ctx, room, i);
	return 0;
}

static __always_inline bool equal_text(const char *data, __u32 t)
{
	for (__u32 i = 0; i < MAX_TEXT; i++) {
		char wanted = term_text[t * MAX_TEXT + i];

		if (data[i] != wanted)
			return false;
		if (!wanted)
			return true;
	}
	return true;
}

static __always_inline bool holds(struct room *room, __u32 t)
{
	const char *data = room->data + term_place[t];
	__u64 value, wanted = term_value[t];
	__u32 compare = term_compare[t];

	if (!term_size[t])
		return equal_text(data, t) == (compare == COMPARE_EQ);
	value = load(data, term_size[t], term_signed[t]) & term_mask[t];
	if (compare == COMPARE_EQ)
		return value == wanted;
	if (compare == COMPARE_NE)
		return value != wanted;
	if (term_signed[t]) {
		__s64 left = value, right = wanted;

		return compare == COMPARE_LT ? left < right : compare == COMPARE_LE ? left <= right :
		       compare == COMPARE_GT ? left > right : left >= right;
	}
	return compare == COMPARE_LT ? value < wanted : compare == COMPARE_LE ? value <= wanted :
	       compare == COMPARE_GT ? value > wanted : value >= wanted;
}

static __noinline long passes(struct room *room, __u32 from, __u32 to)
{
	if (!room)
		return 0;
	for (__u32 t = from; t < to && t < MAX_TERMS; t++) {
		if (room->event.pad_missing & term_missing[t])
			return 0;
		if (!holds(room, t))
			return 0;
	}
	return 1;
}

#endif
