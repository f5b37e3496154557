/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Counts made in the kernel: one value for each key, what finds no room is counted as dropped. */
#ifndef WORKBENCH_AGGREGATE_H
#define WORKBENCH_AGGREGATE_H

#include "workbench.bpf.h"
#include "histogram.bpf.h"

/* The value of an event's key, made of `zero` if there is none; 0: no room for it, and the event is
 * lost. `is_new` tells whether it was made. A CPU that makes the same one meanwhile does no harm. */
static __always_inline void *wb_value_of(void *map, const void *key, const void *zero, bool *is_new)
{
	struct wb_stats *stats = wb_cpu_stats();
	void *value;

	__sync_fetch_and_add(&stats->produced, 1);
	value = bpf_map_lookup_elem(map, key);
	*is_new = !value;
	if (value)
		return value;
	bpf_map_update_elem(map, key, zero, BPF_NOEXIST);
	value = bpf_map_lookup_elem(map, key);
	if (!value) { /* what is allocated on demand may have to be fetched first: wb_room */
		bpf_map_update_elem(map, key, zero, BPF_NOEXIST);
		value = bpf_map_lookup_elem(map, key);
	}
	if (!value)
		wb_dropped(stats, WB_DROP_MAP_FULL);
	return value;
}

/* Where the room for an entry comes from. Allocating on demand takes from a list of a few entries (of
 * one, at first: unit_size > 256 in kernel/bpf/memalloc.c), which the kernel fills again in an
 * interrupt: a second try finds it, but not in a program that interrupts are kept from. */
enum wb_room {
	WB_ROOM_AT_ONCE = 0,
	WB_ROOM_ON_DEMAND = BPF_F_NO_PREALLOC,
};

/* The map `aggregates` of a kind, from its struct aggregate_key to its struct aggregate_value, and
 * aggregate_of(), which looks an event's key up in it as wb_value_of() does. */
#define WB_AGGREGATES(entries, room)                                                              \
	struct {                                                                                  \
		__uint(type, BPF_MAP_TYPE_HASH);                                                  \
		__uint(max_entries, entries);                                                     \
		__uint(map_flags, room);                                                          \
		__type(key, struct aggregate_key);                                                \
		__type(value, struct aggregate_value);                                            \
	} aggregates SEC(".maps");                                                                \
                                                                                                  \
	static __always_inline struct aggregate_value *aggregate_of(                              \
		const struct aggregate_key *key, bool *is_new)                                    \
	{                                                                                         \
		static const struct aggregate_value zero;                                         \
                                                                                                  \
		return wb_value_of(&aggregates, key, &zero, is_new);                              \
	}

/* Several CPUs may count under the same key. */
#define WB_ADD(value, field, number) __sync_fetch_and_add(&(value)->field, number)
#define WB_ADD_LOG2(value, histogram, number)                                                     \
	WB_ADD(value, histogram[log2_slot(number) & (HIST_SLOTS - 1)], 1)

/* Keep the highest value. What runs on another CPU or interrupts may come between: tried again, but
 * not for ever. */
static __always_inline void wb_raise(__u64 *highest, __u64 value)
{
	for (int i = 0; i < 8; i++) {
		__u64 old = *highest;

		if (old >= value || __sync_val_compare_and_swap(highest, old, value) == old)
			return;
	}
}

/* Count a latency that is known: `answered`, and the sum, histogram and maximum of latencies. */
#define WB_ADD_LATENCY(value, ns)                                                                 \
	do {                                                                                      \
		WB_ADD(value, answered, 1);                                                       \
		WB_ADD(value, latency_sum, ns);                                                   \
		WB_ADD_LOG2(value, latency_hist, ns);                                             \
		wb_raise(&(value)->latency_max, ns);                                              \
	} while (0)

#endif
