/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What uprobes, of this capture or of anybody, change in a thread's registers and on its stack.
 *
 * A breakpoint (one byte, 0xcc) stands for an instruction. Behind the trap, the kernel puts the
 * thread's ip back to it, runs the programs, and then emulates the instruction or has it run
 * elsewhere, in the area [uprobes]. A function whose return is waited for returns to a trampoline
 * there (kernel/events/uprobes.c: handle_swbp(), prepare_uretprobe()). A sample may come at any
 * moment of this. TIF_UPROBE says little: it is cleared before ip is put back, and its number is
 * not in BTF and has changed (12 to 8 on x86-64).
 */
#ifndef WORKBENCH_DISPLACED_H
#define WORKBENCH_DISPLACED_H

#include "tables.bpf.h"

#define UPROBE_XOL_SLOT_BYTES 128 /* arch/x86/include/asm/uprobes.h; the first is the trampoline */
#define UPROBE_BREAKPOINT 0xcc    /* UPROBE_SWBP_INSN there */
#define WB_GENERAL_REGISTERS 15   /* at the start of struct pt_regs: r15 to rdi, all but rsp */
#define WB_TRAMPOLINE_PUSHES 3    /* at most: arch/x86/kernel/uprobes.c, uretprobe_trampoline */

struct return_instance {
	unsigned long stack, orig_ret_vaddr;
	struct return_instance *next;
} __attribute__((preserve_access_index));

struct uprobe_task {
	struct return_instance *return_instances;
	unsigned long vaddr, xol_vaddr;
} __attribute__((preserve_access_index));

struct task_struct___uprobes {
	struct uprobe_task *utask;
} __attribute__((preserve_access_index));

struct xol_area {
	unsigned long vaddr;
} __attribute__((preserve_access_index));

struct mm_struct___uprobes {
	struct {
		struct xol_area *xol_area;
	} uprobes_state;
} __attribute__((preserve_access_index));

/* What the bytes around ip say; the row of the table has the last word: wb_at_trap(). */
enum wb_trap {
	WB_TRAP_NONE,
	WB_TRAP_BEHIND, /* ip is that behind a breakpoint */
	WB_TRAP_PUSHED, /* a push has been emulated, and ip is not behind it yet */
};

struct wb_displaced {
	struct return_instance *returns; /* the next one that the walk will meet */
	__u64 trampoline;                /* where they return to; 0: there is none */
	__u32 trap;
	__u32 pad;
	__u64 registers[WB_GENERAL_REGISTERS];
};

/* Whether a register has that value, as that which was pushed last of all has. Without branches,
 * each of which the verifier would follow both ways. */
static __always_inline bool wb_in_registers(struct wb_displaced *d, void *registers, __u64 value)
{
	__u64 none = 1;

	if (bpf_probe_read_kernel(d->registers, sizeof(d->registers), registers))
		return false;
#pragma unroll
	for (int i = 0; i < WB_GENERAL_REGISTERS; i++) {
		__u64 differs = d->registers[i] ^ value;

		barrier_var(differs);
		differs |= -differs;
		barrier_var(differs);
		none &= differs >> 63;
	}
	return !none;
}

static __always_inline enum wb_trap wb_find_trap(struct wb_displaced *d, void *registers, __u64 pc,
						 __u64 sp)
{
	__u8 code[2];
	bool pushed;
	__u64 top;

	if (bpf_probe_read_user(code, sizeof(code), (void *)(pc - 1)) ||
	    (code[0] != UPROBE_BREAKPOINT && code[1] != UPROBE_BREAKPOINT) ||
	    bpf_probe_read_user(&top, sizeof(top), (void *)sp))
		return WB_TRAP_NONE;
	pushed = wb_in_registers(d, registers, top);
	if (code[0] == UPROBE_BREAKPOINT && !pushed)
		return WB_TRAP_BEHIND;
	return code[1] == UPROBE_BREAKPOINT && pushed ? WB_TRAP_PUSHED : WB_TRAP_NONE;
}

