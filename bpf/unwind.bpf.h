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

#include "code.bpf.h"
#include "displaced.bpf.h"
#include "mappings.bpf.h"

#define WB_JIT_WORDS 32   /* of the stack: a piece of a JIT's code takes at most 24 */
#define WB_USER_DEPTH 255 /* frames of a walk: Python that imports what imports is 150 deep */
#define WB_WALK_STEPS (WB_USER_DEPTH + 1 + 64) /* and MAX_URETPROBE_DEPTH of include/linux/uprobes.h */

/* User word: where it was (image number and file offset, or number 0 and the address). */
#define WB_WORD_EXACT (1ULL << 63) /* an interrupted instruction, not a return address */
#define WB_WORD_IMAGE_SHIFT 48
#define WB_WORD_OFFSET ((1ULL << WB_WORD_IMAGE_SHIFT) - 1)

/* How the walk of the user's part ended. event_texts.py has the same names. */
enum wb_stack_status {
	WB_STACK_COMPLETE,          /* reached the root of the thread */
	WB_STACK_TRUNCATED,         /* WB_USER_DEPTH frames, and more to come */
	WB_STACK_NO_MAPPING,        /* a return address where no code is */
	WB_STACK_BAD_RULE,          /* a rule that the table cannot express */
	WB_STACK_READ_FAULT,        /* stack memory that could not be read */
	WB_STACK_FRAME_POINTER_END, /* the frame pointers ended before the root, or were all there is */
	WB_STACK_IMAGE_MISSING,     /* code of a file whose table is not loaded (yet) */
	WB_STACK_KERNEL_ONLY,       /* no user part was asked for, or the task has none */
	WB_STACK_UNSUPPORTED,       /* this machine, or this kind of task, cannot be walked */
	/* Of stacks that reach the root, and whose last Python word says that frames of it are
	 * missing: told by user space (workbench/recorder/stack_words.py). */
	WB_STACK_PYTHON_TRUNCATED,  /* WB_PYTHON_FRAMES, and more to come */
	WB_STACK_PYTHON_INCOMPLETE, /* Python frames that could not be read */
};
enum wb_stack_status *wb_enum_stack_status __attribute__((unused));

#define USER32_CS 0x23 /* arch/x86/include/asm/segment.h */

struct pt_regs___wb {
	unsigned long bp, bx, di, ip, cs, sp;
} __attribute__((preserve_access_index));

struct wb_walk {
	__u64 pc, sp, bp;
	__u64 bx_at;     /* where the frame's rbx lies; 0: in the register; or WB_NOWHERE */
	__u64 registers; /* struct pt_regs of the task: what few frames need is read there */
	__u64 start_stack; /* of the process: rsp at its first instruction */
	__u32 returned; /* 1: pc is a return address */
	__u32 depth;
	__u32 status;
	__u32 pad;
	__u64 busy;
	__u64 jit;       /* start of the mapping that was looked at last, and bit 0: a JIT's */
	__u64 stack[WB_JIT_WORDS];
	struct wb_displaced displaced;
	struct wb_mapping map;
};

/* Two for each CPU: a program may interrupt another one of the same object. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct wb_walk);
} wb_walks SEC(".maps");

#define WB_NOWHERE 1 /* no place of a saved register, which are aligned */

/* What a step of bpf_loop() gets. */
struct wb_walk_context {
	struct wb_walk *walk;
	__u64 *words;
};

static __always_inline int wb_read_user(__u64 address, void *to, __u32 size)
{
	return bpf_probe_read_user(to, size, (void *)address);
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
	w->bx_at = w->sp + 128;
	w->sp = registers[5];
	w->pc = registers[6];
	w->returned = 0;
	return 0;
}

/* What can be read of the code at an address, at least four bytes. */
static __always_inline int wb_read_code(__u64 address, __u64 *code)
{
	if (!wb_read_user(address, code, 16))
		return 0;
	code[0] = code[1] = 0;
	return wb_read_user(address, code, 8) && wb_read_user(address, code, 4);
}

/* Behind a call: the return from a signal handler of C libraries without tables, or an epilogue. */
static __always_inline long wb_code_of_caller(struct wb_walk *w, __u64 *cfa)
{
	__u64 code[2], left;

	if (wb_read_code(w->pc, code))
		return WB_RULE_FP;
	if (code[0] == CODE_SIGRETURN)
		return WB_RULE_SIGNAL;
	left = wb_code_epilogue(code);
	*cfa = w->sp + left;
	return left ? WB_RULE_RSP : WB_RULE_FP;
}

