// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The page cache, by file: pages that reads looked up, that faults asked for, that were added, removed,
 * made dirty and written back; an event for each run of pages, or sums for each process and file.
 *
 * What kernel threads do (write back, drop under memory pressure) counts for the thread of the
 * target that changed pages of the file last. Kernel sources: mm/filemap.c, mm/page-writeback.c.
 */
#include "folio.bpf.h"
#include "fd.bpf.h"
#include "aggregate.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 aggregate = 0;   /* 1: sums in the kernel, no events */
const volatile __u32 page_shift = 12; /* pages have 2^page_shift bytes */

/* Numbers of the system calls that read from one descriptor; -1: the architecture lacks it. */
const volatile __s32 nr_read = -1;
const volatile __s32 nr_readv = -1;
const volatile __s32 nr_pread64 = -1;
const volatile __s32 nr_preadv = -1;
const volatile __s32 nr_preadv2 = -1;

/* What is done to pages; event_texts.py has the same names. */
enum wb_cache_op {
	WB_CACHE_LOOKUP,
	WB_CACHE_FAULT,
	WB_CACHE_MAP,
	WB_CACHE_ADD,
	WB_CACHE_REMOVE,
	WB_CACHE_DIRTY,
	WB_CACHE_WRITE,
};
enum wb_cache_op *wb_enum_cache_op __attribute__((unused));

typedef __u64 wb_page_index;
typedef __u32 wb_pages;
typedef __u16 wb_cache_op;

struct pagecache_event {
	wb_time_ns ts WB_DOC("when it happened, UTC");
	wb_page_index index WB_DOC("first page, counted from the start of the file");
	wb_pages pages WB_DOC("number of pages");
	wb_path path WB_DOC("path of the file; of several names, one");
	wb_pid pid WB_DOC("process that did it, or that changed pages of the file last: see by_kernel");
	wb_tid tid WB_DOC("thread of it");
	wb_cpu cpu WB_DOC("CPU on which it happened");
	wb_cache_op op WB_DOC("lookup (by a read), fault, map (around a fault), add, remove, dirty, write (back)");
	wb_flag by_kernel WB_DOC("1: done by a kernel thread");
	wb_flag fresh WB_DOC("of dirty pages, 1: they were added to be written, so they did not come from the disk");
};
WB_EVENT(pagecache_event);

struct aggregate_key {
	wb_pid pid WB_DOC("process (thread group) id");
	wb_path_id path_id WB_DOC("number of the path in this recording; a path may have several");
};
WB_EVENT(aggregate_key);

struct aggregate_value {
	wb_count events WB_DOC("runs of pages to which something happened");
	wb_count looked_up WB_DOC("pages that reads looked up"); /* from here on in the order of wb_cache_op */
	wb_count faulted WB_DOC("pages that faults asked for");
	wb_count mapped WB_DOC("pages that were mapped around faults");
	wb_count added WB_DOC("pages that were added");
	wb_count removed WB_DOC("pages that were removed");
	wb_count dirtied WB_DOC("pages that were made dirty");
	wb_count written WB_DOC("pages that were written back");
	wb_count created WB_DOC("of the pages that were made dirty, those that were added to be written");
	wb_path path WB_DOC("path of the file");
	__u32 pad;
};
WB_EVENT(aggregate_value);

WB_AGGREGATES(16384, WB_ROOM_ON_DEMAND)

/* The last lookup of a thread: a read looks up again for what the first lookup did not find. And the
 * pages that it added last: a write adds pages and makes them dirty at once. */
struct last {
	__u64 mapping, first, last, reads;
	__u64 inode, added;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct last);
} lasts SEC(".maps");

struct hlist_node;

struct hlist_head {
	struct hlist_node *first;
} __attribute__((preserve_access_index));

struct inode___dentry {
	struct hlist_head i_dentry;
	struct super_block *i_sb;
} __attribute__((preserve_access_index));

struct hlist_node {
	struct hlist_node *next;
} __attribute__((preserve_access_index));

struct dentry___alias {
	union {
		struct hlist_node d_alias;
	} d_u;
} __attribute__((preserve_access_index));

struct task_io_accounting {
	unsigned long long syscr;
} __attribute__((preserve_access_index));

struct task_struct___reads {
	struct task_io_accounting ioac;
} __attribute__((preserve_access_index));

/* How many pages a folio has, by its versions: Linux 6.14, 5.18, and pages before. */
struct folio___new {
	unsigned int _nr_pages;
	unsigned long index;
} __attribute__((preserve_access_index));

struct folio___old {
	unsigned int _folio_nr_pages;
} __attribute__((preserve_access_index));

struct page___old {
	unsigned int compound_nr;
	unsigned long index;
} __attribute__((preserve_access_index));

enum pageflags {
	PG_head = 6,
};

