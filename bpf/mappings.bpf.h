/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is mapped at an address of the task that runs, found in its own memory map. */
#ifndef WORKBENCH_MAPPINGS_H
#define WORKBENCH_MAPPINGS_H

#include "tables.bpf.h"

/* The kernel's structures; CO-RE finds their fields, and ignores the suffix. */

struct maple_tree___wb {
	void *ma_root;
} __attribute__((preserve_access_index));

struct mm_struct___wb {
	unsigned long start_stack;
	struct maple_tree___wb mm_mt;
	struct {
		void *vdso;
	} context;
} __attribute__((preserve_access_index));

struct maple_range_64___wb {
	unsigned long pivot[15];
	void *slot[16];
} __attribute__((preserve_access_index));

struct maple_arange_64___wb {
	unsigned long pivot[9];
	void *slot[10];
} __attribute__((preserve_access_index));

enum maple_type___wb {
	maple_leaf_64___wb = 1,
	maple_arange_64___wb = 3,
};

struct super_block___wb {
	__u32 s_dev;
} __attribute__((preserve_access_index));

struct inode___wb {
	unsigned long i_ino;
	__s64 i_size;
	struct super_block___wb *i_sb;
} __attribute__((preserve_access_index));

struct dentry___wb {
	struct inode___wb *d_inode;
} __attribute__((preserve_access_index));

struct path___wb {
	struct dentry___wb *dentry;
} __attribute__((preserve_access_index));

struct file___wb {
	struct inode___wb *f_inode;
} __attribute__((preserve_access_index));

struct backing_file___wb {
	struct path___wb user_path;
} __attribute__((preserve_access_index));

struct vm_area_struct___wb {
	unsigned long vm_start, vm_end, vm_pgoff, vm_flags;
	struct file___wb *vm_file;
} __attribute__((preserve_access_index));

#define VM_EXEC 4                  /* include/linux/mm.h */
#define MAPLE_NODE_WORDS 32        /* nodes are 256 bytes, aligned so: lib/maple_tree.c */
#define MAPLE_LEVELS 8

struct wb_mapping {
	__u64 root;       /* of the task's maple tree */
	__u64 vdso;
	__u64 start, end; /* what was found last */
	__u64 offset;     /* of its start in the file */
	__u32 number;     /* of its image, 0: none that is known */
	__u32 blocks;
	__u32 is_file;
	__u32 missing;    /* an image was met that user space has not loaded */
	__u32 now;
	__u32 pad;
	__u64 node[MAPLE_NODE_WORDS];
};

/* Leaf of the maple tree that holds `address` (mas_walk() in lib/maple_tree.c), 0 if none does.
 * Without its lock: a node that is changed meanwhile is as good or useless as it was. */
static __always_inline __u64 wb_find_leaf(struct wb_mapping *m, __u64 address)
{
	const __u32 leaf = bpf_core_enum_value(enum maple_type___wb, maple_leaf_64___wb);
	const __u32 arange = bpf_core_enum_value(enum maple_type___wb, maple_arange_64___wb);
	const __u32 slots = bpf_core_field_offset(struct maple_range_64___wb, slot) / 8;
	const __u32 pivots = bpf_core_field_size(struct maple_range_64___wb, pivot) / 8;
	const __u32 arange_slots = bpf_core_field_offset(struct maple_arange_64___wb, slot) / 8;
	const __u32 arange_pivots = bpf_core_field_size(struct maple_arange_64___wb, pivot) / 8;
	__u64 entry = m->root;

	for (int level = 0; level < MAPLE_LEVELS; level++) {
		__u32 type = (entry >> 3) & 15, count, slot, i;

		if (entry < 4096)
			return 0;
		if (bpf_probe_read_kernel(m->node, sizeof(m->node), (void *)(entry & ~0xffULL)))
			return 0;
		count = type == arange ? arange_pivots : pivots;
		slot = type == arange ? arange_slots : slots;
		for (i = 0; i < 15; i++) {
			__u64 pivot = m->node[1 + i];

			/* Behind the last pivot in use is 0; it stands for the node's end. */
			if (i >= count || pivot >= address || (!pivot && i))
				break;
		}
		entry = m->node[(slot + i) & (MAPLE_NODE_WORDS - 1)];
		if (type == leaf)
			return entry < 4096 ? 0 : entry;
	}
	return 0;
}

static __always_inline struct wb_image *wb_image_of(struct inode___wb *inode)
{
	struct wb_image_key key = {};

	key.inode = BPF_CORE_READ(inode, i_ino);
	key.size = BPF_CORE_READ(inode, i_size);
	key.device = BPF_CORE_READ(inode, i_sb, s_dev);
	return bpf_map_lookup_elem(&wb_images, &key);
}

static __always_inline void wb_find_image(struct wb_mapping *m, struct file___wb *file)
{
	struct backing_file___wb *backing = (void *)file;
	struct wb_image_key vdso = {.size = m->end - m->start};
	struct wb_image *image;

	m->is_file = 1;
	if (file) {
		image = wb_image_of(BPF_CORE_READ(file, f_inode));
		/* On overlayfs, /proc/PID/maps shows the inode that users see and not that of the
		 * layer (file_user_inode(), include/linux/fs.h). The flag that tells such files,
		 * FMODE_BACKING, has had several values; of others this reads nothing that is one. */
		if (!image && bpf_core_type_exists(struct backing_file___wb))
			image = wb_image_of(BPF_CORE_READ(backing, user_path.dentry, d_inode));
	} else {
		m->offset = 0;
		image = bpf_map_lookup_elem(&wb_images, &vdso);
	}
	if (!image || image->number >= WB_MAX_IMAGES) {
		m->missing = 1;
		return;
	}
	m->number = image->number;
	m->blocks = image->blocks;
	if (m->blocks == WB_PENDING) {
		m->blocks = 0;
		m->missing = 1;
	}
	image->used = m->now;
}

/* Find the mapping of `address`; 0 if code may lie there. */
static __always_inline int wb_find_mapping(struct wb_mapping *m, __u64 address)
{
	struct vm_area_struct___wb *vma;
	struct file___wb *file;

	if (address >= m->start && address < m->end)
		return 0;
	m->number = m->blocks = m->is_file = 0;
	vma = (void *)wb_find_leaf(m, address);
	if (!vma)
		return -1;
	m->start = BPF_CORE_READ(vma, vm_start);
	m->end = BPF_CORE_READ(vma, vm_end);
	if (address < m->start || address >= m->end || !(BPF_CORE_READ(vma, vm_flags) & VM_EXEC)) {
		m->end = 0;
		return -1;
	}
	m->offset = BPF_CORE_READ(vma, vm_pgoff) << 12;
	file = BPF_CORE_READ(vma, vm_file);
	if (file || m->start == m->vdso)
		wb_find_image(m, file);
	return 0;
}

static __always_inline void wb_map_start(struct wb_mapping *m, struct mm_struct___wb *mm)
{
	m->root = (__u64)BPF_CORE_READ(mm, mm_mt.ma_root);
	m->vdso = (__u64)BPF_CORE_READ(mm, context.vdso);
	m->start = m->end = 0;
	m->number = m->blocks = m->is_file = m->missing = 0;
	m->now = bpf_ktime_get_boot_ns() >> 20; /* about milliseconds */
}

#endif