/* Where a thread runs or waits. At the entry of a function, as of .init and .fini, which have no
 * tables: what is to run there, or cannot be read as it is being faulted in. Where a frame of code
 * that has frame pointers is made or left. Or in system calls of stubs whose tables end before
 * them: that return from a handler, clone(). Bare stubs push nothing. */
static __always_inline long wb_code_of_leaf(struct wb_walk *w, __u64 *cfa)
{
	__u64 code[2], left;
	__u32 next;

	*cfa = w->sp + 8;
	if (wb_read_code(w->pc, code))
		return w->map.is_file ? WB_RULE_RSP : WB_RULE_FP;
	next = code[0];
	if (w->map.is_file && (next == CODE_ENDBR || next == CODE_SUB_RSP))
		return WB_RULE_RSP;
	left = wb_code_epilogue(code);
	if (!left)
		left = wb_code_prologue(code);
	if (left) {
		*cfa = w->sp + left;
		return WB_RULE_RSP;
	}
	next = code[0] & 0xffffff;
	if (wb_read_user(w->pc - 9, code, sizeof(code)))
		return WB_RULE_FP;
	if (code[0] == CODE_SIGRETURN)
		return WB_RULE_SIGNAL;
	if (w->map.is_file && (code[0] >> 56 | (code[1] & 0xff) << 8) == CODE_SYSCALL)
		return WB_RULE_RSP;
	if ((__u8)code[1] == CODE_PUSH_RBP && wb_code_sets_rbp(next))
		w->bp = w->sp; /* as if it had run */
	return WB_RULE_FP;
}

static __always_inline bool wb_jit_begins(__u64 address)
{
	__u64 code[2];

	return !bpf_probe_read_user(code, sizeof(code), (void *)address) &&
	       code[0] == CODE_JIT_ENTRY && (__u8)code[1] == CODE_JIT_ENTRY_END;
}

/* Whether the code of the walk lies in a mapping of CPython's JIT. */
static __always_inline bool wb_jit_is_mapped(struct wb_walk *w)
{
	if ((w->jit & ~1ULL) != w->map.start)
		w->jit = w->map.start | wb_jit_begins(w->map.start);
	return w->jit & 1;
}

/* rbp is that of the evaluation that entered the JIT's code, which has it for a frame pointer, or
 * one of Python's objects; then the piece of code has pushed it first of all. */
static __always_inline void wb_jit_rbp(struct wb_walk *w, __u64 cfa, __u64 pushed)
{
	if (w->bp - cfa >= PAGE_BYTES && pushed - cfa < PAGE_BYTES)
		w->bp = pushed;
}

struct wb_jit_search {
	struct wb_walk *walk;
	__u64 cfa;
};

/* Whether a word of the stack is the return address to an entry. */
static long wb_jit_word(__u32 i, struct wb_jit_search *search)
{
	struct wb_walk *w = search->walk;
	__u64 code[2], word;

	if (i >= WB_JIT_WORDS)
		return 1;
	word = w->stack[i];
	if ((word & (PAGE_BYTES - 1)) != JIT_RETURN ||
	    bpf_probe_read_user(code, sizeof(code), (void *)word) ||
	    code[0] != CODE_JIT_EXIT || (__u16)code[1] != CODE_JIT_EXIT_END)
		return 0;
	search->cfa = w->sp + 8 * i + 8;
	w->bx_at = search->cfa; /* pushed last of all by the entry, which is the next frame */
	wb_jit_rbp(w, search->cfa, i ? w->stack[(i - 1) & (WB_JIT_WORDS - 1)] : 0);
	return 1;
}

/* Code of CPython's JIT has no frame pointers. Its pieces jump from one to the next, and keep little
 * on the stack above the address to which the last one will return. */
static __always_inline long wb_jit_rule(struct wb_walk *w, __u64 *cfa)
{
	struct wb_jit_search search = {.walk = w};
	__u64 at = w->pc & (PAGE_BYTES - 1);

	if (!w->returned && at < JIT_RETURN && wb_jit_begins(w->pc - at)) {
		*cfa = w->sp + 8 + (at < 9 ? at / 2 * 8 : JIT_SAVED); /* what is pushed already */
		return WB_RULE_RSP;
	}
	if (bpf_probe_read_user(w->stack, sizeof(w->stack), (void *)w->sp))
		return WB_RULE_FP;
	bpf_loop(WB_JIT_WORDS, wb_jit_word, &search, 0);
	*cfa = search.cfa;
	return search.cfa ? WB_RULE_RSP : WB_RULE_FP;
}