static __always_inline __u32 pages_of(struct page *page)
{
	struct folio___new *now = (void *)page;
	struct folio___old *old = (void *)page;
	struct page___old *second = (void *)page + bpf_core_type_size(struct page);
	unsigned long flags = 0;

	/* The flags come first, whatever their type. */
	bpf_probe_read_kernel(&flags, sizeof(flags), page);
	if (!(flags >> bpf_core_enum_value(enum pageflags, PG_head) & 1))
		return 1;
	if (bpf_core_field_exists(now->_nr_pages))
		return BPF_CORE_READ(now, _nr_pages);
	if (bpf_core_field_exists(old->_folio_nr_pages))
		return BPF_CORE_READ(old, _folio_nr_pages);
	if (bpf_core_field_exists(second->compound_nr))
		return BPF_CORE_READ(second, compound_nr);
	return 1;
}

static __always_inline __u64 index_of(struct page *page)
{
	struct folio___new *now = (void *)page;
	struct page___old *old = (void *)page;

	if (bpf_core_field_exists(now->index))
		return BPF_CORE_READ(now, index);
	if (bpf_core_field_exists(old->index))
		return BPF_CORE_READ(old, index);
	return 0;
}

/* A file that is in no directory: a disk, or one that is deleted and not known. */
static __noinline __u32 nameless(struct inode *inode)
{
	struct inode___dentry *file = (void *)inode;
	struct wb_path_key key = {
		.dentry = (__u64)inode, .ino = BPF_CORE_READ(inode, i_ino),
	};
	__u32 *known = bpf_map_lookup_elem(&wb_path_numbers, &key), id;
	struct wb_path_room *room;

	if (known)
		return *known;
	room = wb_take_room();
	if (!room)
		return WB_PATH_UNKNOWN;
	room->path.ino = key.ino;
	room->path.device = BPF_CORE_READ(inode, i_rdev) ?: BPF_CORE_READ(file, i_sb, s_dev);
	room->path.base = room->path.size = room->path.cut = 0;
	room->path.form = WB_PATH_PSEUDO;
	bpf_probe_read_kernel_str(room->path.type, sizeof(room->path.type),
				  BPF_CORE_READ(file, i_sb, s_type, name));
	id = wb_hand_over(room, &key);
	wb_leave_room(room);
	return id;
}

static __always_inline __u32 path_of(struct inode *inode, struct wb_owner *owner)
{
	struct hlist_node *first = BPF_CORE_READ((struct inode___dentry *)inode, i_dentry.first);

	if (first)
		return wb_path_of((void *)first -
				  bpf_core_field_offset(struct dentry___alias, d_u.d_alias), 0);
	return owner ? owner->path : nameless(inode);
}

static __always_inline void add(struct pagecache_event *e)
{
	struct aggregate_key key = { .pid = e->pid, .path_id = e->path };
	struct aggregate_value *v;
	__u32 op = e->op;
	bool is_new;

	v = aggregate_of(&key, &is_new);
	if (!v)
		return;
	if (is_new)
		v->path = e->path;
	WB_ADD(v, events, 1);
	if (op <= WB_CACHE_WRITE)
		__sync_fetch_and_add(&v->looked_up + op, e->pages);
	if (e->fresh)
		WB_ADD(v, created, e->pages);
}

