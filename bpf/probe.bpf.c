// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The user's own probes: one program for each way to attach, and what it does as constants that
 * user space sets before loading (workbench/probing/plan.py). The verifier sees them as constants
 * and walks only what a probe asks for, so a loop below costs it no more than its turns.
 *
 * A probe fetches fields, drops what its filter refuses, and sends an event or adds to a group.
 * Where a call's entry and return are both wanted, the fields of the entry wait in `calls`. With
 * WB_STACKS each event ends in the stack: an object of its own, probe_stacks.bpf.o. */
#ifdef WB_STACKS
#include "stack.bpf.h"
#else
#include "workbench.bpf.h"
#endif

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define MAX_FETCHES 32  /* a bit of `missing` each */
#define MAX_VARIANTS 8  /* of a static probe: places that have their arguments elsewhere */
#define MAX_STEPS 8     /* pointers to follow, and the read at the end */
#define MAX_TERMS 16
#define MAX_TEXT 64
#define MAX_METRICS 8
#define DATA_BYTES 1024
#define VALUE_WORDS 520 /* count, unreadable, MAX_METRICS histograms */
#define HIST_SLOTS 64
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

enum probe_metric {
	METRIC_SUM,
	METRIC_LOW,
	METRIC_HIGH,
	METRIC_HIST,
};
enum probe_metric *wb_enum_metric __attribute__((unused));

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

/* Groups: the key is the start of the fields. */
const volatile __u32 aggregate = 0;
const volatile __u32 metrics = 0;
const volatile __u32 group_missing = 0; /* fields without which an event counts as unreadable */
const volatile __u8 metric_kind[MAX_METRICS] = {};
const volatile __u8 metric_size[MAX_METRICS] = {};
const volatile __u8 metric_signed[MAX_METRICS] = {};
const volatile __u16 metric_place[MAX_METRICS] = {};
const volatile __u16 metric_slot[MAX_METRICS] = {};

/* A call's entry and return: matched by thread and by where its frame is, which holds for
 * recursion and for calls that never return. */
const volatile __u32 pair = 0;
const volatile __u32 frame_register = 0; /* offset of the stack pointer in the registers */
const volatile __s32 frame_return = 0;   /* from the stack pointer at return to that at entry */

const volatile __u32 data_bytes = 8;  /* of all fields; a multiple of 8, as the next one */
const volatile __u32 sent_bytes = 0;  /* of those that are columns */

#ifdef WB_STACKS
const volatile __u32 kernel_stacks = 1;
const volatile __u32 user_stacks = 1;
const volatile __u32 python_stacks = 1;
#endif

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

struct call_key {
	__u64 frame;
	__u32 tid;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct call_key);
	__uint(value_size, sizeof(struct probe_event) + 8); /* and the fields: set by user space */
} calls SEC(".maps");

