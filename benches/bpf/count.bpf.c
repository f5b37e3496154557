// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The limit of what tracing every system call can cost: the same hooks and the same filter as
 * syscalls.bpf.c, but all that is done is to count.
 */
#include "workbench.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void count(struct task_struct *task)
{
	if (wb_selected(task->tgid))
		wb_cpu_stats()->produced++;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(count_enter, void *regs, long id)
{
	count((void *)bpf_get_current_task_btf());
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(count_exit, void *regs, long ret)
{
	count((void *)bpf_get_current_task_btf());
	return 0;
}
