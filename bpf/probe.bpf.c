// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The user's own probes: one program for each way to attach, and what it does as constants.
 *
 * A probe fetches fields, drops what its filter refuses, and sends an event or adds to a group.
 * Where a call's entry and return are both wanted, the fields of the entry wait in `calls`. With
 * WB_STACKS each event ends in the stack: an object of its own, probe_stacks.bpf.o. */
#include "probe_fields.bpf.h"
#include "aggregate.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define MAX_METRICS 8
#define VALUE_WORDS 520 /* count, unreadable, MAX_METRICS histograms */

enum probe_metric {
	METRIC_SUM,
	METRIC_LOW,
	METRIC_HIGH,
	METRIC_HIST,
};
enum probe_metric *wb_enum_metric __attribute__((unused));

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

#ifdef WB_STACKS
const volatile __u32 kernel_stacks = 1;
const volatile __u32 user_stacks = 1;
const volatile __u32 python_stacks = 1;
#endif

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
		wb_raise(slot, ~ranked);
		break;
	case METRIC_HIGH:
		wb_raise(slot, ranked);
		break;
	default:
		at = metric_signed[m] && (__s64)value < 0 ? 0 : log2_slot(value);
		__sync_fetch_and_add(&slot[at & (HIST_SLOTS - 1)], 1);
	}
}

static __noinline long add(struct room *room)
{
	__u64 *slots;
	bool is_new;

	if (!room)
		return 0;
	slots = wb_value_of(&groups, room->data, zeros, &is_new);
	if (!slots)
		return 0;
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
