/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From pages of the page cache to the file that they belong to, and who made them dirty.
 *
 * Kernel threads write dirty pages back, long after a program has changed them. wb_dirtied keeps
 * for each file the thread of the target that made one of its pages dirty last.
 */
#ifndef WORKBENCH_FOLIO_H
#define WORKBENCH_FOLIO_H

#include "workbench.bpf.h"

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */
#define WB_PAGE_SHIFT 12      /* of x86-64; user space sets page_shift where it differs */

const volatile __u32 page_shift = WB_PAGE_SHIFT;

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
	long long i_size;
} __attribute__((preserve_access_index));

struct address_space {
	struct inode *host;
} __attribute__((preserve_access_index));

/* Folios are pages in kernels before 5.16; the fields are the same (mm/filemap.c). */
struct page {
	unsigned long flags;
	struct address_space *mapping;
	unsigned long compound_head;
} __attribute__((preserve_access_index));

struct bio_vec {
	struct page *bv_page;
} __attribute__((preserve_access_index));

struct bvec_iter {
	unsigned int bi_size;
} __attribute__((preserve_access_index));

struct bio {
	unsigned int bi_opf;
	struct bvec_iter bi_iter;
	struct bio_vec *bi_io_vec;
} __attribute__((preserve_access_index));

struct task_struct___kthread {
	unsigned int flags;
} __attribute__((preserve_access_index));

struct wb_dirtier {
	__u64 ino; /* the file may be another one at the same address */
	__u32 pid, tid;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* address of the inode */
	__type(value, struct wb_dirtier);
} wb_dirtied SEC(".maps");

static __always_inline bool wb_in_kernel_thread(void)
{
	struct task_struct___kthread *task = (void *)bpf_get_current_task_btf();

	return task->flags & PF_KTHREAD;
}

#define S_IFMT 0170000 /* include/uapi/linux/stat.h */
#define S_IFREG 0100000

/* The current thread has made pages of the file dirty. Those of a disk's own inode are data of all
 * files of its file system, so only regular files count. */
static __always_inline void wb_note_dirtier(struct inode *inode)
{
	__u64 id = bpf_get_current_pid_tgid(), key = (__u64)inode;
	struct wb_dirtier dirtier = {
		.ino = BPF_CORE_READ(inode, i_ino), .pid = id >> 32, .tid = id,
	};

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) == S_IFREG)
		bpf_map_update_elem(&wb_dirtied, &key, &dirtier, BPF_ANY);
}

/* Who made pages of the file dirty last; 0: nobody of the target. */
static __always_inline struct wb_dirtier *wb_dirtier_of(struct inode *inode)
{
	__u64 key = (__u64)inode;
	struct wb_dirtier *found = inode ? bpf_map_lookup_elem(&wb_dirtied, &key) : 0;

	return found && found->ino == BPF_CORE_READ(inode, i_ino) ? found : 0;
}

/* The file whose pages a bio moves, if the first one is in the page cache: those of direct I/O
 * belong to the program, and those of the file system's own data to the device. */
static __always_inline struct inode *wb_inode_of(struct bio *bio)
{
	struct page *page = BPF_CORE_READ(bio, bi_io_vec, bv_page);
	unsigned long head, mapping;

	if (!page)
		return 0;
	head = BPF_CORE_READ(page, compound_head);
	if (head & 1) /* include/linux/page-flags.h, _compound_head() */
		page = (void *)(head - 1);
	mapping = (unsigned long)BPF_CORE_READ(page, mapping);
	if (mapping & 3) /* FOLIO_MAPPING_FLAGS: memory of a program */
		return 0;
	return mapping ? BPF_CORE_READ((struct address_space *)mapping, host) : 0;
}

#endif