/* Start a walk at `pc`; return where the thread would be without probes, as far as is known. */
static __always_inline __u64 wb_displaced_start(struct wb_displaced *d, struct task_struct *task,
						void *registers, __u64 pc, __u64 sp)
{
	struct task_struct___uprobes *t = (void *)task;
	struct mm_struct___uprobes *mm = (void *)BPF_CORE_READ(task, mm);
	struct uprobe_task *step;
	__u64 slot;

	d->returns = 0;
	d->trampoline = 0;
	d->trap = WB_TRAP_NONE;
	if (!bpf_core_field_exists(t->utask) ||
	    !bpf_core_field_exists(struct uprobe_task, xol_vaddr))
		return pc;
	step = BPF_CORE_READ(t, utask);
	if (!step) /* it never met a probe */
		return pc;
	d->returns = BPF_CORE_READ(step, return_instances);
	if (bpf_core_field_exists(mm->uprobes_state.xol_area))
		d->trampoline = BPF_CORE_READ(mm, uprobes_state.xol_area, vaddr);
	slot = BPF_CORE_READ(step, xol_vaddr);
	if (slot && pc - slot < UPROBE_XOL_SLOT_BYTES) /* pre_ssout() */
		return BPF_CORE_READ(step, vaddr) + (pc - slot);
	d->trap = wb_find_trap(d, registers, pc, sp);
	return d->trap == WB_TRAP_BEHIND ? pc - 1 : pc;
}

/* Whether `pc` and its row are what the trap has left; else take `pc` as it is now. A function's
 * entry is where probes are; elsewhere it cannot be told what has been pushed already. */
static __always_inline bool wb_at_trap(struct wb_displaced *d, __u64 *pc, __u64 *row)
{
	bool entry = WB_ROW_RULE(*row) == WB_RULE_RSP && WB_ROW_CFA(*row) == 1;
	__u32 trap = d->trap;

	d->trap = WB_TRAP_NONE;
	if (trap == WB_TRAP_BEHIND && !entry) {
		(*pc)++;
		return false;
	}
	if (trap == WB_TRAP_PUSHED && entry)
		*row += WB_ROW_CFA_OF(1);
	return true;
}

static __always_inline __u64 wb_take_return(struct wb_displaced *d)
{
	struct return_instance *first = d->returns;

	d->returns = BPF_CORE_READ(first, next);
	return BPF_CORE_READ(first, orig_ret_vaddr);
}

/* Whether `pc`, a return address below `sp`, is the trampoline's: then it becomes that for which it
 * stands, or, as long as that is another call's, is to be asked for once more. */
static __always_inline bool wb_through_trampoline(struct wb_displaced *d, __u64 *pc, __u64 sp)
{
	struct return_instance *first = d->returns;
	__u64 place, to;

	if (!first || *pc != d->trampoline)
		return false;
	place = BPF_CORE_READ(first, stack);
	to = wb_take_return(d); /* frames that longjmp() left are in the list still */
	if (place + 8 == sp)
		*pc = to;
	return true;
}

/* How far below its return address the stack of a thread is that runs the trampoline's end, `pop
 * %r11; pop %rcx; ret`, into whose last word the kernel has put that address; -1: not there. */
static __always_inline int wb_trampoline_end(__u64 pc)
{
	__u32 code;

	if (bpf_probe_read_user(&code, sizeof(code), (void *)pc))
		return -1;
	if (code == 0xc3595b41)
		return 16;
	if ((__u16)code == 0xc359)
		return 8;
	return (__u8)code == 0xc3 ? 0 : -1;
}

/* Whether a thread at `pc` runs the trampoline: go to where it returns to, with the caller's `sp`.
 * It pushes up to three registers for a system call (Linux 6.11), which takes the call off the
 * list. */
static __always_inline bool wb_leave_trampoline(struct wb_displaced *d, __u64 *pc, __u64 *sp)
{
	struct return_instance *first = d->returns;
	__u64 behind, to;
	int below;

	if (!d->trampoline || *pc - d->trampoline >= UPROBE_XOL_SLOT_BYTES)
		return false;
	below = wb_trampoline_end(*pc);
	behind = first && (below < 0 || below == 16) ? BPF_CORE_READ(first, stack) + 8 : 0;
	if (behind && behind - *sp <= 8 * WB_TRAMPOLINE_PUSHES) {
		*sp = behind;
		*pc = wb_take_return(d);
		return true;
	}
	if (below < 0 || bpf_probe_read_user(&to, sizeof(to), (void *)(*sp + below)))
		return false;
	*sp += below + 8;
	*pc = to;
	return true;
}

#endif
