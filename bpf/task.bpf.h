/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a task is doing: why it leaves the CPU, and in what context a program runs on top of it. */
#ifndef WORKBENCH_TASK_H
#define WORKBENCH_TASK_H

#include "workbench.bpf.h"

/* 1: sched_switch tells the state that the scheduler saw (Linux 5.18). The task's own field may
 * have been changed by a wake-up on another CPU since. */
const volatile __u32 state_argument = 0;

/* Why a thread left the CPU; event_texts.py has the same names. */
enum wb_off_state {
	WB_OFF_PREEMPTED,       /* could have gone on: another one ran, or it yielded */
	WB_OFF_SLEEPING,        /* waits, and signals wake it */
	WB_OFF_UNINTERRUPTIBLE, /* waits, and signals do not wake it */
	WB_OFF_IO_WAIT,         /* waits for a block device: task->in_iowait */
	WB_OFF_STOPPED,         /* by SIGSTOP and the like */
	WB_OFF_TRACED,          /* stopped by its debugger */
	WB_OFF_NEW,             /* has not run before */
	WB_OFF_EXITED,          /* for good */
	WB_OFF_NONE,            /* it has not left the CPU */
	WB_OFF_OTHER,           /* parked or idle kernel threads, frozen ones */
};
enum wb_off_state *wb_enum_off_state __attribute__((unused));

/* In what a wake-up (or a signal) happened; event_texts.py has the same names. */
enum wb_waker_context {
	WB_WAKER_NONE,      /* nobody woke it, or it was not seen */
	WB_WAKER_TASK,
	WB_WAKER_SOFTIRQ,   /* on top of the waker: on its behalf (a packet to this machine), or it was
			     * interrupted by a device */
	WB_WAKER_INTERRUPT, /* a timer or a device: the task that it interrupted is no waker */
};
enum wb_waker_context *wb_enum_waker_context __attribute__((unused));

typedef __u16 wb_off_state;
typedef __u16 wb_waker_context;

/* task->__state was called state before Linux 5.14. */
struct task_struct___state {
	unsigned int __state;
	unsigned in_iowait : 1;
} __attribute__((preserve_access_index));

struct task_struct___old {
	long state;
} __attribute__((preserve_access_index));

/* include/linux/sched.h */
#define TASK_INTERRUPTIBLE 0x1
#define TASK_UNINTERRUPTIBLE 0x2
#define TASK_STOPPED 0x4
#define TASK_TRACED 0x8
#define TASK_DEAD 0x80
#define TASK_WAKING 0x200
#define TASK_NOLOAD 0x400

/* include/linux/preempt.h */
#define SERVING_SOFTIRQ 0x100
#define HARDIRQ_OR_NMI 0xff0000

/* Where x86 counts interrupts: in the per-CPU variable __preempt_count, from Linux 6.2 to 6.14 in
 * pcpu_hot. Kernels without CONFIG_KALLSYMS_ALL do not tell its address, hence the way from another
 * per-CPU variable: the distance between both, which user space reads from the kernel's BTF. */
const volatile __s64 count_from_runqueue = 0; /* 0: not known */

struct rq;

struct cfs_rq___count {
	struct rq *rq;
} __attribute__((preserve_access_index));

struct sched_entity___count {
	struct cfs_rq___count *cfs_rq;
} __attribute__((preserve_access_index));

struct task_struct___queued {
	struct sched_entity___count se;
} __attribute__((preserve_access_index));

struct pcpu_hot___count {
	int preempt_count;
} __attribute__((preserve_access_index));

struct thread_info___arm64 {
	struct {
		__u32 count;
	} preempt;
} __attribute__((preserve_access_index));

struct task_struct___arm64 {
	struct thread_info___arm64 thread_info;
} __attribute__((preserve_access_index));

static __always_inline __u32 preempt_count(void)
{
#ifdef __TARGET_ARCH_arm64
	struct task_struct___arm64 *task = (void *)bpf_get_current_task_btf();

	return task->thread_info.preempt.count;
#else
	struct task_struct___queued *task = (void *)bpf_get_current_task_btf();
	void *variable;
	int count = 0;

	if (!count_from_runqueue || !bpf_core_field_exists(task->se.cfs_rq->rq))
		return 0;
	variable = (void *)BPF_CORE_READ(task, se.cfs_rq, rq) + count_from_runqueue;
	if (bpf_core_type_exists(struct pcpu_hot___count))
		variable += bpf_core_field_offset(struct pcpu_hot___count, preempt_count);
	bpf_probe_read_kernel(&count, sizeof(count), variable);
	return count;
#endif
}

static __always_inline __u16 context(void)
{
	__u32 count = preempt_count();

	if (count & HARDIRQ_OR_NMI)
		return WB_WAKER_INTERRUPT;
	return count & SERVING_SOFTIRQ ? WB_WAKER_SOFTIRQ : WB_WAKER_TASK;
}

static __always_inline __u32 state_of(struct task_struct *task)
{
	struct task_struct___state *now = (void *)task;
	struct task_struct___old *old = (void *)task;

	return bpf_core_field_exists(now->__state) ? now->__state : old->state;
}

/* Why a task leaves the CPU; dead ones are for the caller to tell. */
static __always_inline __u16 reason(struct task_struct *task, bool preempt, __u32 state)
{
	struct task_struct___state *t = (void *)task;

	if (preempt || !state)
		return WB_OFF_PREEMPTED;
	if (state & (TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE)) {
		if (BPF_CORE_READ_BITFIELD(t, in_iowait))
			return WB_OFF_IO_WAIT;
		if (state & TASK_INTERRUPTIBLE)
			return WB_OFF_SLEEPING;
		return state & TASK_NOLOAD ? WB_OFF_OTHER : WB_OFF_UNINTERRUPTIBLE;
	}
	if (state & TASK_STOPPED)
		return WB_OFF_STOPPED;
	if (state & TASK_TRACED)
		return WB_OFF_TRACED;
	if (state & TASK_WAKING) /* without state_argument: it slept, and somebody was quick */
		return WB_OFF_SLEEPING;
	return WB_OFF_OTHER;
}

#endif
