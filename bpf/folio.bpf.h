/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From pages of the page cache to the file that they belong to, and to whose pages they are.
 *
 * Kernel threads write dirty pages back and drop clean ones, long after a program has used them.
 * wb_owners keeps for each file the thread of the target that changed its pages last.
 */
#ifndef WORKBENCH_FOLIO_H
#define WORKBENCH_FOLIO_H

#include "workbench.bpf.h"

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

struct inode;

struct address_space {
	struct inode *host;
} __attribute__((preserve_access_index));

struct inode {
	unsigned short i_mode;
	unsigned int i_rdev;
	unsigned long i_ino;
	long long i_size;
	struct address_space *i_mapping;
} __attribute__((preserve_access_index));

/* Folios are pages in kernels before 5.16; the fields are the same (mm/filemap.c). */
struct page {
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

struct wb_owner {
	__u64 ino; /* the file may be another one at the same address */
	__u32 pid, tid, path;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* address of the inode */
	__type(value, struct wb_owner);
} wb_owners SEC(".maps");

static __always_inline bool wb_in_kernel_thread(void)
{
	struct task_struct___kthread *task = (void *)bpf_get_current_task_btf();

	return task->flags & PF_KTHREAD;
}

#define S_IFMT 0170000 /* include/uapi/linux/stat.h */
#define S_IFREG 0100000

/* The current thread has changed pages of the file. Those of a disk's own inode are data of all
 * files of its file system, so only regular files count. */
static __always_inline void wb_own(struct inode *inode, __u32 path)
{
	__u64 id = bpf_get_current_pid_tgid(), key = (__u64)inode;
	struct wb_owner owner = {
		.ino = BPF_CORE_READ(inode, i_ino), .pid = id >> 32, .tid = id, .path = path,
	};

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) == S_IFREG)
		bpf_map_update_elem(&wb_owners, &key, &owner, BPF_ANY);
}

/* Who changed pages of the file last; 0: nobody of the target. */
static __always_inline struct wb_owner *wb_owner_of(struct inode *inode)
{
	__u64 key = (__u64)inode;
	struct wb_owner *found = inode ? bpf_map_lookup_elem(&wb_owners, &key) : 0;

	return found && found->ino == BPF_CORE_READ(inode, i_ino) ? found : 0;
}

/* The first page that a bio moves, if it is in the page cache of a file: those of direct I/O belong
 * to the program. Of a large folio it is the first one of all. */
static __always_inline struct page *wb_page_of(struct bio *bio)
{
	struct page *page = BPF_CORE_READ(bio, bi_io_vec, bv_page);
	unsigned long head;

	if (!page)
		return 0;
	head = BPF_CORE_READ(page, compound_head);
	if (head & 1) /* include/linux/page-flags.h, _compound_head() */
		page = (void *)(head - 1);
	if ((unsigned long)BPF_CORE_READ(page, mapping) & 3) /* FOLIO_MAPPING_FLAGS */
		return 0;
	return page;
}

/* The file of a page; 0: none. Memory of the kernel's own has other things in the place of mapping, so
 * the file has to agree. */
static __always_inline struct inode *wb_inode_of(struct page *page)
{
	struct address_space *mapping = page ? BPF_CORE_READ(page, mapping) : 0;
	struct inode *inode = mapping ? BPF_CORE_READ(mapping, host) : 0;

	return inode && BPF_CORE_READ(inode, i_mapping) == mapping ? inode : 0;
}

#endif
