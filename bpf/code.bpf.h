/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Code without an unwind table whose frame is told by its instructions (x86-64).
 *
 * Each pattern is a whole instruction, or several, and holds wherever it stands: what the walk then
 * takes is what the CPU will take. Code of JITs with frame pointers (node, Java) needs it where a
 * frame is made or left; the trampolines of CPython's `-X perf` (Python/asm_trampoline.S) and its
 * JIT (Tools/jit) have no frame pointers.
 */
#ifndef WORKBENCH_CODE_H
#define WORKBENCH_CODE_H

#include "workbench.bpf.h"

#define CODE_SIGRETURN 0x0f0000000fc0c748 /* mov $15,%rax (rt_sigreturn), and of syscall 0f */
#define CODE_VFORK 0x050f0000003ab85f     /* pop %rdi; mov $58,%eax (vfork); syscall */
#define CODE_SYSCALL 0x050f
#define CODE_ENDBR 0xfa1e0ff3
#define CODE_SUB_RSP 0x08ec8348 /* sub $8,%rsp */
#define CODE_ADD_RSP 0xc48348   /* add $imm8,%rsp */
#define CODE_RET 0xc3
#define CODE_RET_POP 0xc2 /* ret $imm16 */
#define CODE_PUSH_RBP 0x55
#define CODE_MOV_RBP 0xe58948 /* mov %rsp,%rbp, */
#define CODE_MOV_RBP_2 0xec8b48 /* in both encodings */

/* CPython 3.12 and 3.13: sub $8,%rsp; call *%rcx; add $8,%rsp; ret. */
#define CODE_TRAMPOLINE 0x8348d1ff08ec8348
#define CODE_TRAMPOLINE_END 0xc308c4
#define CODE_TRAMPOLINE_CALL 0xc308c48348d1ff /* from its second instruction on */

/* How C enters code of CPython's JIT (3.14 as Debian builds it), at the start of a page: push %r15;
 * push %r14; push %r13; push %r12; push %rbx; three moves and a call. It is left by pops and ret. */
#define CODE_JIT_ENTRY 0x5441554156415741
#define CODE_JIT_ENTRY_END 0x53
#define CODE_JIT_EXIT 0x415e415d415c415b /* pop %rbx; pop %r12; pop %r13; pop %r14; pop %r15; ret */
#define CODE_JIT_EXIT_END 0xc35f
#define CODE_JIT_POP_R12 0x5f415e415d415c41 /* from its second instruction on, third, ... */
#define CODE_JIT_POP_R13 0xc35f415e415d41
#define CODE_JIT_POP_R14 0xc35f415e41
#define CODE_JIT_POP_R15 0xc35f41
#define JIT_RETURN 0x17 /* where the call returns to */
#define JIT_SAVED 40    /* bytes */
#define PAGE_BYTES 4096

static __always_inline bool wb_code_sets_rbp(__u32 next)
{
	return next == CODE_MOV_RBP || next == CODE_MOV_RBP_2;
}

/* How far the CFA is from rsp in an epilogue that pops no rbp; 0 elsewhere. */
static __always_inline __u64 wb_code_epilogue(const __u64 *code)
{
	if ((__u8)code[0] == CODE_RET || (__u8)code[0] == CODE_RET_POP)
		return 8;
	if ((code[0] & 0xffffff) == CODE_ADD_RSP && (code[0] >> 32 & 0xff) == CODE_RET)
		return (code[0] >> 24 & 0x7f) + 8;
	if (code[0] == CODE_JIT_EXIT && (__u16)code[1] == CODE_JIT_EXIT_END)
		return JIT_SAVED + 8;
	if (code[0] == CODE_JIT_POP_R12 && (__u8)code[1] == CODE_RET)
		return JIT_SAVED;
	if ((code[0] & 0xffffffffffffff) == CODE_JIT_POP_R13)
		return 32;
	if ((code[0] & 0xffffffffff) == CODE_JIT_POP_R14)
		return 24;
	return (code[0] & 0xffffff) == CODE_JIT_POP_R15 ? 16 : 0;
}

/* The same at the entry of a function, and before the call of a trampoline. */
static __always_inline __u64 wb_code_prologue(const __u64 *code)
{
	__u64 first = code[0], rest = code[1];

	if ((__u32)first == CODE_ENDBR) {
		first = first >> 32 | rest << 32;
		rest >>= 32;
	}
	if ((__u8)first == CODE_PUSH_RBP && wb_code_sets_rbp(first >> 8 & 0xffffff))
		return 8;
	if (first == CODE_TRAMPOLINE && (rest & 0xffffff) == CODE_TRAMPOLINE_END)
		return 8;
	return (first & 0xffffffffffffff) == CODE_TRAMPOLINE_CALL ? 16 : 0;
}

#endif
