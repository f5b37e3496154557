// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Requests to block devices: one event each, sent when the device is done with it, or counts and
 * histograms made in the kernel. What a request waited before the device got it is kept apart from
 * what the device took.
 *
 * A request is done in an interrupt, so it is noted when it is made, in the thread that makes it,
 * under its address. Bytes that several programs have sent together in one request count for the
 * thread that began it. Kernel sources: block/blk-mq.c.
 */
#include "folio.bpf.h"
#include "aggregate.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 aggregate = 0;          /* 1: counts and histograms in the kernel, no events */
const volatile __u32 has_block_io_start = 0; /* Linux 6.5 */

/* What requests are for; event_texts.py has the same names. */
enum wb_block_op {
	WB_BLOCK_READ,
	WB_BLOCK_WRITE,
	WB_BLOCK_FLUSH,
	WB_BLOCK_DISCARD,
	WB_BLOCK_SECURE_ERASE,
	WB_BLOCK_WRITE_ZEROES,
	WB_BLOCK_OTHER,
};
enum wb_block_op *wb_enum_block_op __attribute__((unused));

/* Whose requests are; event_texts.py has the same names. */
enum wb_block_cause {
	WB_CAUSE_QUEUED,
	WB_CAUSE_WRITEBACK,
};
enum wb_block_cause *wb_enum_block_cause __attribute__((unused));

typedef __u32 wb_device;
typedef __u64 wb_sector;
typedef __u16 wb_size_class;
typedef __u16 wb_block_op;
typedef __u16 wb_block_cause;

struct block_event {
	wb_time_ns ts WB_DOC("when the request was made, UTC");
	wb_duration_ns queued WB_DOC("time from there until the device got it, or until it was done without the device");
	wb_duration_ns service WB_DOC("time from there until the device was done; 0: the device never got it");
	wb_sector sector WB_DOC("first sector of 512 bytes, from the start of the disk");
	wb_bytes bytes WB_DOC("size of the request");
	wb_device device WB_DOC("disk, not its partition: name, or major:minor");
	wb_pid pid WB_DOC("process that made the request, or that made the written page dirty: see cause");
	wb_tid tid WB_DOC("thread of it");
	wb_cpu cpu WB_DOC("CPU on which the request was done");
	wb_block_op op WB_DOC("read, write, flush, discard, secure_erase, write_zeroes, other");
	wb_block_cause cause WB_DOC("queued: made by this thread; writeback: made by a kernel thread, and this one was the last that made pages of the file dirty");
	wb_flag failed WB_DOC("1: the device reported an error");
	wb_flag readahead WB_DOC("1: read ahead of what the program asked for");
	wb_flag metadata WB_DOC("1: the file system's own data");
};
WB_EVENT(block_event);

struct aggregate_key {
	wb_pid pid WB_DOC("process that made the requests, or the written pages dirty");
	wb_device device WB_DOC("disk: name, or major:minor");
	wb_block_op op WB_DOC("read, write, flush, discard, secure_erase, write_zeroes, other");
	wb_size_class size_class WB_DOC("sizes of the requests: [2^i, 2^(i+1)) bytes; 0 also holds those without data");
};
WB_EVENT(aggregate_key);

struct aggregate_value {
	wb_count requests WB_DOC("requests that were done");
	wb_count failures WB_DOC("requests that failed");
	wb_bytes bytes WB_DOC("sum of their sizes");
	wb_duration_ns queued_sum WB_DOC("sum of the times before the device got them");
	wb_duration_ns service_sum WB_DOC("sum of the times that the device took");
	wb_count queued_hist[HIST_SLOTS] WB_DOC("requests that waited [2^i, 2^(i+1)) ns");
	wb_count service_hist[HIST_SLOTS] WB_DOC("requests that took the device [2^i, 2^(i+1)) ns");
};
WB_EVENT(aggregate_value);

/* A request between its making and its end. `issued` is 0 until the device gets it. What is left at
 * the end of a capture is read by the recorder. */
struct pending {
	__u64 issued;
	__u64 event[sizeof(struct block_event) / sizeof(__u64)];
};
WB_EVENT(pending);

/* Preallocated, as it is used in interrupts. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* address of the request */
	__type(value, struct pending);
} requests SEC(".maps");