static __always_inline struct last *last_of_thread(void)
{
	return bpf_task_storage_get(&lasts, (void *)bpf_get_current_task_btf(), 0,
				    BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* Keep in mind what was added; tell whether what is made dirty is that. */
static __always_inline bool follow(struct inode *inode, __u16 op, __u64 index)
{
	struct last *last = last_of_thread();
	bool same;

	if (!last)
		return false;
	same = last->inode == (__u64)inode && last->added == index;
	last->inode = op == WB_CACHE_ADD ? (__u64)inode : 0;
	last->added = index;
	return same && op == WB_CACHE_DIRTY;
}

static __always_inline void report(void *ctx, struct inode *inode, __u16 op, __u64 index,
				   __u64 pages)
{
	__u64 id = bpf_get_current_pid_tgid();
	bool kernel = wb_in_kernel_thread();
	struct wb_owner *owner = wb_owner_of(inode);
	struct pagecache_event e = {
		.index = index, .pages = pages, .pid = id >> 32, .tid = id, .op = op,
		.by_kernel = kernel,
	};

	if (!inode)
		return;
	if (kernel && owner) {
		e.pid = owner->pid;
		e.tid = owner->tid;
	} else if (wb_selected(id >> 32) != WB_TARGET_ACTIVE) {
		return;
	}
	e.path = path_of(inode, owner);
	if (!kernel && (op == WB_CACHE_ADD || op == WB_CACHE_DIRTY)) {
		wb_own(inode, e.path);
		e.fresh = follow(inode, op, index);
	}
	e.ts = bpf_ktime_get_boot_ns();
	e.cpu = bpf_get_smp_processor_id();
	if (aggregate)
		add(&e);
	else
		wb_output(ctx, &e, sizeof(e));
}

/* The number of the read that the thread is in; it grows when a read is over. */
static __always_inline __u64 reads_of(struct task_struct *task)
{
	struct task_struct___reads *t = (void *)task;

	return bpf_core_field_exists(t->ioac.syscr) ? t->ioac.syscr : 0;
}

/* Page where the read began that the thread is in; -1: it is in none. The kernel does not tell of a
 * lookup whose last page is being read in still, but of the ones that follow (filemap_get_pages()). */
static __always_inline __s64 start_of_read(struct task_struct *task)
{
	void *regs = (void *)bpf_task_pt_regs((void *)task);
	__s32 nr = syscall_number(regs);
	__s64 at = -1;
	__u64 args[6];
	struct file *file;

	if (nr < 0)
		return -1;
	if (nr != nr_read && nr != nr_readv && nr != nr_pread64 && nr != nr_preadv &&
	    nr != nr_preadv2)
		return -1;
	read_arguments(args, regs, 5);
	if (nr != nr_read && nr != nr_readv)
		at = args[3];
	if (at < 0) {
		file = wb_file_of(task, args[0]);
		at = file ? BPF_CORE_READ(file, f_pos) : -1;
	}
	return at < 0 ? -1 : at >> page_shift;
}

SEC("?tp_btf/mm_filemap_get_pages") /* Linux 6.10 */
int BPF_PROG(cache_lookup, struct address_space *mapping, unsigned long first, unsigned long last)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct inode *inode = BPF_CORE_READ(mapping, host);
	__u64 reads = reads_of(task), end;
	struct last *before;
	__s64 start;

	if (wb_selected(task->tgid) != WB_TARGET_ACTIVE)
		return 0;
	before = last_of_thread();
	if (!before) {
		wb_lose(WB_DROP_MAP_FULL);
		return 0;
	}
	if (before->mapping == (__u64)mapping && before->last == last && before->reads == reads &&
	    first > before->first) {
		before->first = first;
		return 0;
	}
	start = before->mapping == (__u64)mapping && before->reads == reads ? -1 :
									      start_of_read(task);
	if (start >= 0 && start < first)
		first = start;
	before->mapping = (__u64)mapping;
	before->first = first;
	before->last = last;
	before->reads = reads;
	/* A program may ask for more than the file has. */
	end = ((__u64)BPF_CORE_READ(inode, i_size) + (1ULL << page_shift) - 1) >> page_shift;
	if (last >= end)
		last = end - 1;
	if (end && first <= last)
		report(ctx, inode, WB_CACHE_LOOKUP, first, last - first + 1);
	return 0;
}

SEC("?tp_btf/mm_filemap_fault") /* Linux 6.10 */
int BPF_PROG(cache_fault, struct address_space *mapping, unsigned long index)
{
	report(ctx, BPF_CORE_READ(mapping, host), WB_CACHE_FAULT, index, 1);
	return 0;
}

SEC("?tp_btf/mm_filemap_map_pages") /* Linux 6.10 */
int BPF_PROG(cache_map, struct address_space *mapping, unsigned long first, unsigned long last)
{
	report(ctx, BPF_CORE_READ(mapping, host), WB_CACHE_MAP, first, last - first + 1);
	return 0;
}

SEC("tp_btf/mm_filemap_add_to_page_cache")
int BPF_PROG(cache_add, struct page *page)
{
	report(ctx, wb_inode_of(page), WB_CACHE_ADD, index_of(page), pages_of(page));
	return 0;
}

SEC("tp_btf/mm_filemap_delete_from_page_cache")
int BPF_PROG(cache_remove, struct page *page)
{
	report(ctx, wb_inode_of(page), WB_CACHE_REMOVE, index_of(page), pages_of(page));
	return 0;
}

static __always_inline int dirtied(void *ctx, struct page *page, struct address_space *mapping)
{
	if (mapping)
		report(ctx, BPF_CORE_READ(mapping, host), WB_CACHE_DIRTY, index_of(page),
		       pages_of(page));
	return 0;
}

SEC("?tp_btf/writeback_dirty_folio")
int BPF_PROG(dirty_folio, struct page *page, struct address_space *mapping)
{
	return dirtied(ctx, page, mapping);
}

SEC("?tp_btf/writeback_dirty_page") /* before Linux 5.18 */
int BPF_PROG(dirty_page, struct page *page, struct address_space *mapping)
{
	return dirtied(ctx, page, mapping);
}

/* Where pages leave for the disk, whichever file system they are of. */
SEC("tp_btf/block_bio_queue")
int BPF_PROG(write_back, struct bio *bio)
{
	struct page *page;
	struct inode *inode;

	if ((BPF_CORE_READ(bio, bi_opf) & 0xff) != 1) /* REQ_OP_WRITE */
		return 0;
	page = wb_page_of(bio);
	inode = wb_inode_of(page);
	if (inode)
		report(ctx, inode, WB_CACHE_WRITE, index_of(page),
		       ((__u64)BPF_CORE_READ(bio, bi_iter.bi_size) + (1ULL << page_shift) - 1) >>
			       page_shift);
	return 0;
}