/* Each CPU counts for itself; a multiple of 8 bytes of key. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__uint(key_size, 8);
	__uint(value_size, 16);
} groups SEC(".maps");

static const __u64 zeros[VALUE_WORDS] = {};

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

/* Bit 55 tells the kernel's half of the address space on x86-64 and arm64, tagged or not. */
static __always_inline bool of_kernel(void *from, __u32 memory)
{
	return memory == MEMORY_KERNEL || (memory == MEMORY_EITHER && (__u64)from >> 55 & 1);
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

static __always_inline __u32 log2_slot(__u64 v)
{
	__u32 slot = 0;

	if (v >> 32) { slot += 32; v >>= 32; }
	if (v >> 16) { slot += 16; v >>= 16; }
	if (v >> 8) { slot += 8; v >>= 8; }
	if (v >> 4) { slot += 4; v >>= 4; }
	if (v >> 2) { slot += 2; v >>= 2; }
	return slot + (v >> 1 & 1);
}

/* A CPU's own slot: only a program that interrupts this one can come between. */
static __always_inline void raise(__u64 *slot, __u64 value)
{
	for (int i = 0; i < 8; i++) {
		__u64 old = *slot;

		if (old >= value || __sync_val_compare_and_swap(slot, old, value) == old)
			return;
	}
}

/* Order of signed numbers in unsigned ones; the lowest is kept as the highest complement, so that
 * all slots begin with 0. */
static __always_inline void add_metric(__u64 *slots, __u32 m, struct room *room)
{
	__u64 value = load(room->data + metric_place[m], metric_size[m], metric_signed[m]);
	__u64 ranked = metric_signed[m] ? value ^ 1ULL << 63 : value;
	__u64 *slot = slots + metric_slot[m];
	__u32 at;

	switch (metric_kind[m]) {
	case METRIC_SUM:
		__sync_fetch_and_add(slot, value);
		break;
	case METRIC_LOW:
		raise(slot, ~ranked);
		break;
	case METRIC_HIGH:
		raise(slot, ranked);
		break;
	default:
		at = metric_signed[m] && (__s64)value < 0 ? 0 : log2_slot(value);
		__sync_fetch_and_add(&slot[at & (HIST_SLOTS - 1)], 1);
	}
}

static __noinline long add(struct room *room)
{
	struct wb_stats *stats = wb_cpu_stats();
	__u64 *slots;

	if (!room)
		return 0;
	__sync_fetch_and_add(&stats->produced, 1);
	slots = bpf_map_lookup_elem(&groups, room->data);
	if (!slots) {
		bpf_map_update_elem(&groups, room->data, zeros, BPF_NOEXIST);
		slots = bpf_map_lookup_elem(&groups, room->data);
		if (!slots) {
			wb_dropped(stats, WB_DROP_MAP_FULL);
			return 0;
		}
	}
	__sync_fetch_and_add(&slots[0], 1);
	if (room->event.pad_missing & group_missing) {
		__sync_fetch_and_add(&slots[1], 1);
		return 0;
	}
	for (__u32 m = 0; m < MAX_METRICS; m++) {
		if (m >= metrics)
			break;
		add_metric(slots, m, room);
	}
	return 0;
}

static __always_inline void send(void *ctx, struct room *room)
{
	__u64 size = sizeof(room->event) + sent_bytes;
	__u64 id = bpf_get_current_pid_tgid();

	room->event.pid = id >> 32;
	room->event.tid = id;
	room->event.cpu = bpf_get_smp_processor_id();
#ifdef WB_STACKS
	struct wb_stack_head *head = (void *)room->data + sent_bytes;
	__u32 flags = 0;

	if (kernel_stacks)
		flags |= WB_STACK_KERNEL;
	if (user_stacks)
		flags |= WB_STACK_USER;
	if (python_stacks)
		flags |= WB_STACK_PYTHON;
	size += sizeof(*head) + wb_stack(ctx, bpf_get_current_task_btf(), head,
					 (void *)head + sizeof(*head), flags);
#endif
	wb_output(ctx, &room->event, size);
}

/* Fields of the entry, in the variant of the place. */
static __always_inline bool begin_variant(void *ctx, struct room *room, __u32 first)
{
	fetch_all(ctx, room, first, first + entry_needed);
	if (!passes(room, 0, entry_terms))
		return false;
	fetch_all(ctx, room, first + entry_needed, first + entry_fetches);
	return true;
}

static __always_inline void clear(struct room *room)
{
	room->event.ts = bpf_ktime_get_boot_ns();
	room->event.pad = 0;
	room->event.pad_missing = 0;
	/* The keys of groups and the ends of texts are compared and sent as a whole. */
	bpf_probe_read_kernel(room->data, data_bytes, zeros);
}

static __always_inline void frame_key(void *ctx, struct call_key *key, __s32 shift)
{
	key->tid = bpf_get_current_pid_tgid();
	if (!frame_register) { /* fentry, fexit: both find their arguments in the same place */
		key->frame = (__u64)ctx;
		return;
	}
	key->frame = 0;
	bpf_probe_read_kernel(&key->frame, sizeof(key->frame), ctx + frame_register);
	key->frame += shift;
}

static __always_inline int selected(void)
{
	return wb_selected(bpf_get_current_pid_tgid() >> 32) == WB_TARGET_ACTIVE;
}

static __always_inline void done(void *ctx, struct room *room)
{
	if (aggregate)
		add(room);
	else
		send(ctx, room);
}

static __always_inline int enter(void *ctx, __u32 variant)
{
	struct call_key key = {};
	struct room *room;
	bool wanted = false;

	if (!selected())
		return 0;
	room = take_room();
	if (!room)
		return 0;
	clear(room);
	for (__u32 v = 0; v < MAX_VARIANTS; v++) {
		if (v >= variants)
			break;
		if (v == variant) {
			wanted = begin_variant(ctx, room, v * MAX_FETCHES);
			break;
		}
	}
	if (wanted && pair) {
		frame_key(ctx, &key, 0);
		if (bpf_map_update_elem(&calls, &key, &room->event, BPF_ANY))
			count_lost();
	} else if (wanted) {
		done(ctx, room);
	}
	give_back(room);
	return 0;
}

static __always_inline int leave(void *ctx)
{
	struct call_key key = {};
	struct room *room;
	void *saved = 0;

	if (pair) {
		frame_key(ctx, &key, frame_return);
		saved = bpf_map_lookup_elem(&calls, &key);
		if (!saved)
			return 0;
	} else if (!selected()) {
		return 0;
	}
	room = take_room();
	if (room) {
		clear(room);
		if (pair)
			bpf_probe_read_kernel(&room->event, sizeof(room->event) + data_bytes, saved);
		fetch_all(ctx, room, entry_fetches, return_needed);
		if (passes(room, entry_terms, all_terms)) {
			fetch_all(ctx, room, return_needed, return_fetches);
			done(ctx, room);
		}
		give_back(room);
	}
	if (pair)
		bpf_map_delete_elem(&calls, &key);
	return 0;
}

SEC("kprobe")
int on_entry(void *ctx)
{
	/* One call, and only where it is needed: the helper is of Linux 5.15. */
	return enter(ctx, variants > 1 ? bpf_get_attach_cookie(ctx) : 0);
}

SEC("kprobe")
int on_return(void *ctx)
{
	return leave(ctx);
}

SEC("fentry")
int on_fentry(void *ctx)
{
	return enter(ctx, 0);
}

SEC("fexit")
int on_fexit(void *ctx)
{
	return leave(ctx);
}

SEC("tracepoint")
int on_tracepoint(void *ctx)
{
	return enter(ctx, 0);
}

SEC("raw_tp")
int on_raw_tracepoint(void *ctx)
{
	return enter(ctx, 0);
}

SEC("perf_event")
int on_event(void *ctx)
{
	return enter(ctx, 0);
}