WB_AGGREGATES(8192, WB_ROOM_AT_ONCE)

struct gendisk {
	int major, first_minor;
} __attribute__((preserve_access_index));

struct elevator_queue;

struct request_queue {
	struct gendisk *disk; /* Linux 5.15 */
	struct elevator_queue *elevator;
} __attribute__((preserve_access_index));

struct request {
	struct request_queue *q;
	struct bio *bio;
	unsigned int cmd_flags, __data_len;
	unsigned long long __sector, start_time_ns;
} __attribute__((preserve_access_index));

struct request___old {
	struct gendisk *rq_disk;
} __attribute__((preserve_access_index));

/* include/linux/blk_types.h; the bits differ between versions, the numbers of operations do not. */
enum req_flag_bits {
	__REQ_META = 12,
	__REQ_RAHEAD = 19,
};
#define REQ_OP_MASK 0xff

static __always_inline __u16 op_of(__u32 flags)
{
	switch (flags & REQ_OP_MASK) {
	case 0:
		return WB_BLOCK_READ;
	case 1:
		return WB_BLOCK_WRITE;
	case 2:
		return WB_BLOCK_FLUSH;
	case 3:
		return WB_BLOCK_DISCARD;
	case 5:
		return WB_BLOCK_SECURE_ERASE;
	case 9:
		return WB_BLOCK_WRITE_ZEROES;
	}
	return WB_BLOCK_OTHER;
}

static __always_inline __u32 device_of(struct request *rq)
{
	struct request___old *old = (void *)rq;
	struct gendisk *disk;

	if (bpf_core_field_exists(old->rq_disk))
		disk = BPF_CORE_READ(old, rq_disk);
	else
		disk = BPF_CORE_READ(rq, q, disk);
	return (__u32)BPF_CORE_READ(disk, major) << 20 | BPF_CORE_READ(disk, first_minor);
}

/* Size, place and purpose: merging changes them until the device gets the request. */
static __always_inline void describe(struct request *rq, struct block_event *e)
{
	__u32 flags = BPF_CORE_READ(rq, cmd_flags);

	e->sector = BPF_CORE_READ(rq, __sector);
	e->bytes = BPF_CORE_READ(rq, __data_len);
	e->op = op_of(flags);
	e->readahead = flags >> bpf_core_enum_value(enum req_flag_bits, __REQ_RAHEAD) & 1;
	e->metadata = flags >> bpf_core_enum_value(enum req_flag_bits, __REQ_META) & 1;
	/* A flush without data is a write of nothing (block/blk-flush.c). */
	if (e->op == WB_BLOCK_WRITE && !e->bytes)
		e->op = WB_BLOCK_FLUSH;
}

/* Whose request it is; false: nobody's of the target. */
static __always_inline bool attribute(struct request *rq, struct block_event *e)
{
	__u64 id = bpf_get_current_pid_tgid();

	if (wb_in_kernel_thread()) {
		struct wb_owner *owner = 0;

		if (op_of(BPF_CORE_READ(rq, cmd_flags)) == WB_BLOCK_WRITE)
			owner = wb_owner_of(wb_inode_of(wb_page_of(BPF_CORE_READ(rq, bio))));
		if (owner) {
			e->pid = owner->pid;
			e->tid = owner->tid;
			e->cause = WB_CAUSE_WRITEBACK;
			return true;
		}
	}
	e->pid = id >> 32;
	e->tid = id;
	e->cause = WB_CAUSE_QUEUED;
	return wb_selected(e->pid) == WB_TARGET_ACTIVE;
}

static __always_inline void lose(enum wb_drop reason)
{
	struct wb_stats *stats = wb_cpu_stats();

	__sync_fetch_and_add(&stats->produced, 1);
	wb_dropped(stats, reason);
}

/* A new request, in the thread that makes it. */
static __always_inline void made(struct request *rq, __u64 waited)
{
	struct pending pending = {};
	struct block_event *e = (void *)pending.event;
	__u64 key = (__u64)rq;

	/* The end of an earlier one at this address was in the context of a task that some machines
	 * keep programs from running in: offcpu.bpf.c. */
	if (!bpf_map_delete_elem(&requests, &key))
		lose(WB_DROP_UNSEEN);
	if (!attribute(rq, e))
		return;
	e->ts = bpf_ktime_get_boot_ns() - waited;
	e->device = device_of(rq);
	e->cpu = bpf_get_smp_processor_id();
	describe(rq, e);
	if (bpf_map_update_elem(&requests, &key, &pending, BPF_ANY))
		lose(WB_DROP_MAP_FULL);
}

