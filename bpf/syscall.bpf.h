/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Numbers and arguments of system calls, as the hooks sys_enter and sys_exit see them. */
#ifndef WORKBENCH_SYSCALL_H
#define WORKBENCH_SYSCALL_H

#include "workbench.bpf.h"

/* Registers of both architectures; CO-RE keeps the branch of the running kernel. The order is
 * that of the system call ABI: syscall(2), "Architecture calling conventions". */
struct pt_regs___x86 {
	unsigned long di, si, dx, r10, r8, r9, orig_ax;
} __attribute__((preserve_access_index));

/* Not ___arm64: libbpf has a flavour of that name, with fewer fields. */
struct pt_regs___aarch64 {
	__u64 regs[31];
	__u64 orig_x0;
	__s32 syscallno;
} __attribute__((preserve_access_index));

struct thread_info___x86 {
	__u32 status;
} __attribute__((preserve_access_index));

struct task_struct___x86 {
	struct thread_info___x86 thread_info;
} __attribute__((preserve_access_index));

#define TS_COMPAT 0x0002 /* arch/x86/include/asm/thread_info.h: 32-bit system call active */

static __always_inline bool compat(struct task_struct *task)
{
	struct task_struct___x86 *x86 = (void *)task;

	if (bpf_core_field_exists(x86->thread_info.status))
		return x86->thread_info.status & TS_COMPAT;
	return false;
}

/* For sys_exit, which is not told the number. */
static __always_inline __s32 syscall_number(void *regs)
{
	struct pt_regs___x86 *x86 = regs;
	struct pt_regs___aarch64 *arm64 = regs;

	if (bpf_core_field_exists(x86->orig_ax))
		return x86->orig_ax;
	return bpf_core_field_exists(arm64->syscallno) ? arm64->syscallno : -1;
}

/* Fill the first `n` arguments of a call; the other ones are 0. */
static __always_inline void read_arguments(__u64 *args, void *regs, __u8 n)
{
	struct pt_regs___x86 *x86 = regs;
	struct pt_regs___aarch64 *arm64 = regs;

	if (bpf_core_field_exists(x86->orig_ax)) {
		args[0] = n > 0 ? x86->di : 0;
		args[1] = n > 1 ? x86->si : 0;
		args[2] = n > 2 ? x86->dx : 0;
		args[3] = n > 3 ? x86->r10 : 0;
		args[4] = n > 4 ? x86->r8 : 0;
		args[5] = n > 5 ? x86->r9 : 0;
	} else if (bpf_core_field_exists(arm64->orig_x0)) {
		args[0] = n > 0 ? arm64->orig_x0 : 0;
		args[1] = n > 1 ? arm64->regs[1] : 0;
		args[2] = n > 2 ? arm64->regs[2] : 0;
		args[3] = n > 3 ? arm64->regs[3] : 0;
		args[4] = n > 4 ? arm64->regs[4] : 0;
		args[5] = n > 5 ? arm64->regs[5] : 0;
	}
}

#endif
