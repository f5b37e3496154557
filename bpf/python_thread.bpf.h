/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which thread state of the interpreter is that of the running thread: the heads of its frames. */
#ifndef WORKBENCH_PYTHON_THREAD_BPF_H
#define WORKBENCH_PYTHON_THREAD_BPF_H

#include "python_data.bpf.h"

/* Fields of the task that name its thread; the suffix behind ___ is not part of the name. */
#ifdef __TARGET_ARCH_arm64
struct upid___python {
	int nr;
} __attribute__((preserve_access_index));

struct pid___python {
	unsigned int level;
	struct upid___python numbers[1];
} __attribute__((preserve_access_index));

struct task_struct___python {
	struct pid___python *thread_pid;
} __attribute__((preserve_access_index));

/* Thread id in the innermost pid namespace, as gettid() in it returns (native_thread_id). */
static __always_inline __u64 wb_python_thread(struct task_struct *task)
{
	struct pid___python *pid = BPF_CORE_READ((struct task_struct___python *)task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	void *number = (void *)pid + bpf_core_field_offset(struct pid___python, numbers);
	int nr = 0;

	number += (level & 31) * bpf_core_type_size(struct upid___python);
	bpf_probe_read_kernel(&nr, sizeof(nr), number);
	return (__u32)nr;
}
#else
struct thread_struct___python {
	unsigned long fsbase;
} __attribute__((preserve_access_index));

struct task_struct___python {
	struct thread_struct___python thread;
} __attribute__((preserve_access_index));

/* The thread pointer: what pthread_self() returns on x86-64, with glibc and musl (thread_id). */
static __always_inline __u64 wb_python_thread(struct task_struct *task)
{
	return BPF_CORE_READ((struct task_struct___python *)task, thread.fsbase);
}
#endif

#define WB_PYTHON_FORKNOEXEC 0x40 /* PF_FORKNOEXEC, include/linux/sched.h */

struct mm_struct___python {
	unsigned long start_code, start_stack;
} __attribute__((preserve_access_index));

struct task_struct___family {
	unsigned int flags;
	int tgid;
	struct task_struct___family *group_leader, *real_parent;
	struct mm_struct___python *mm;
} __attribute__((preserve_access_index));

/* What is known of the parent of a process that was forked just now, and has not called execve: it
 * has the parent's memory. The addresses, which are random for each execve, show that it is the
 * parent indeed, and not who took the process over when the parent had ended. */
static __always_inline struct wb_python_process *wb_python_inherited(struct task_struct *task)
{
	struct task_struct___family *leader, *parent;
	struct wb_python_process *process;
	struct mm_struct___python *mm, *other;
	__u32 tgid;

	leader = BPF_CORE_READ((struct task_struct___family *)task, group_leader);
	if (!(BPF_CORE_READ(leader, flags) & WB_PYTHON_FORKNOEXEC))
		return NULL;
	parent = BPF_CORE_READ(leader, real_parent);
	tgid = BPF_CORE_READ(parent, tgid);
	process = bpf_map_lookup_elem(&wb_python, &tgid);
	if (!process)
		return NULL;
	mm = BPF_CORE_READ((struct task_struct___family *)task, mm);
	other = BPF_CORE_READ(parent, mm);
	if (BPF_CORE_READ(mm, start_stack) != BPF_CORE_READ(other, start_stack) ||
	    BPF_CORE_READ(mm, start_code) != BPF_CORE_READ(other, start_code))
		return NULL;
	return process;
}

/* Remember the frame of a thread state of this thread. The one that is active goes first: it
 * runs, the others wait for a call that led to another interpreter. Lists start with the newest. */
static __always_inline void wb_python_remember(struct wb_python_scratch *s, __u64 frame, bool active)
{
	__u32 at = s->state_count;

	if (!frame || at >= WB_PYTHON_STATES)
		return;
	s->states[at & (WB_PYTHON_STATES - 1)] = frame;
	s->state_count = at + 1;
	for (int i = WB_PYTHON_STATES - 1; active && i > 0; i--) {
		if (i > at)
			continue;
		s->states[i] = s->states[i - 1];
		s->states[i - 1] = frame;
	}
}

static __always_inline struct wb_python_found *wb_python_slot(struct wb_python_scratch *s)
{
	__u64 hash = wb_python_mix(s->key, s->pid);
	struct wb_python_found *found = &s->found[hash & (WB_PYTHON_THREADS - 1)];

	if (found->hash != hash) {
		found->hash = hash;
		found->thread = 0;
	}
	return found;
}

/* Remember the frame that the thread state in s->block runs. */
static __always_inline void wb_python_matched(struct wb_python_scratch *s)
{
	struct wb_python_process *p = &s->process;
	__u64 frame = WB_PYTHON_WORD(s->block, p->thread_frame);

	if (p->indirect && frame)
		frame = wb_python_read(s, frame + p->indirect_frame);
	wb_python_remember(s, frame,
			   WB_PYTHON_WORD(s->block, p->thread_status) & p->thread_active);
}

/* Take the thread state that was found last time, if it still is the thread's and the only one:
 * a list of hundreds of threads takes 110 ns for each. One that was freed is not linked any more,
 * as its neighbours change when it is taken out (Python/pystate.c, tstate_delete_common). */
static __always_inline bool wb_python_again(struct wb_python_scratch *s)
{
	struct wb_python_process *p = &s->process;
	__u64 thread = wb_python_slot(s)->thread, previous, interpreter;

	if (!thread || wb_python_block(s, s->block, thread, p->thread_bytes))
		return false;
	previous = WB_PYTHON_WORD(s->block, p->thread_previous);
	interpreter = WB_PYTHON_WORD(s->block, p->thread_interpreter);
	previous = previous ? previous + p->thread_next : interpreter + p->interpreter_thread;
	return WB_PYTHON_WORD(s->block, p->thread_key) == s->key && s->interpreter == interpreter &&
	       wb_python_read(s, previous) == thread &&
	       !wb_python_read(s, interpreter + p->interpreter_next) &&
	       s->status == WB_PYTHON_COMPLETE;
}

/* One step over the interpreters and their thread states; returns 1 at the end. */
static long wb_python_thread_step(__u32 index, void *context)
{
	struct wb_python_scratch *s = *(struct wb_python_scratch **)context;
	struct wb_python_process *p = &s->process;

	if (!s->thread) {
		if (!s->interpreter) {
			s->last = 1; /* seen all */
			return 1;
		}
		s->thread = wb_python_read(s, s->interpreter + p->interpreter_thread);
		s->interpreter = wb_python_read(s, s->interpreter + p->interpreter_next);
		return s->status != WB_PYTHON_COMPLETE;
	}
	if (wb_python_block(s, s->block, s->thread, p->thread_bytes))
		return 1;
	if (WB_PYTHON_WORD(s->block, p->thread_key) != s->key) {
		s->thread = WB_PYTHON_WORD(s->block, p->thread_next);
		return 0;
	}
	wb_python_slot(s)->thread = s->thread;
	s->thread = 0; /* an interpreter has one state a thread */
	wb_python_matched(s);
	return s->status != WB_PYTHON_COMPLETE;
}

#endif