/* How long ago the kernel noted that the request began; 0 where it did not. */
static __always_inline __u64 age(struct request *rq)
{
	__u64 start = BPF_CORE_READ(rq, start_time_ns);

	return start ? bpf_ktime_get_ns() - start : 0;
}

SEC("?tp_btf/block_io_start")
int BPF_PROG(io_start, struct request *rq)
{
	made(rq, 0);
	return 0;
}

/* Before Linux 6.5 this is the first that is heard of requests to disks with a scheduler. */
SEC("tp_btf/block_rq_insert")
int BPF_PROG(request_insert, struct request *rq)
{
	if (!has_block_io_start)
		made(rq, age(rq));
	return 0;
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(request_issue, struct request *rq)
{
	__u64 key = (__u64)rq;
	struct pending *pending = bpf_map_lookup_elem(&requests, &key);

	/* Without a scheduler nothing was inserted: its maker hands it to the device itself. */
	if (!pending && !has_block_io_start && !BPF_CORE_READ(rq, q, elevator)) {
		made(rq, age(rq));
		pending = bpf_map_lookup_elem(&requests, &key);
	}
	if (!pending)
		return 0;
	describe(rq, (void *)pending->event);
	pending->issued = bpf_ktime_get_boot_ns();
	return 0;
}

/* It became part of another one. */
SEC("tp_btf/block_rq_merge")
int BPF_PROG(request_merge, struct request *rq)
{
	__u64 key = (__u64)rq;

	bpf_map_delete_elem(&requests, &key);
	return 0;
}

static __always_inline void add(struct block_event *e)
{
	struct aggregate_key key = {
		.pid = e->pid, .device = e->device, .op = e->op, .size_class = log2_slot(e->bytes),
	};
	struct aggregate_value *value;
	bool is_new;

	value = aggregate_of(&key, &is_new);
	if (!value)
		return;
	WB_ADD(value, requests, 1);
	WB_ADD(value, failures, e->failed);
	WB_ADD(value, bytes, e->bytes);
	WB_ADD(value, queued_sum, e->queued);
	WB_ADD(value, service_sum, e->service);
	WB_ADD_LOG2(value, queued_hist, e->queued);
	WB_ADD_LOG2(value, service_hist, e->service);
}

/* In an interrupt, mostly. A device may do a request in parts: the last one counts. */
SEC("tp_btf/block_rq_complete")
int BPF_PROG(request_complete, struct request *rq, __u64 error, unsigned int bytes)
{
	__u64 key = (__u64)rq, now;
	struct pending *pending = bpf_map_lookup_elem(&requests, &key);
	struct block_event e;

	if (!pending || bytes < BPF_CORE_READ(rq, __data_len))
		return 0;
	now = bpf_ktime_get_boot_ns();
	e = *(struct block_event *)pending->event;
	e.queued = (pending->issued ?: now) - e.ts;
	e.service = pending->issued ? now - pending->issued : 0;
	e.failed = (__u8)error != 0; /* blk_status_t; before Linux 5.16 a negative errno */
	e.cpu = bpf_get_smp_processor_id();
	bpf_map_delete_elem(&requests, &key);
	if (aggregate)
		add(&e);
	else
		wb_output(ctx, &e, sizeof(e));
	return 0;
}

static __always_inline int dirtied(struct address_space *mapping)
{
	__u64 id = bpf_get_current_pid_tgid();

	if (mapping && wb_selected(id >> 32) == WB_TARGET_ACTIVE)
		wb_own(BPF_CORE_READ(mapping, host), 0);
	return 0;
}

SEC("?tp_btf/writeback_dirty_folio")
int BPF_PROG(dirty_folio, void *folio, struct address_space *mapping)
{
	return dirtied(mapping);
}

SEC("?tp_btf/writeback_dirty_page") /* before Linux 5.18 */
int BPF_PROG(dirty_page, void *page, struct address_space *mapping)
{
	return dirtied(mapping);
}
