/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The stack of a task as the words that end a record: kernel, user and Python frames.
 *
 * An event with a stack ends in WB_STACK_FIELDS. Its words are, each part leaf first: kernel
 * addresses; user words (below); two words for each Python frame (python.bpf.h).
 */
#ifndef WORKBENCH_STACK_H
#define WORKBENCH_STACK_H

#include <linux/ptrace.h>

#include "unwind.bpf.h"

/* Kernel addresses, and user ones by frame pointers: what bpf_get_stack() gives by default,
 * PERF_MAX_STACK_DEPTH of include/uapi/linux/perf_event.h. */
#define WB_STACK_DEPTH 127
#define WB_STACK_WORDS (WB_STACK_DEPTH + WB_USER_DEPTH + 2 * WB_PYTHON_FRAMES)
#define WB_STACK_BYTES (WB_STACK_WORDS * sizeof(__u64))
#define WB_PART_BYTES (WB_STACK_DEPTH * sizeof(__u64))
#define WB_USER_BYTES (WB_USER_DEPTH * sizeof(__u64))

/* What to take: flags of wb_stack(). */
#define WB_STACK_KERNEL 1
#define WB_STACK_USER 2
#define WB_STACK_PYTHON 4
#define WB_STACK_CALLER 8 /* a uprobe at a function's entry: its caller comes first */

typedef __u16 wb_stack_status; /* a column: its text */

#define WB_STACK_FIELDS                                                                    \
	__u16 kernel_depth WB_DOC("kernel addresses at the start of words");               \
	__u16 user_depth WB_DOC("user words behind them");                                 \
	__u16 python_depth WB_DOC("Python frames behind them, two words each");            \
	wb_stack_status stack_status WB_DOC("whether the user's part of the stack is whole"); \
	__u64 words[]

/* The first four of WB_STACK_FIELDS. */
struct wb_stack_head {
	__u16 kernel_depth, user_depth, python_depth, stack_status;
};
#define WB_STACK_HEAD(event) ((struct wb_stack_head *)&(event)->kernel_depth)

/* The place where the longest record of a kind is put together, one for each CPU (a program must not
 * interrupt itself there): defines wb_stack_record(), which returns it. */
#define WB_STACK_RECORD(event)                                                              \
	struct wb_stack_room {                                                              \
		__u64 words[sizeof(struct event) / sizeof(__u64) + WB_STACK_WORDS];         \
	};                                                                                  \
	struct {                                                                            \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                                    \
		__uint(max_entries, 1);                                                     \
		__type(key, __u32);                                                         \
		__type(value, struct wb_stack_room);                                        \
	} wb_stack_rooms SEC(".maps");                                                      \
	static __always_inline struct event *wb_stack_record(void)                          \
	{                                                                                   \
		__u32 zero = 0;                                                             \
                                                                                            \
		return bpf_map_lookup_elem(&wb_stack_rooms, &zero);                         \
	}

#if __has_include("python.bpf.h")
#include "python.bpf.h"
#define WB_HAS_PYTHON 1
#endif

#define WB_MISSING_NS 10000000ULL

__u64 wb_missing_told;

/* Have the recorder read this record at once: it loads the table that was missing. */
static __always_inline void wb_tell_missing(void)
{
	__u64 now = bpf_ktime_get_boot_ns();

	if (now - wb_missing_told < WB_MISSING_NS)
		return;
	wb_missing_told = now;
	wb_cpu_stats()->unannounced = wb_watermark;
}

/* The return address at a function's entry. */
static __always_inline __u64 wb_caller(void *ctx)
{
	__u64 address = 0;

#ifdef __TARGET_ARCH_arm64
	address = ((struct user_pt_regs *)ctx)->regs[30];
#else
	wb_read_user(PT_REGS_SP((struct pt_regs *)ctx), &address, sizeof(address));
#endif
	return address;
}

/* By frame pointers, in the kernel's own helper. At a function's entry they lead from it to its
 * caller's caller. */
static __always_inline long wb_user_frame_pointers(void *ctx, __u64 *words, __u16 *status,
						   bool caller)
{
	long bytes = bpf_get_stack(ctx, words, WB_PART_BYTES, BPF_F_USER_STACK);

	if (bytes <= 0 || bytes > WB_PART_BYTES) { /* a kernel thread, or one at its exit */
		*status = WB_STACK_KERNEL_ONLY;
		return 0;
	}
	words[0] = caller ? wb_caller(ctx) & WB_WORD_OFFSET : words[0] | WB_WORD_EXACT;
	*status = WB_STACK_FRAME_POINTER_END;
	return bytes;
}

/* Fill head and words (WB_STACK_WORDS of them) with the stack of `task`, which must be the
 * current one; return how many bytes of words there are, at most WB_STACK_BYTES.
 * For programs of type perf_event, tp_btf, tracepoint and kprobe (uprobes). */
static __always_inline long wb_stack(void *ctx, struct task_struct *task,
				     struct wb_stack_head *head, __u64 *words, __u32 flags)
{
	__u16 status = WB_STACK_KERNEL_ONLY;
	long kernel = 0, user = 0, python = 0;

	if (flags & WB_STACK_KERNEL)
		kernel = bpf_get_stack(ctx, words, WB_PART_BYTES, 0);
	if (kernel < 0 || kernel > WB_PART_BYTES) /* -EFAULT: the sample hit user code */
		kernel = 0;
	if (flags & WB_STACK_USER && wb_can_walk())
		user = wb_walk(task, (void *)words + kernel, &status, flags & WB_STACK_CALLER) *
		       sizeof(__u64);
	else if (flags & WB_STACK_USER)
		user = wb_user_frame_pointers(ctx, (void *)words + kernel, &status,
					      flags & WB_STACK_CALLER);
	if (status == WB_STACK_IMAGE_MISSING)
		wb_tell_missing();
	barrier_var(user); /* clang knows its bounds and the verifier has to see them */
	if (user < 0 || user > WB_USER_BYTES)
		user = 0;
#ifdef WB_HAS_PYTHON
	if (flags & WB_STACK_PYTHON) {
		python = wb_python_stack(task, (void *)words + kernel + user, WB_PYTHON_FRAMES);
		if (python < 0 || python > WB_PYTHON_FRAMES)
			python = 0;
	}
#endif
	head->kernel_depth = kernel / sizeof(__u64);
	head->user_depth = user / sizeof(__u64);
	head->python_depth = python;
	head->stack_status = status;
	return kernel + user + 2 * sizeof(__u64) * python;
}

#endif
