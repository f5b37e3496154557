/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The user's part of a stack, walked by the unwind tables of the files that are mapped.
 *
 * A frame's caller follows from a row of its file's table, which user space makes of .eh_frame
 * (workbench/unwind). What is mapped where comes from the task's own memory map, so there is no
 * table of each process to be kept in step. Needs the maple tree of mappings (Linux 6.1); other
 * kernels are told by a feature test and get the kernel's walk by frame pointers.
 */
#ifndef WORKBENCH_UNWIND_H
#define WORKBENCH_UNWIND_H

#include "workbench.bpf.h"

#define WB_STACK_DEPTH 127 /* PERF_MAX_STACK_DEPTH, include/uapi/linux/perf_event.h */

/* User word: where it was (image number and file offset, or number 0 and the address). */
#define WB_WORD_EXACT (1ULL << 63) /* an interrupted instruction, not a return address */
#define WB_WORD_IMAGE_SHIFT 48
#define WB_WORD_OFFSET ((1ULL << WB_WORD_IMAGE_SHIFT) - 1)
#define WB_MAX_IMAGES 32768 /* numbers 1 to 32767 */

/* How the walk of the user's part ended. schema.py has the same names. */
enum wb_stack_status {
	WB_STACK_COMPLETE,          /* reached the root of the thread */
	WB_STACK_TRUNCATED,         /* WB_STACK_DEPTH frames, and more to come */
	WB_STACK_NO_MAPPING,        /* a return address where no code is */
	WB_STACK_BAD_RULE,          /* a rule that the table cannot express */
	WB_STACK_READ_FAULT,        /* stack memory that could not be read */
	WB_STACK_FRAME_POINTER_END, /* the frame pointers ended before the root, or were all there is */
	WB_STACK_IMAGE_MISSING,     /* code of a file whose table is not loaded (yet) */
	WB_STACK_KERNEL_ONLY,       /* no user part was asked for, or the task has none */
	WB_STACK_UNSUPPORTED,       /* this machine, or this kind of task, cannot be walked */
};
enum wb_stack_status *wb_enum_stack_status __attribute__((unused));

/* ---- tables ---- */

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
};
enum wb_rule *wb_enum_rule __attribute__((unused));

/* A row: file offset << 0, rule << 32, cfa << 36 (16 bits), rbp << 52 (8 bits). */
#define WB_ROW_RULE(row) (((row) >> 32) & 15)
#define WB_ROW_CFA(row) (((row) >> 36) & 0xffff)
#define WB_ROW_RBP(row) (((row) >> 52) & 0xff)
#define WB_ROW_OF(rule) ((__u64)(rule) << 32)

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

