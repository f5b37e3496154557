// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The least that a program can do for an event: one hook, one record, no state. What is measured
 * with it is the way from the kernel to the table, not what a capture kind looks up.
 */
#include "workbench.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct pt_regs___x86 {
	unsigned long di, dx, orig_ax;
} __attribute__((preserve_access_index));

struct pt_regs___arm64 {
	__u64 regs[31];
	__u64 orig_x0;
} __attribute__((preserve_access_index));

struct entry_event {
	wb_time_ns ts WB_DOC("entry into the system call, UTC");
	wb_arg first WB_DOC("first argument register");
	wb_arg third WB_DOC("third argument register");
	wb_pid pid WB_DOC("process (thread group) id");
	wb_tid tid WB_DOC("thread id");
	wb_syscall_nr nr WB_DOC("system call number");
	wb_cpu cpu WB_DOC("CPU");
};
WB_EVENT(entry_event);

SEC("tp_btf/sys_enter")
int BPF_PROG(entry, void *regs, long id)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct wb_stats *stats = wb_cpu_stats();
	struct pt_regs___x86 *x86 = regs;
	struct pt_regs___arm64 *arm64 = regs;
	struct entry_event *e = 0;
	void *ring = wb_ring();

	if (wb_selected(task->tgid) != WB_TARGET_ACTIVE)
		return 0;
	__sync_fetch_and_add(&stats->produced, 1);
	if (ring)
		e = bpf_ringbuf_reserve(ring, sizeof(*e), 0);
	if (!e) {
		wb_dropped(stats, WB_DROP_RING_FULL);
		return 0;
	}
	e->ts = bpf_ktime_get_boot_ns();
	if (bpf_core_field_exists(x86->orig_ax)) {
		e->first = x86->di;
		e->third = x86->dx;
	} else if (bpf_core_field_exists(arm64->orig_x0)) {
		e->first = arm64->orig_x0;
		e->third = arm64->regs[2];
	}
	e->pid = task->tgid;
	e->tid = task->pid;
	e->nr = id;
	e->cpu = bpf_get_smp_processor_id();
	bpf_ringbuf_submit(e, wb_wakeup(stats, sizeof(*e)));
	return 0;
}
