/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Unwind tables, which user space makes of the .eh_frame of files (workbench/unwind). */
#ifndef WORKBENCH_TABLES_H
#define WORKBENCH_TABLES_H

#include "workbench.bpf.h"

#define WB_MAX_IMAGES 32768 /* numbers 1 to 32767 */

/* Rules of a row; workbench/unwind/rows.py has the same. */
enum wb_rule {
	WB_RULE_END,    /* the root of a thread */
	WB_RULE_RSP,    /* CFA = rsp + cfa */
	WB_RULE_RBP,    /* CFA = rbp + cfa */
	WB_RULE_PLT,    /* CFA = rsp + 8, and 8 more from byte `cfa` of the 16 of an entry on */
	WB_RULE_SIGNAL, /* the frame that the kernel makes for a signal handler */
	WB_RULE_DRAP,   /* CFA = *(rbp - cfa): a function that realigned its stack */
	WB_RULE_BAD,    /* cannot be expressed */
	WB_RULE_FP,     /* no table here: frame pointers */
	WB_RULE_RBX,    /* CFA = rbx + cfa: lazy binding in glibc's dynamic linker */
};
enum wb_rule *wb_enum_rule __attribute__((unused));

/* A row: file offset << 0, rule << 32, cfa << 36 (16 bits), rbp << 52 (8 bits), rbx << 60. */
#define WB_ROW_RULE(row) (((row) >> 32) & 15)
#define WB_ROW_CFA(row) (((row) >> 36) & 0xffff)
#define WB_ROW_CFA_OF(words) ((__u64)(words) << 36)
#define WB_ROW_RBP(row) (((row) >> 52) & 0xff)
#define WB_ROW_RBX(row) (((row) >> 60) & 15)
#define WB_ROW_OF(rule) ((__u64)(rule) << 32)
#define WB_RBX_LOST 1 /* the caller's rbx is at no place that a row can say */

#define WB_BLOCK_ROWS 32
#define WB_BLOCK_STEPS 5  /* 2^5 = 32 */
#define WB_SEARCH_STEPS 20 /* 2^20 blocks, 2^25 rows */

/* Rows in blocks, so that the last steps of a search need no helper; padded with ~0. */
struct wb_block {
	__u64 rows[WB_BLOCK_ROWS];
};

/* A table; made by user space in the size of the image. */
struct wb_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct wb_block)); /* clang leaves its type out of the BTF here */
};

/* Table of each image, by its number. A map of its own for each: it takes the memory that it
 * needs, and taking it out waits for the walks that still use it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, WB_MAX_IMAGES);
	__type(key, __u32);
	__array(values, struct wb_table);
} wb_rows SEC(".maps");

/* A file as /proc/PID/maps shows it; the vdso has inode and device 0 and the mapping's size. */
struct wb_image_key {
	__u64 inode;
	__u64 size;
	__u32 device;
	__u32 pad;
};

#define WB_PENDING (~0U)

struct wb_image {
	__u32 number;
	__u32 blocks; /* 0: the file is known and has no table, WB_PENDING: not yet */
	__u32 used;   /* when it was last met, about milliseconds: user space evicts by it */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WB_MAX_IMAGES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct wb_image_key);
	__type(value, struct wb_image);
} wb_images SEC(".maps");

const volatile __u32 wb_tables = 0; /* user space fills these maps */

/* Row that holds at an offset of an image whose table has that many blocks; `missing` is set where
 * the table is not there. */
static __always_inline __u64 wb_find_row(__u32 number, __u32 blocks, __u64 offset, __u32 *missing)
{
	__u32 low = 0, high = blocks, at = 0;
	struct wb_block *block;
	void *table;

	if (!high)
		return WB_ROW_OF(WB_RULE_FP);
	if (offset >> 32)
		return WB_ROW_OF(WB_RULE_BAD);
	table = bpf_map_lookup_elem(&wb_rows, &number);
	if (!table) {
		*missing = 1;
		return WB_ROW_OF(WB_RULE_FP);
	}
	for (int i = 0; i < WB_SEARCH_STEPS && low + 1 < high; i++) {
		__u32 middle = (low + high) / 2;

		block = bpf_map_lookup_elem(table, &middle);
		if (!block)
			return WB_ROW_OF(WB_RULE_FP);
		if ((__u32)block->rows[0] <= offset)
			low = middle;
		else
			high = middle;
	}
	block = bpf_map_lookup_elem(table, &low);
	if (!block || (__u32)block->rows[0] > offset)
		return WB_ROW_OF(WB_RULE_FP);
#pragma unroll
	for (__u32 step = WB_BLOCK_ROWS / 2; step; step /= 2) {
		__u32 next = (at + step) & (WB_BLOCK_ROWS - 1);

		if ((__u32)block->rows[next] <= offset)
			at = next;
	}
	return block->rows[at & (WB_BLOCK_ROWS - 1)];
}

#endif