/* Caller of code without a table. Mostly it has frame pointers; some pieces that have not are told
 * by their instructions. */
static __always_inline long wb_code_rule(struct wb_walk *w, __u64 *cfa)
{
	long rule = w->returned ? wb_code_of_caller(w, cfa) : wb_code_of_leaf(w, cfa);

	if (rule != WB_RULE_FP || w->map.is_file || !wb_jit_is_mapped(w))
		return rule;
	return wb_jit_rule(w, cfa);
}

/* In vfork(), the parent waits with its return address in rdi (the child uses the stack). */
static __always_inline long wb_step_vfork(struct wb_walk *w)
{
	struct pt_regs___wb *registers = (void *)w->registers;
	__u64 code;

	if (w->returned || wb_read_user(w->pc - 8, &code, sizeof(code)) || code != CODE_VFORK)
		return wb_end(w, WB_STACK_BAD_RULE);
	w->pc = BPF_CORE_READ(registers, di);
	w->returned = 1;
	return 0;
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

/* The caller's rbx: where it is saved, so far as the row knows. Most frames never need it. */
static __always_inline void wb_note_rbx(struct wb_walk *w, __u64 base, __u32 saved)
{
	if (saved == WB_RBX_LOST)
		w->bx_at = WB_NOWHERE;
	else if (saved)
		w->bx_at = base - 8 * saved;
}

static __always_inline long wb_step_rbx(struct wb_walk *w, __u64 cfa, __u64 row)
{
	struct pt_regs___wb *registers = (void *)w->registers;
	__u64 bx;

	if (w->bx_at == WB_NOWHERE)
		return wb_end(w, WB_STACK_BAD_RULE);
	if (!w->bx_at)
		bx = BPF_CORE_READ(registers, bx);
	else if (wb_read_user(w->bx_at, &bx, sizeof(bx)))
		return wb_end(w, WB_STACK_READ_FAULT);
	wb_note_rbx(w, bx + cfa, WB_ROW_RBX(row));
	return wb_step_frame(w, bx + cfa, WB_ROW_RBP(row) * 8);
}

static __always_inline long wb_step_frame_pointer(struct wb_walk *w)
{
	/* The System V ABI (3.4.1) marks the outermost frame by rbp = 0. Code of files has it from
	 * their start-up code; in a JIT's code, rbp may hold anything. */
	if (!w->bp && w->map.is_file && w->returned)
		return wb_end(w, WB_STACK_COMPLETE);
	if (w->bp < w->sp)
		return wb_end(w, WB_STACK_FRAME_POINTER_END);
	w->bx_at = WB_NOWHERE;
	return wb_step_frame(w, w->bp + 16, 16);
}

static __always_inline long wb_step_drap(struct wb_walk *w, __u64 cfa_at, __u64 row)
{
	__u64 cfa, bp = w->bp;

	if (wb_read_user(bp - cfa_at, &cfa, sizeof(cfa)))
		return wb_end(w, WB_STACK_READ_FAULT);
	if (WB_ROW_RBP(row) && wb_read_user(w->bp, &bp, sizeof(bp)))
		return wb_end(w, WB_STACK_READ_FAULT);
	wb_note_rbx(w, w->bp, WB_ROW_RBX(row));
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

	/* Where the kernel began the program: in code without a table. */
	if (w->sp == w->start_stack)
		return wb_end(w, WB_STACK_COMPLETE);
	if (rule == WB_RULE_FP) {
		rule = wb_code_rule(w, &cfa);
		if (rule == WB_RULE_FP)
			return wb_step_frame_pointer(w);
		if (rule == WB_RULE_RSP)
			return wb_step_frame(w, cfa, 0);
	}
	switch (rule) {
	case WB_RULE_RSP:
		cfa += w->sp;
		break;
	case WB_RULE_RBP:
		cfa += w->bp;
		break;
	case WB_RULE_RBX:
		return wb_step_rbx(w, cfa, row);
	case WB_RULE_PLT:
		cfa = w->sp + 8 + ((w->pc & 15) >= cfa / 8 ? 8 : 0);
		break;
	case WB_RULE_SIGNAL:
		return wb_step_signal(w);
	case WB_RULE_DRAP:
		return wb_step_drap(w, cfa, row);
	case WB_RULE_END:
		return wb_end(w, WB_STACK_COMPLETE);
	default:
		return wb_step_vfork(w);
	}
	wb_note_rbx(w, cfa, WB_ROW_RBX(row));
	return wb_step_frame(w, cfa, saved);
}

static long wb_walk_step(__u32 i, struct wb_walk_context *context)
{
	struct wb_walk *w = context->walk;
	__u64 address = w->pc - w->returned, exact = w->returned ? 0 : WB_WORD_EXACT;
	__u64 offset, row, word;
	__u32 depth = w->depth;

	if (depth >= WB_USER_DEPTH)
		return 1;
	if (!w->pc && w->returned) /* a root that no table tells */
		return wb_end(w, WB_STACK_COMPLETE);
	if (w->returned && wb_through_trampoline(&w->displaced, &w->pc, w->sp))
		return 0;
	if (wb_find_mapping(&w->map, address)) /* the first time: in execve() or at its exit */
		return wb_end(w, depth ? WB_STACK_NO_MAPPING : WB_STACK_KERNEL_ONLY);
	offset = address - w->map.start + w->map.offset;
	row = wb_find_row(w->map.number, w->map.blocks, offset, &w->map.missing);
	if (w->displaced.trap && !wb_at_trap(&w->displaced, &w->pc, &row))
		return 0;
	word = w->map.number ? (__u64)w->map.number << WB_WORD_IMAGE_SHIFT |
				   ((offset + w->returned) & WB_WORD_OFFSET)
			 : w->pc & WB_WORD_OFFSET;
	context->words[depth] = word | exact;
	w->depth = depth + 1;
	if (!w->returned && wb_leave_trampoline(&w->displaced, &w->pc, &w->sp)) {
		w->returned = 1;
		return 0;
	}
	return wb_step(w, row);
}

/* At the entry of a function, which has pushed nothing yet: begin with who called it. */
static __always_inline int wb_walk_caller(struct wb_walk *w)
{
	if (wb_read_user(w->sp, &w->pc, sizeof(w->pc))) {
		w->status = WB_STACK_READ_FAULT;
		return -1;
	}
	w->sp += 8;
	w->returned = 1;
	w->displaced.trap = WB_TRAP_NONE; /* of the entry */
	return 0;
}

/* Registers of the task when it left user space; 0 if it can be walked. */
static __always_inline int wb_walk_start(struct wb_walk *w, struct task_struct *task, bool caller)
{
	struct mm_struct___wb *mm = (void *)BPF_CORE_READ(task, mm);
	struct pt_regs___wb *registers;

	w->depth = w->returned = w->map.missing = w->bx_at = w->jit = 0;
	w->status = WB_STACK_KERNEL_ONLY;
	if (!mm)
		return -1;
	registers = (void *)bpf_task_pt_regs(task);
	w->sp = BPF_CORE_READ(registers, sp);
	w->pc = BPF_CORE_READ(registers, ip);
	w->pc = wb_displaced_start(&w->displaced, task, registers, w->pc, w->sp);
	w->bp = BPF_CORE_READ(registers, bp);
	w->registers = (__u64)registers;
	w->start_stack = BPF_CORE_READ(mm, start_stack);
	if (!w->pc) /* a worker of io_uring: user memory, but no user code */
		return -1;
	w->status = WB_STACK_UNSUPPORTED;
	if ((__u16)BPF_CORE_READ(registers, cs) == USER32_CS)
		return -1;
	wb_map_start(&w->map, mm);
	w->status = WB_STACK_TRUNCATED;
	return caller ? wb_walk_caller(w) : 0;
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
static __always_inline long wb_walk(struct task_struct *task, __u64 *words, __u16 *status,
				    bool caller)
{
	struct wb_walk *w = wb_walk_take();
	struct wb_walk_context context = {.walk = w, .words = words};
	__u32 depth;

	*status = WB_STACK_UNSUPPORTED;
	if (!w)
		return 0;
	if (!wb_walk_start(w, task, caller))
		bpf_loop(WB_WALK_STEPS, wb_walk_step, &context, 0);
	depth = w->depth;
	*status = w->map.missing ? WB_STACK_IMAGE_MISSING : w->status;
	w->busy = 0;
	return depth <= WB_USER_DEPTH ? depth : 0;
}

#endif