struct wb_image {
	__u32 number;
	__u32 blocks; /* 0: the file is known and has no table */
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

const volatile __u32 wb_tables = 0; /* user space made the maps above and fills them */

/* ---- the kernel's structures, found by CO-RE; the suffix is ignored ---- */

struct maple_tree___wb {
	void *ma_root;
} __attribute__((preserve_access_index));

struct mm_struct___wb {
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
	__u32 f_mode;
	struct inode___wb *f_inode;
} __attribute__((preserve_access_index));

struct backing_file___wb {
	struct path___wb user_path;
} __attribute__((preserve_access_index));

struct vm_area_struct___wb {
	unsigned long vm_start, vm_end, vm_pgoff, vm_flags;
	struct file___wb *vm_file;
} __attribute__((preserve_access_index));

struct pt_regs___wb {
	unsigned long bp, ip, cs, sp;
} __attribute__((preserve_access_index));

#define VM_EXEC 4                  /* include/linux/mm.h */
#define FMODE_BACKING (1U << 25)   /* include/linux/fs.h */
#define MAPLE_NODE_WORDS 32        /* nodes are 256 bytes, aligned so: lib/maple_tree.c */
#define MAPLE_LEVELS 8
#define USER32_CS 0x23             /* arch/x86/include/asm/segment.h */

/* ---- a walk ---- */

struct wb_walk {
	__u64 pc, sp, bp;
	__u64 start, end;  /* mapping that was found last */
	__u64 offset;      /* of its start in the file */
	__u64 root;        /* of the maple tree */
	__u64 vdso;
	__u32 number;      /* image of the mapping, 0: none that is known */
	__u32 blocks;
	__u32 is_file;
	__u32 returned;    /* 1: pc is a return address */
	__u32 depth;
	__u32 status;
	__u32 missing;     /* an image was met that user space has not loaded */
	__u32 now;
	__u64 busy;
	__u64 node[MAPLE_NODE_WORDS];
};

/* Two for each CPU: a program may interrupt another one of the same object. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct wb_walk);
} wb_walks SEC(".maps");

/* What a step of bpf_loop() gets. */
struct wb_walk_context {
	struct wb_walk *walk;
	__u64 *words;
};

static __always_inline int wb_read_user(__u64 address, void *to, __u32 size)
{
	return bpf_probe_read_user(to, size, (void *)address);
}

/* Leave of the maple tree that holds `address` (mas_walk() in lib/maple_tree.c), 0 if none does.
 * Without its lock: a node that is changed meanwhile is as good or useless as it was. */
static __always_inline __u64 wb_find_leaf(struct wb_walk *w, __u64 address)
{
	const __u32 leaf = bpf_core_enum_value(enum maple_type___wb, maple_leaf_64___wb);
	const __u32 arange = bpf_core_enum_value(enum maple_type___wb, maple_arange_64___wb);
	const __u32 slots = bpf_core_field_offset(struct maple_range_64___wb, slot) / 8;
	const __u32 pivots = bpf_core_field_size(struct maple_range_64___wb, pivot) / 8;
	const __u32 arange_slots = bpf_core_field_offset(struct maple_arange_64___wb, slot) / 8;
	const __u32 arange_pivots = bpf_core_field_size(struct maple_arange_64___wb, pivot) / 8;
	__u64 entry = w->root;

	for (int level = 0; level < MAPLE_LEVELS; level++) {
		__u32 type = (entry >> 3) & 15, count, slot, i;

		if (entry < 4096)
			return 0;
		if (bpf_probe_read_kernel(w->node, sizeof(w->node), (void *)(entry & ~0xffULL)))
			return 0;
		count = type == arange ? arange_pivots : pivots;
		slot = type == arange ? arange_slots : slots;
		for (i = 0; i < 15; i++) {
			__u64 pivot = w->node[1 + i];

			/* Behind the last pivot in use is 0; it stands for the node's end. */
			if (i >= count || pivot >= address || (!pivot && i))
				break;
		}
		entry = w->node[(slot + i) & (MAPLE_NODE_WORDS - 1)];
		if (type == leaf)
			return entry < 4096 ? 0 : entry;
	}
	return 0;
}

/* Inode that /proc/PID/maps shows: of overlayfs' own file, not of the layer's (file_user_inode()
 * in include/linux/fs.h). */
static __always_inline struct inode___wb *wb_inode(struct file___wb *file)
{
	struct backing_file___wb *backing = (void *)file;

	if (bpf_core_type_exists(struct backing_file___wb) &&
	    BPF_CORE_READ(file, f_mode) & FMODE_BACKING)
		return BPF_CORE_READ(backing, user_path.dentry, d_inode);
	return BPF_CORE_READ(file, f_inode);
}

static __always_inline void wb_find_image(struct wb_walk *w, struct file___wb *file)
{
	struct wb_image_key key = {};
	struct wb_image *image;

	if (file) {
		struct inode___wb *inode = wb_inode(file);

		key.inode = BPF_CORE_READ(inode, i_ino);
		key.size = BPF_CORE_READ(inode, i_size);
		key.device = BPF_CORE_READ(inode, i_sb, s_dev);
	} else {
		key.size = w->end - w->start;
		w->offset = 0;
	}
	w->is_file = 1;
	image = bpf_map_lookup_elem(&wb_images, &key);
	if (!image || image->number >= WB_MAX_IMAGES) {
		w->missing = 1;
		return;
	}
	w->number = image->number;
	w->blocks = image->blocks;
	image->used = w->now;
}

/* Find the mapping of `address`; 0 if code may lie there. */
static __always_inline int wb_find_mapping(struct wb_walk *w, __u64 address)
{
	struct vm_area_struct___wb *vma;
	struct file___wb *file;

	if (address >= w->start && address < w->end)
		return 0;
	w->number = w->blocks = w->is_file = 0;
	vma = (void *)wb_find_leaf(w, address);
	if (!vma)
		return -1;
	w->start = BPF_CORE_READ(vma, vm_start);
	w->end = BPF_CORE_READ(vma, vm_end);
	if (address < w->start || address >= w->end || !(BPF_CORE_READ(vma, vm_flags) & VM_EXEC)) {
		w->end = 0;
		return -1;
	}
	w->offset = BPF_CORE_READ(vma, vm_pgoff) << 12;
	file = BPF_CORE_READ(vma, vm_file);
	if (file || w->start == w->vdso)
		wb_find_image(w, file);
	return 0;
}

/* Row that holds at an offset of the image. */
static __always_inline __u64 wb_find_row(struct wb_walk *w, __u64 offset)
{
	__u32 low = 0, high = w->blocks, number = w->number, at = 0;
	struct wb_block *block;
	void *table;

	if (!high)
		return WB_ROW_OF(WB_RULE_FP);
	if (offset >> 32)
		return WB_ROW_OF(WB_RULE_BAD);
	table = bpf_map_lookup_elem(&wb_rows, &number);
	if (!table)
		return WB_ROW_OF(WB_RULE_FP);
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

/* The walk ends here. */
static __always_inline long wb_end(struct wb_walk *w, enum wb_stack_status status)
{
	w->status = status;
	return 1;
}

/* Go on where a signal interrupted the thread: struct rt_sigframe behind its return address,
 * arch/x86/include/uapi/asm/sigcontext.h: rbp, rbx, rdx, rax, rcx, rsp, rip lie in a row. */
static __always_inline long wb_step_signal(struct wb_walk *w)
{
	__u64 registers[7];

	if (wb_read_user(w->sp + 120, registers, sizeof(registers)))
		return wb_end(w, WB_STACK_READ_FAULT);
	w->bp = registers[0];
	w->sp = registers[5];
	w->pc = registers[6];
	w->returned = 0;
	return 0;
}

#define CODE_SIGRETURN 0x0f0000000fc0c748 /* mov $15,%rax (rt_sigreturn); syscall follows */
#define CODE_ADD_RSP 0xc48348             /* add $imm8,%rsp */
#define CODE_RET 0xc3

/* Caller of code without a table. Mostly it has frame pointers; two pieces of code that have not
 * are told by their instructions: the return from a signal handler of C libraries without tables,
 * and `add $n,%rsp; ret` behind the call, as in CPython's perf trampolines. */
static __always_inline long wb_code_rule(struct wb_walk *w, __u64 *cfa)
{
	__u64 code;

	if (!w->returned || wb_read_user(w->pc, &code, sizeof(code)))
		return WB_RULE_FP;
	if (code == CODE_SIGRETURN)
		return WB_RULE_SIGNAL;
	if ((code & 0xffffff) == CODE_ADD_RSP && (code >> 32 & 0xff) == CODE_RET) {
		*cfa = w->sp + (code >> 24 & 0x7f) + 8;
		return WB_RULE_RSP;
	}
	return WB_RULE_FP;
}

/* Take the return address at CFA - 8 and the caller's rbp, which lies `saved` below the CFA. */
static __always_inline long wb_step_frame(struct wb_walk *w, __u64 cfa, __u64 saved)
{
	__u64 pair[2];

	if (cfa <= w->sp || cfa & 7)
		return wb_end(w, WB_STACK_FRAME_POINTER_END);
	if (saved == 16) { /* the usual place: one read for both */
		if (wb_read_user(cfa - 16, pair, sizeof(pair)))
			return wb_end(w, WB_STACK_READ_FAULT);
		w->bp = pair[0];
		w->pc = pair[1];
	} else {
		if (wb_read_user(cfa - 8, &w->pc, sizeof(w->pc)))
			return wb_end(w, WB_STACK_READ_FAULT);
		if (saved && wb_read_user(cfa - saved, &w->bp, sizeof(w->bp)))
			return wb_end(w, WB_STACK_READ_FAULT);
	}
	w->sp = cfa;
	w->returned = 1;
	return 0;
}

static __always_inline long wb_step_frame_pointer(struct wb_walk *w)
{
	/* The System V ABI (3.4.1) marks the outermost frame by rbp = 0. Code of files has it from
	 * their start-up code; in a JIT's code, rbp may hold anything. */
	if (!w->bp && w->is_file && w->returned)
		return wb_end(w, WB_STACK_COMPLETE);
	if (w->bp < w->sp)
		return wb_end(w, WB_STACK_FRAME_POINTER_END);
	return wb_step_frame(w, w->bp + 16, 16);
}

static __always_inline long wb_step_drap(struct wb_walk *w, __u64 cfa_at, __u64 saved)
{
	__u64 cfa, bp = w->bp;

	if (wb_read_user(bp - cfa_at, &cfa, sizeof(cfa)))
		return wb_end(w, WB_STACK_READ_FAULT);
	if (saved && wb_read_user(w->bp, &bp, sizeof(bp)))
		return wb_end(w, WB_STACK_READ_FAULT);
	if (wb_step_frame(w, cfa, 0))
		return 1;
	w->bp = bp;
	return 0;
}

/* From a frame to its caller. */
static __always_inline long wb_step(struct wb_walk *w, __u64 row)
{
	__u64 cfa = WB_ROW_CFA(row) * 8, saved = WB_ROW_RBP(row) * 8;
	__u32 rule = WB_ROW_RULE(row);

	if (rule == WB_RULE_FP) {
		rule = wb_code_rule(w, &cfa);
		if (rule == WB_RULE_FP)
			return wb_step_frame_pointer(w);
		if (rule == WB_RULE_RSP)
			return wb_step_frame(w, cfa, 0);
	}
	switch (rule) {
	case WB_RULE_RSP:
		return wb_step_frame(w, w->sp + cfa, saved);
	case WB_RULE_RBP:
		return wb_step_frame(w, w->bp + cfa, saved);
	case WB_RULE_PLT:
		return wb_step_frame(w, w->sp + 8 + ((w->pc & 15) >= cfa / 8 ? 8 : 0), 0);
	case WB_RULE_SIGNAL:
		return wb_step_signal(w);
	case WB_RULE_DRAP:
		return wb_step_drap(w, cfa, saved);
	case WB_RULE_END:
		return wb_end(w, WB_STACK_COMPLETE);
	}
	return wb_end(w, WB_STACK_BAD_RULE);
}

static long wb_walk_step(__u32 i, struct wb_walk_context *context)
{
	struct wb_walk *w = context->walk;
	__u64 address = w->pc - w->returned, exact = w->returned ? 0 : WB_WORD_EXACT;
	__u64 offset, word;

	if (i >= WB_STACK_DEPTH)
		return 1;
	if (!w->pc && w->returned) /* a root that no table tells */
		return wb_end(w, WB_STACK_COMPLETE);
	if (wb_find_mapping(w, address)) {
		if (!i) {
			context->words[0] = (w->pc & WB_WORD_OFFSET) | exact;
			w->depth = 1;
		}
		return wb_end(w, WB_STACK_NO_MAPPING);
	}
	offset = address - w->start + w->offset;
	word = w->number ? (__u64)w->number << WB_WORD_IMAGE_SHIFT |
				   ((offset + w->returned) & WB_WORD_OFFSET)
			 : w->pc & WB_WORD_OFFSET;
	context->words[i] = word | exact;
	w->depth = i + 1;
	return wb_step(w, wb_find_row(w, offset));
}

/* Registers of the task when it left user space; 0 if it can be walked. */
static __always_inline int wb_walk_start(struct wb_walk *w, struct task_struct *task)
{
	struct mm_struct___wb *mm = (void *)BPF_CORE_READ(task, mm);
	struct pt_regs___wb *registers;

	w->depth = w->missing = w->returned = 0;
	w->start = w->end = 0;
	w->number = w->blocks = w->is_file = 0;
	w->status = WB_STACK_KERNEL_ONLY;
	if (!mm)
		return -1;
	registers = (void *)bpf_task_pt_regs(task);
	w->pc = BPF_CORE_READ(registers, ip);
	w->sp = BPF_CORE_READ(registers, sp);
	w->bp = BPF_CORE_READ(registers, bp);
	if (!w->pc) /* a worker of io_uring: user memory, but no user code */
		return -1;
	w->status = WB_STACK_UNSUPPORTED;
	if ((__u16)BPF_CORE_READ(registers, cs) == USER32_CS)
		return -1;
	w->root = (__u64)BPF_CORE_READ(mm, mm_mt.ma_root);
	w->vdso = (__u64)BPF_CORE_READ(mm, context.vdso);
	w->now = bpf_ktime_get_boot_ns() >> 20; /* about milliseconds */
	w->status = WB_STACK_TRUNCATED;
	return 0;
}

static __always_inline struct wb_walk *wb_walk_take(void)
{
	__u32 slot = 0;
	struct wb_walk *w = bpf_map_lookup_elem(&wb_walks, &slot);

	if (w && !__sync_lock_test_and_set(&w->busy, 1))
		return w;
	slot = 1;
	w = bpf_map_lookup_elem(&wb_walks, &slot);
	return w && !__sync_lock_test_and_set(&w->busy, 1) ? w : 0;
}

/* Whether this kernel has what a walk needs; user space fills the tables only then. */
static __always_inline bool wb_can_walk(void)
{
#ifdef __TARGET_ARCH_x86
	return wb_tables && bpf_core_field_exists(struct mm_struct___wb, mm_mt) &&
	       bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop);
#else
	return false;
#endif
}

/* Walk the user's part of the stack of the current task; return how many words there are. */
static __always_inline long wb_walk(struct task_struct *task, __u64 *words, __u16 *status)
{
	struct wb_walk *w = wb_walk_take();
	struct wb_walk_context context = {.walk = w, .words = words};
	__u32 depth;

	*status = WB_STACK_UNSUPPORTED;
	if (!w)
		return 0;
	if (!wb_walk_start(w, task))
		bpf_loop(WB_STACK_DEPTH, wb_walk_step, &context, 0);
	depth = w->depth;
	*status = w->missing ? WB_STACK_IMAGE_MISSING : w->status;
	w->busy = 0;
	return depth <= WB_STACK_DEPTH ? depth : 0;
}

#endif
